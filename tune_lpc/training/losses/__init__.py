"""The losses, each a pure function: of representations and features the regularisers, of cosines the margin losses."""

from tune_lpc.training.losses.angular_margin import arcface_loss, cosface_loss
from tune_lpc.training.losses.contrastive import supervised_contrastive_loss
from tune_lpc.training.losses.densification import densification_loss
from tune_lpc.training.losses.point_collapse import point_collapse_penalty

__all__ = [
    "arcface_loss",
    "cosface_loss",
    "densification_loss",
    "point_collapse_penalty",
    "supervised_contrastive_loss",
]
