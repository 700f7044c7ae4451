"""Every measure by the name under which `--measure` asks for it and `measure.<name>` holds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor

from tune_lpc.plan.errors import UserError, nearest
from tune_lpc.training.measures import collapse, scale
from tune_lpc.training.measures.checks import MeasureError
from tune_lpc.training.measures.entropy import entropy, entropy_raw
from tune_lpc.training.measures.evaluated import Evaluated
from tune_lpc.training.measures.knn import vote_accuracy
from tune_lpc.training.measures.pgd import Ball, pgd_accuracy
from tune_lpc.training.measures.separation import distance_margin

_NEURAL_COLLAPSE = "Papyan et al. 2020, arXiv 2008.08186"
_POINT_COLLAPSE = "latent point collapse, arXiv 2310.08224"
_KOZACHENKO = "Kozachenko and Leonenko 1987, as in arXiv 2310.08224"
_DEEPFOOL = "Moosavi-Dezfooli et al. 2016, arXiv 1511.04599"
_SHORTEST = "the shortest of several attacks, after Brendel and Bethge 2019, arXiv 1907.01003"
_BOUND = "an upper bound that collapse inflates (docs/robustness.md)"
_PGD = "Madry et al. 2018, arXiv 1706.06083"
_NEAREST_NEIGHBOURS = "Cover and Hart 1967"
_OURS = "scale-invariant variant of this project"


@dataclass(frozen=True)
class Measure:
    """A measure of a trained network: its name, one line on what it is, where it comes from, and how to compute it.

    function raises MeasureError when it has no value.
    """

    name: str
    text: str
    source: str
    function: Callable[[Evaluated], float]


def compute_measures(names: Iterable[str], evaluated: Evaluated) -> tuple[dict[str, float | None], dict[str, str]]:
    """The value of each named measure, None where it has none, and the reason for each that is None.

    Names are keys of MEASURES; another one is a KeyError. A measure that fails, for want of memory say, is null with
    that as its reason: it must not cost the trial that it was taken of.
    """
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name in names:
        measure = MEASURES[name]
        try:
            value = measure.function(evaluated)
        except MeasureError as error:
            values[name], reasons[name] = None, str(error)
            continue
        except (RuntimeError, MemoryError) as error:  # torch's own for memory and linear algebra are RuntimeErrors
            told = (str(error).strip() or "no message").splitlines()[0]
            values[name], reasons[name] = None, f"{name} failed: {type(error).__name__}: {told}"
            continue
        if math.isfinite(value):
            values[name] = value
        else:
            values[name], reasons[name] = None, f"{name} came out as {value}"
    return values, reasons


def measures_asked_for(names: Iterable[str]) -> list[str]:
    """The names, each once, "all" standing for every measure. Raises UserError naming all that are unknown."""
    asked = list(dict.fromkeys(name for given in names for name in (MEASURES if given == "all" else [given])))
    unknown = [name for name in asked if name not in MEASURES]
    if unknown:
        raise UserError(f"there is no measure {n!r}{nearest(n, MEASURES)} (see --list-measures)" for n in unknown)
    return asked


def _grouped(function: Callable[[Tensor, Tensor], float]) -> Callable[[Evaluated], float]:
    """The measure on z with its true labels."""
    return lambda evaluated: function(evaluated.z, evaluated.labels)


def _ungrouped(function: Callable[[Tensor], float]) -> Callable[[Evaluated], float]:
    """The measure on z alone."""
    return lambda evaluated: function(evaluated.z)


def _deepfool(evaluated: Evaluated) -> float:
    _check_movable(evaluated.fooling.stuck)
    return float(evaluated.fooling.relative.mean())


def _deepfool_median(evaluated: Evaluated) -> float:
    _check_movable(evaluated.fooling.stuck)
    return float(evaluated.fooling.relative.median())


def _deepfool_excess(evaluated: Evaluated) -> float:
    _check_movable(evaluated.fooling.stuck)
    return float((evaluated.fooling.relative > evaluated.flip.nearest).double().mean())


def _deepfool_correct(evaluated: Evaluated) -> float:
    fooling = evaluated.fooling
    right = fooling.original == evaluated.input_labels
    if not bool(right.any()):
        raise MeasureError("DeepFool over rightly classified images needs one, but the network gets none right")
    _check_movable(fooling.stuck[right])
    return float(fooling.relative[right].mean())


def _deepfool_changed(evaluated: Evaluated) -> float:
    fooling = evaluated.fooling
    return float((fooling.original != fooling.fooled).double().mean())


def _check_movable(stuck: Tensor) -> None:
    if bool(stuck.any()):
        found = f"{int(stuck.sum())} of {stuck.numel()} images"
        raise MeasureError(f"DeepFool needs a gradient to follow, but it is 0 or not finite at {found}")


def _pgd(ball: Ball) -> Callable[[Evaluated], float]:
    def accuracy(evaluated: Evaluated) -> float:
        return pgd_accuracy(
            evaluated.logits_of,
            evaluated.inputs,
            evaluated.input_labels,
            evaluated.pixel_deviation,
            ball,
            pixel_mean=evaluated.pixel_mean,
        )

    return accuracy


_LISTED = (
    Measure(
        "nc1",
        "within-class variability collapse: tr(S_W pinv(S_B)) / classes",
        _NEURAL_COLLAPSE,
        _grouped(collapse.nc1),
    ),
    Measure(
        "nc2_equinorm",
        "variation of the distances of class means to the global mean",
        _NEURAL_COLLAPSE,
        _grouped(collapse.nc2_equinorm),
    ),
    Measure(
        "nc2_equiangular",
        "standard deviation of the cosines between centred class means",
        _NEURAL_COLLAPSE,
        _grouped(collapse.nc2_equiangular),
    ),
    Measure(
        "nc2_max_angle",
        "mean |cos + 1/(classes - 1)| between centred class means",
        _NEURAL_COLLAPSE,
        _grouped(collapse.nc2_max_angle),
    ),
    Measure(
        "nc3_self_duality",
        "squared distance of output weight and centred class means, each of norm 1",
        _NEURAL_COLLAPSE,
        lambda evaluated: collapse.nc3_self_duality(evaluated.z, evaluated.labels, evaluated.output_weight),
    ),
    Measure(
        "nc4_disagreement",
        "share of points where the nearest class mean and the classifier disagree",
        _NEURAL_COLLAPSE,
        lambda evaluated: collapse.nc4_disagreement(evaluated.z, evaluated.labels, evaluated.logits),
    ),
    Measure(
        "within_class_covariance",
        "mean of the entries of the within-class covariance S_W",
        _POINT_COLLAPSE,
        _grouped(scale.within_class_covariance),
    ),
    Measure(
        "within_class_covariance_relative",
        "within_class_covariance over the mean squared norm",
        _OURS,
        _grouped(scale.within_class_covariance_relative),
    ),
    Measure("mean_norm", "mean norm of the representations", _POINT_COLLAPSE, _ungrouped(scale.mean_norm)),
    Measure(
        "norm_variation", "coefficient of variation of the norm", _POINT_COLLAPSE, _ungrouped(scale.norm_variation)
    ),
    Measure(
        "entry_variation",
        "coefficient of variation of the absolute entries",
        _POINT_COLLAPSE,
        _ungrouped(scale.entry_variation),
    ),
    Measure(
        "entropy",
        "differential entropy per dimension in nats, standardised representations, 20 neighbours",
        _KOZACHENKO,
        _ungrouped(entropy),
    ),
    Measure(
        "entropy_raw",
        "differential entropy per dimension in nats, 20 neighbours",
        _KOZACHENKO,
        _ungrouped(entropy_raw),
    ),
    Measure(
        "distance_margin",
        "mean of (distance to the nearest other class mean) / (distance to the own one)",
        _POINT_COLLAPSE,
        _grouped(distance_margin),
    ),
    Measure(
        "knn_accuracy_20",
        "accuracy of the majority among the 20 nearest training representations",
        _NEAREST_NEIGHBOURS,
        lambda evaluated: vote_accuracy(evaluated.neighbour_labels, evaluated.labels, 20),
    ),
    Measure(
        "knn_accuracy_200",
        "accuracy of the majority among the 200 nearest training representations",
        _NEAREST_NEIGHBOURS,
        lambda evaluated: vote_accuracy(evaluated.neighbour_labels, evaluated.labels, 200),
    ),
    Measure(
        "binarity_score",
        "mean log-likelihood, in nats, of two Gaussians fitted to each standardised dimension",
        _POINT_COLLAPSE,
        lambda evaluated: float(evaluated.binarity.score.mean()),
    ),
    Measure(
        "binarity_deviation",
        "mean standard deviation of these Gaussians",
        _POINT_COLLAPSE,
        lambda evaluated: float(evaluated.binarity.deviation.mean()),
    ),
    Measure(
        "binarity_peak_distance",
        "mean distance of the two peaks, in their mean standard deviation",
        _POINT_COLLAPSE,
        lambda evaluated: float(evaluated.binarity.peak_distance.mean()),
    ),
    Measure(
        "deepfool",
        f"mean of ||perturbation|| / ||image|| that DeepFool needs, {_BOUND}; an image that 50 steps don't fool counts "
        "with them",
        _DEEPFOOL,
        _deepfool,
    ),
    Measure("deepfool_median", f"median of the same, {_BOUND}", _DEEPFOOL, _deepfool_median),
    Measure("deepfool_correct", f"deepfool over rightly classified images, {_BOUND}", _DEEPFOOL, _deepfool_correct),
    Measure("deepfool_changed", "share of images whose prediction DeepFool changed", _DEEPFOOL, _deepfool_changed),
    Measure(
        "deepfool_excess",
        "share of images whose DeepFool perturbation is longer than the way to an image that the network puts in "
        "another class: no distance to the border can be",
        _OURS,
        _deepfool_excess,
    ),
    Measure(
        "shortest_flip",
        "median of ||perturbation|| / ||image|| of the shortest flip that several attacks find; it takes up to 800 "
        "forward passes an image",
        _SHORTEST,
        lambda evaluated: float(evaluated.flip.relative.median()),
    ),
    Measure(
        "shortest_flip_mean", "mean of the same", _SHORTEST, lambda evaluated: float(evaluated.flip.relative.mean())
    ),
    Measure("pgd_l2", f"accuracy under PGD-20 in an L2 ball of 0.5 in pixel units 0...1, {_BOUND}", _PGD, _pgd("l2")),
    Measure("pgd_linf", f"accuracy under PGD-20 in an L-infinity ball of 8/255, {_BOUND}", _PGD, _pgd("linf")),
    Measure(
        "margin_gradient_norm",
        "mean norm of the input gradient of (true logit - best other logit)",
        _POINT_COLLAPSE,
        lambda evaluated: float(evaluated.margin_gradient.norm.mean()),
    ),
    Measure(
        "margin_gradient_norm_max",
        "largest norm of the input gradient of (true logit - best other logit)",
        _POINT_COLLAPSE,
        lambda evaluated: float(evaluated.margin_gradient.norm.max()),
    ),
    Measure(
        "margin_gradient_norm_relative",
        "margin_gradient_norm over the mean |margin|",
        _OURS,
        lambda evaluated: float(evaluated.margin_gradient.norm.mean()) / evaluated.margin_gradient.mean_margin,
    ),
    Measure(
        "margin_gradient_norm_max_relative",
        "margin_gradient_norm_max over the mean |margin|",
        _OURS,
        lambda evaluated: float(evaluated.margin_gradient.norm.max()) / evaluated.margin_gradient.mean_margin,
    ),
)

MEASURES: dict[str, Measure] = {measure.name: measure for measure in _LISTED}
"""Every measure by name, in the order of the listing."""
