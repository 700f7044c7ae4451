"""What a search is to do well in: one score, or several objectives that no single number weighs against each other.

An objective is a column of an epoch's record, or a measure that is cheap enough to be taken at each rung. Rungs,
rankings and samplers compare several of them by domination: a config is better than another that it equals in every
objective and surpasses in one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tune_lpc.plan.errors import nearest, shown
from tune_lpc.plan.record import SCORE

MOST_OBJECTIVES = 3
"""With more, hardly a config is better than another in all of them, and rungs and rankings say nothing."""
ONE_SCORE = (SCORE,)
"""The objectives of a search that does not say others."""
MIN, MAX = "min", "max"
MEASURE = "measure."
_SMALLEST = 1e-300
Values = tuple[float, ...]
"""What a config has reached, an objective each, in the order in which the space names them."""


@dataclass(frozen=True)
class Range:
    """The values that an objective may well have, by which objectives of different kinds are drawn to one scale.

    direction: the natural one; None where neither is, and the user must say. low, high: the one that is worse is the
    reference point of the hypervolume; a value beyond it counts for nothing. log: whether the scale is logarithmic.
    """

    direction: str | None
    low: float
    high: float
    log: bool = True


_SHARE = Range(MAX, 0.0, 1.0, log=False)
_COLUMNS: Mapping[str, Range] = {
    "validation_accuracy": _SHARE,
    "train_accuracy": _SHARE,
    "validation_loss": Range(MIN, 1e-3, 10.0),
    "train_classification": Range(MIN, 1e-6, 10.0),
    "mean_norm": Range(None, 1e-6, 1e4),
    "nc1": Range(MIN, 1e-6, 100.0),
}
_MEASURES: Mapping[str, Range] = {
    "nc2_equinorm": Range(MIN, 1e-4, 10.0),
    "nc2_equiangular": Range(MIN, 1e-4, 1.0),
    "nc2_max_angle": Range(MIN, 1e-4, 2.0),
    "nc3_self_duality": Range(MIN, 1e-4, 4.0),
    "nc4_disagreement": Range(MIN, 0.0, 1.0, log=False),
    "within_class_covariance": Range(MIN, 1e-12, 100.0),
    "within_class_covariance_relative": Range(MIN, 1e-9, 1.0),
    "norm_variation": Range(MIN, 1e-4, 10.0),
    "entry_variation": Range(MIN, 1e-4, 10.0),
    "entropy": Range(None, -8.0, 1.5, log=False),
    "entropy_raw": Range(None, -20.0, 10.0, log=False),
    "distance_margin": Range(MAX, 0.1, 1e4),
    "knn_accuracy_20": _SHARE,
    "knn_accuracy_200": _SHARE,
}
_IN_THE_RECORD = ("nc1", "mean_norm")
"""Measures that each epoch's record has under the same name: asked for as measures they are taken from there."""
OBJECTIVES: Mapping[str, Range] = {
    **_COLUMNS,
    **{MEASURE + name: _COLUMNS[name] for name in _IN_THE_RECORD},
    **{MEASURE + name: of_measure for name, of_measure in _MEASURES.items()},
}
"""All that may be an objective, by name."""
_FOOLED = (
    "is fooled by collapsed networks, whose gradients vanish near the images: it calls robust what a short "
    "perturbation changes; take it as a --measure, not as an objective"
)
_SLOW = "takes longer than an epoch of a small network, and objectives are taken at each rung; take it as a --measure"
_WEIGHED = "is weighed by settings in which trials differ, so it can't compare them"
_SET = "is set by a schedule, and nothing that a network reaches"
_MACHINE = "tells of the machine and of what else runs on it"
_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("deepfool", "deepfool_median", "deepfool_correct", "deepfool_changed"), _FOOLED),
    **dict.fromkeys(("deepfool_excess", "pgd_l2", "pgd_linf"), _FOOLED),
    **dict.fromkeys(("shortest_flip", "shortest_flip_mean"), _SLOW),
    **dict.fromkeys(("margin_gradient_norm", "margin_gradient_norm_max"), _FOOLED),
    **dict.fromkeys(("margin_gradient_norm_relative", "margin_gradient_norm_max_relative"), _FOOLED),
    **dict.fromkeys(("binarity_score", "binarity_deviation", "binarity_peak_distance"), _SLOW),
    **dict.fromkeys(("train_loss", "train_penalty", "train_topological", "train_contrastive", "train_extra"), _WEIGHED),
    **dict.fromkeys(("gamma", "beta", "topological_weight", "learning_rate"), _SET),
    **dict.fromkeys(("images_per_second", "seconds"), _MACHINE),
    **dict.fromkeys(("budget", "epoch", "diverged"), "is no result of a training"),
}
"""Why a column or a measure is no objective."""


