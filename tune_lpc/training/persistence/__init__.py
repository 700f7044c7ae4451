"""0-dimensional persistence of point groups, differentiable: compiled for CPUs, one Triton kernel for GPUs."""

from tune_lpc.training.persistence.deaths import h0_deaths, warm_up

__all__ = ["h0_deaths", "warm_up"]
