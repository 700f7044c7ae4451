"""Ray, and nothing else of ours: a search on a cluster."""

from tune_lpc.engine.tuner import Outcome, Request, run_searches

__all__ = ["Outcome", "Request", "run_searches"]
