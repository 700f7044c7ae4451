"""The search floor: the only place that imports Ray and Optuna."""

from tune_lpc.search.tuner import Outcome, Request, run_searches

__all__ = ["Outcome", "Request", "run_searches"]
