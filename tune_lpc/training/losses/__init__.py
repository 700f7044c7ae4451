"""The two regularisers, each a pure function of penultimate representations."""

from tune_lpc.training.losses.densification import densification_loss
from tune_lpc.training.losses.point_collapse import point_collapse_penalty

__all__ = ["densification_loss", "point_collapse_penalty"]