@dataclass(frozen=True)
class Objective:
    """One of several things to do well in.

    name: as in the tables, a column of epochs.parquet or `measure.<name>`. direction: "max" or "min".
    """

    name: str
    direction: str

    def __str__(self) -> str:
        return f"{self.name}:{self.direction}"

    @property
    def column(self) -> str | None:
        """The column of an epoch's record that holds it; None for a measure that is taken at rungs and at the end."""
        bare = self.name.removeprefix(MEASURE)
        return bare if bare in _COLUMNS else None

    @property
    def measure(self) -> str | None:
        """The measure that has to be taken for it; None where each epoch's record holds it."""
        return None if self.column is not None else self.name.removeprefix(MEASURE)

    @property
    def worst(self) -> float:
        """The reference point of the hypervolume."""
        return self._range.low if self.direction == MAX else self._range.high

    def scaled(self, value: float) -> float:
        """A finite value on a scale where more is better: 0 at the reference, 1 at the other end of the range."""
        low, high = self._range.low, self._range.high
        if self._range.log:
            value, low, high = (math.log10(max(number, _SMALLEST)) for number in (value, low, high))
        share = (value - low) / (high - low)
        return share if self.direction == MAX else 1.0 - share

    @property
    def _range(self) -> Range:
        return OBJECTIVES[self.name]


def objective_of(text: str) -> Objective:
    """The objective that a text such as "validation_accuracy" or "measure.nc1:min" names.

    Only of a text without `objective_problems`.
    """
    name, _, direction = text.partition(":")
    return Objective(name, direction or OBJECTIVES[name].direction or "")


def several_objectives(texts: Sequence[str]) -> tuple[Objective, ...]:
    """The objectives of a search that has several; none where it has one score."""
    return tuple(map(objective_of, texts)) if len(texts) > 1 else ()


def measures_of(texts: Sequence[str]) -> list[str]:
    """The measures that have to be taken for the objectives."""
    return [objective.measure for objective in several_objectives(texts) if objective.measure is not None]


def objectives_problems(texts: object) -> list[str]:
    """What is wrong with the objectives of a space, one line each; empty when nothing is."""
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        return [f"objectives is {shown(texts)}, but must be a list of names, such as ({SCORE!r}, 'measure.nc1:min')"]
    found = [problem for text in texts for problem in _problems(text)]
    names = [text.partition(":")[0] for text in texts]
    if not 1 <= len(texts) <= MOST_OBJECTIVES:
        found.append(f"objectives are {len(texts)}, but must be 1 to {MOST_OBJECTIVES}")
    bare = [name.removeprefix(MEASURE) if name.removeprefix(MEASURE) in _IN_THE_RECORD else name for name in names]
    for place, name in enumerate(bare):
        if name in bare[:place]:
            found.append(f"objective {names[place]} is named twice; keep one")
    if SCORE not in names:
        found.append(
            f"objectives lack {SCORE}, without which a network that has learnt nothing may be the best; add it"
        )
    return list(dict.fromkeys(found))


def _problems(text: str) -> list[str]:
    """What is wrong with one objective by itself."""
    name, colon, direction = text.partition(":")
    bare = name.removeprefix(MEASURE)
    if bare in _REFUSED:
        return [f"{name} can't be an objective: it {_REFUSED[bare]}"]
    if name not in OBJECTIVES:
        hint = nearest(MEASURE + bare if bare in _MEASURES else name, OBJECTIVES)
        return [f"there is no objective {name!r}{hint or ', it must be one of ' + ', '.join(OBJECTIVES)}"]
    if colon and direction not in (MIN, MAX):
        return [f"objective {text!r} must end in :{MIN} or :{MAX}, or name no direction"]
    if not direction and OBJECTIVES[name].direction is None:
        return [f"objective {name} has no natural direction; say {name}:{MIN} or {name}:{MAX}"]
    if name == SCORE and direction == MIN:
        return [f"objective {text} looks for the worst networks; leave out :{MIN}"]
    return []
