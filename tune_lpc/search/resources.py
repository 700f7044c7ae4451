"""What this machine has."""

from __future__ import annotations

import os

from tune_lpc.training.device import gpus_here

__all__ = ["cpus_here", "gpus_here"]


def cpus_here() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
