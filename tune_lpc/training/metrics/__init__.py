"""What is measured on a trained network: pure functions on tensors."""

from tune_lpc.training.metrics.collapse import MeasureError, mean_norm, nc1

__all__ = ["MeasureError", "mean_norm", "nc1"]
