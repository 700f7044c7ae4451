"""What is measured on a trained network: pure functions on tensors, and the registry that names them."""

from tune_lpc.training.measures.binarity import Binarity, binarity
from tune_lpc.training.measures.checks import MeasureError
from tune_lpc.training.measures.collapse import (
    nc1,
    nc2_equiangular,
    nc2_equinorm,
    nc2_max_angle,
    nc3_self_duality,
    nc4_disagreement,
)
from tune_lpc.training.measures.deepfool import Fooling, deepfool
from tune_lpc.training.measures.entropy import entropy, entropy_raw
from tune_lpc.training.measures.evaluated import Evaluated
from tune_lpc.training.measures.knn import knn_accuracy
from tune_lpc.training.measures.margin_gradient import MarginGradient, margin_gradient
from tune_lpc.training.measures.pgd import pgd_accuracy
from tune_lpc.training.measures.registry import MEASURES, Measure, compute_measures, measures_asked_for
from tune_lpc.training.measures.scale import (
    entry_variation,
    mean_norm,
    norm_variation,
    within_class_covariance,
    within_class_covariance_relative,
)
from tune_lpc.training.measures.separation import distance_margin

__all__ = [
    "MEASURES",
    "Binarity",
    "Evaluated",
    "Fooling",
    "MarginGradient",
    "Measure",
    "MeasureError",
    "binarity",
    "compute_measures",
    "deepfool",
    "distance_margin",
    "entropy",
    "entropy_raw",
    "entry_variation",
    "knn_accuracy",
    "margin_gradient",
    "mean_norm",
    "measures_asked_for",
    "nc1",
    "nc2_equiangular",
    "nc2_equinorm",
    "nc2_max_angle",
    "nc3_self_duality",
    "nc4_disagreement",
    "norm_variation",
    "pgd_accuracy",
    "within_class_covariance",
    "within_class_covariance_relative",
]
