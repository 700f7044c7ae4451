"""Kernels for CPUs, compiled by numba, and convolutions as matrix products: all that `fast_path.py` leads to.

This folder may be deleted without a change elsewhere; training then is plain torch, to the same numbers up to rounding.
"""

import importlib.util

if importlib.util.find_spec("numba") is None:  # imported where something is compiled: half a second
    raise ImportError("numba, which compiles the kernels for CPUs, is not installed")

from tune_lpc.training.fast import h0
from tune_lpc.training.fast.gathered import gather_where_it_pays
from tune_lpc.training.fast.pooled import PooledBlock, warm_up

__all__ = ["PooledBlock", "gather_where_it_pays", "h0", "warm_up"]
