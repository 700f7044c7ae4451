"""The methods that the papers compare, each with its own parameters, as changes to a search space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tune_lpc.plan import contrast, gamma, margin, topology
from tune_lpc.plan.dimensions import Choice, Dimension, Float
from tune_lpc.plan.errors import shown
from tune_lpc.plan.settings import Value

DEFAULT_METHOD = "lpc_topological"


@dataclass(frozen=True)
class Method:
    """A named way of training.

    text: what it is, with its source. settings: what it fixes. dimensions: its own parameters, with the ranges used
    where the space has none for them; where the space has, those are kept, less the option "off".
    start: the paper's values of its own parameters, for the configs that a search begins with.
    """

    name: str
    text: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    dimensions: Mapping[str, Dimension] = field(default_factory=dict)
    start: Mapping[str, Value] = field(default_factory=dict)


METHOD_SWITCHES = (
    "gamma_ramp",
    "topological_weight_schedule",
    "beta_schedule",
    "classification",
    "contrastive",
    "dropout",
    "head",
)
"""Settings that make a method what it is: what a method fixes of them can't be changed under its name."""

OFF: Mapping[str, Value] = {
    "gamma_ramp": "off",
    "topological_weight_schedule": "off",
    "classification": "cross_entropy",
    "contrastive": "off",
}
"""What switches a regulariser on, and its value where that one is off."""


def regularisers_on(config: Mapping[str, Any]) -> int:
    """How many regularisers of the representations a config has on; of configs as good, the fewer the simpler."""
    return sum(config.get(name, off) != off for name, off in OFF.items())


_P, _H, _T = "arXiv 2310.08224", "arXiv 2002.04805", "the sliding form of arXiv 2002.04805"
_NO_OTHERS: dict[str, Value] = {"classification": "cross_entropy", "contrastive": "off", "dropout": 0.0}
_NO_LPC: dict[str, Value] = {"gamma_ramp": "off", **_NO_OTHERS}
_NO_TOPOLOGY: dict[str, Value] = {"topological_weight_schedule": "off", **_NO_OTHERS}
_PLAIN = {**_NO_LPC, **_NO_TOPOLOGY}
_LINEAR: dict[str, Value] = {"head": "linear", "penultimate_width": 64}
_LPC: dict[str, Value] = {**_NO_TOPOLOGY, "output_learning_rate": "constant"}


METHODS = {
    method.name: method
    for method in (
        Method("vanilla", f"cross-entropy alone, on the backbone's features ({_P}, {_H})", {**_PLAIN, "head": "none"}),
        Method(
            "lpc",
            f"latent point collapse: L2 penalty on 64 linear dimensions ({_P})",
            {**_LPC, **_LINEAR},
            gamma.RANGES,
            gamma.START,
        ),
        Method(
            "lpc_wide",
            f"the same on 128 dimensions ({_P})",
            {**_LPC, **_LINEAR, "penultimate_width": 128},
            gamma.RANGES,
            gamma.START,
        ),
        Method(
            "lpc_narrow",
            f"the same on 32 dimensions ({_P})",
            {**_LPC, **_LINEAR, "penultimate_width": 32},
            gamma.RANGES,
            gamma.START,
        ),
        Method(
            "lpc_no_penultimate",
            f"the penalty on the backbone's features ({_P})",
            {**_LPC, "head": "none"},
            gamma.RANGES,
            gamma.START,
        ),
        Method(
            "lpc_supcon",
            f"latent point collapse with the supervised contrastive loss added ({_P})",
            {**_LPC, **_LINEAR, "contrastive": "supervised"},
            {**gamma.RANGES, **contrast.RANGES},
            {**gamma.START, **contrast.START},
        ),
        Method(
            "supcon",
            "supervised contrastive loss on the backbone's features, added to cross-entropy (arXiv 2004.11362)",
            {**_PLAIN, **_LINEAR, "contrastive": "supervised"},
            contrast.RANGES,
            contrast.START,
        ),
        Method(
            "arcface",
            "additive angular margin in place of cross-entropy (arXiv 1801.07698)",
            {**_PLAIN, **_LINEAR, "classification": "arcface"},
            margin.ranges(0.8),
            margin.start(0.5),
        ),
        Method(
            "cosface",
            "large cosine margin in place of cross-entropy (arXiv 1801.09414)",
            {**_PLAIN, **_LINEAR, "classification": "cosface"},
            margin.ranges(0.5),
            margin.start(0.35),
        ),
        Method(
            "linear_penultimate", f"cross-entropy with a linear penultimate layer of 64 ({_P})", {**_PLAIN, **_LINEAR}
        ),
        Method(
            "nonlinear_penultimate",
            f"the same with an activation after that layer ({_P})",
            {**_PLAIN, **_LINEAR, "head": "nonlinear"},
        ),
        Method(
            "dropout_penultimate",
            f"dropout on a linear penultimate layer of 64 ({_P})",
            {name: value for name, value in {**_PLAIN, **_LINEAR}.items() if name != "dropout"},
            {"dropout": Float(0.05, 0.7)},
            {"dropout": 0.5},
        ),
        Method(
            "topological",
            f"topological densification with constant weight and beta ({_H})",
            {**_NO_LPC, "head": "none", "topological_weight_schedule": "constant", "beta_schedule": "constant"},
            topology.RANGES,
            topology.START,
        ),
        Method(
            "sliding",
            f"the weight rises from 0 while beta falls to 0 ({_T})",
            {**_NO_LPC, "head": "none", "topological_weight_schedule": "rising", "beta_schedule": "sliding"},
            topology.RANGES,
            topology.START,
        ),
        Method(
            DEFAULT_METHOD,
            f"both regularisers, as the space has them, off among their options ({_P}, {_H}); the default",
        ),
    )
}
"""By name, in the order in which they are listed."""


def dimensions_of(
    method: Method, searched: Mapping[str, Dimension], fixed: Mapping[str, Value]
) -> dict[str, Dimension]:
    """The dimensions of a space under `method`, given what it searches and fixes; first those that the space lacks."""
    found: dict[str, Dimension] = {}
    added = added_by(method, searched, fixed)
    for name, dimension in {**added, **searched, **added}.items():
        if name in method.settings:
            continue
        if name in method.dimensions and isinstance(dimension, Choice) and "off" in dimension.options:
            options = [option for option in dimension.options if option != "off"]
            dimension = replace(dimension, options=options, prior=None if dimension.prior == "off" else dimension.prior)
        found[name] = dimension
    return found


def added_by(method: Method, searched: Mapping[str, Dimension], fixed: Mapping[str, Value]) -> dict[str, Dimension]:
    """The method's own parameters that are neither searched nor fixed; "off" alone does not count."""
    known = {name for name, dimension in searched.items() if not _is_off(dimension)}
    known |= {name for name, value in fixed.items() if value != "off"}
    return {name: dimension for name, dimension in method.dimensions.items() if name not in known}


def _is_off(dimension: Dimension) -> bool:
    return isinstance(dimension, Choice) and list(dimension.options) == ["off"]


def overridden_by(method: Method, fixed: Mapping[str, Value]) -> list[str]:
    """A line that says which settings of a space the method sets to another value; none where it sets none."""
    changed = [
        f"{name}={value} in place of {shown(fixed[name])}"
        for name, value in method.settings.items()
        if name in fixed and fixed[name] != value
    ]
    return [f"method {method.name} sets {', '.join(changed)}"] if changed else []
