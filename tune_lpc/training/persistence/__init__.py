"""0-dimensional persistence of point groups, differentiable.

On GPUs one Triton kernel, on CPUs those of `training/fast/` where they are there, else torch in batches; and, to check
results with, two reference implementations. `check_backend` says before a search whether the one asked for works.
"""

from tune_lpc.training.persistence.backends import check_backend
from tune_lpc.training.persistence.deaths import h0_deaths, warm_up

__all__ = ["check_backend", "h0_deaths", "warm_up"]
