"""Progress: what every schedule is a function of.

Progress t runs from 0 towards 1 by the step: at step k of N (k from 0; N all steps of the run) it is
``floor(1000 k / N) / 1000``. No schedule counts epochs or steps itself, so a run of any length goes through the whole
of every ramp, and ends within a step, or a thousandth, of its end. In a run of 1000 epochs t changes with the epoch
alone, as in the source of the schedules (latent point collapse, arXiv 2310.08224).
"""

from __future__ import annotations

SCHEDULES_VERSION = 2
"""What the schedules mean; a run goes on only under the version that began it.

1: progress by the epoch, (epoch - 1) / epochs, so that a short run ended short of its ramps' ends. 2: by the step.
"""
PARTS = 1000
"""Values that progress takes: the epochs of the source."""


def progress(step: int, steps: int) -> float:
    """Progress at `step` (from 0) of the `steps` of a whole run, in [0, 1)."""
    return PARTS * step // steps / PARTS


def progress_at_end(epoch: int, epochs: int) -> float:
    """Progress at the last step of `epoch` (from 1) of `epochs`, where an epoch has many steps."""
    # The limit from below: the step after it begins the next epoch, at PARTS * epoch / epochs exactly.
    return (PARTS * epoch - 1) // epochs / PARTS
