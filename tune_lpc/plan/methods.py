"""The methods that the papers compare, each with its own parameters, as changes to a search space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tune_lpc.plan.dimensions import Choice, Dimension, Float
from tune_lpc.plan.trial import Value

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

WEIGHT_DECAY = {"weight_decay": Float(5e-5, 2e-1, log=True)}
"""Searched by every method, unless the space says otherwise."""

_P, _H, _T = "arXiv 2310.08224", "arXiv 2002.04805", "the sliding form of arXiv 2002.04805"
_NO_OTHERS: dict[str, Value] = {"classification": "cross_entropy", "contrastive": "off", "dropout": 0.0}
_NO_LPC: dict[str, Value] = {"gamma_ramp": "off", **_NO_OTHERS}
_NO_TOPOLOGY: dict[str, Value] = {"topological_weight_schedule": "off", **_NO_OTHERS}
_PLAIN = {**_NO_LPC, **_NO_TOPOLOGY}
_LINEAR: dict[str, Value] = {"head": "linear", "penultimate_width": 64}

_LPC: dict[str, Dimension] = {
    "gamma_ramp": Choice(["two_regime", "exponential", "linear", "cosine"]),
    "gamma_start": Float(1e-5, 1e-2, log=True),
    "gamma_end": Float(1.0, 1e7, log=True),
    "gamma_ramp_length": Float(0.1, 0.8),
}
_TOPOLOGY: dict[str, Dimension] = {
    "topological_weight": Float(1e-3, 3e-1, log=True),
    "beta": Float(0.1, 2.0),
    "distance": Choice(["l1", "l2"]),
}
_CONTRAST: dict[str, Dimension] = {
    "contrastive_weight": Float(0.1, 2.0, log=True),
    "contrastive_temperature": Float(0.02, 0.5, log=True),
}
_CONTRAST_START: dict[str, Value] = {"contrastive_weight": 1.0, "contrastive_temperature": 0.05}
_MARGIN_START: dict[str, Value] = {"margin": 0.5, "scale": 64.0}


def _margin(high: float) -> dict[str, Dimension]:
    return {"margin": Float(0.1, high), "scale": Float(16.0, 96.0, log=True)}


METHODS = {
    method.name: method
    for method in (
        Method("vanilla", f"cross-entropy alone, on the backbone's features ({_P}, {_H})", {**_PLAIN, "head": "none"}),
        Method(
            "lpc",
            f"latent point collapse: L2 penalty on 64 linear dimensions ({_P})",
            {**_NO_TOPOLOGY, **_LINEAR},
            _LPC,
        ),
        Method(
            "lpc_wide",
            f"the same on 128 dimensions ({_P})",
            {**_NO_TOPOLOGY, **_LINEAR, "penultimate_width": 128},
            _LPC,
        ),
        Method(
            "lpc_narrow",
            f"the same on 32 dimensions ({_P})",
            {**_NO_TOPOLOGY, **_LINEAR, "penultimate_width": 32},
            _LPC,
        ),
        Method(
            "lpc_no_penultimate",
            f"the penalty on the backbone's features ({_P})",
            {**_NO_TOPOLOGY, "head": "none"},
            _LPC,
        ),
        Method(
            "lpc_supcon",
            f"latent point collapse with the supervised contrastive loss added ({_P})",
            {**_NO_TOPOLOGY, **_LINEAR, "contrastive": "supervised"},
            {**_LPC, **_CONTRAST},
            _CONTRAST_START,
        ),
        Method(
            "supcon",
            "supervised contrastive loss on the backbone's features, added to cross-entropy (arXiv 2004.11362)",
            {**_PLAIN, **_LINEAR, "contrastive": "supervised"},
            _CONTRAST,
            _CONTRAST_START,
        ),
        Method(
            "arcface",
            "additive angular margin in place of cross-entropy (arXiv 1801.07698)",
            {**_PLAIN, **_LINEAR, "classification": "arcface"},
            _margin(0.8),
            _MARGIN_START,
        ),
        Method(
            "cosface",
            "large cosine margin in place of cross-entropy (arXiv 1801.09414)",
            {**_PLAIN, **_LINEAR, "classification": "cosface"},
            _margin(0.5),
            {**_MARGIN_START, "margin": 0.35},
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
            _TOPOLOGY,
            {"topological_weight": 0.1, "beta": 1.0, "distance": "l2"},
        ),
        Method(
            "sliding",
            f"the weight rises from 0 while beta falls to 0 ({_T})",
            {**_NO_LPC, "head": "none", "topological_weight_schedule": "rising", "beta_schedule": "sliding"},
            _TOPOLOGY,
            {"topological_weight": 0.1, "beta": 1.0, "distance": "l2"},
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
    """The dimensions of a space under `method`, given what it searches and fixes.

    Those that the space lacks come first, as others may be bound to them.
    """
    found: dict[str, Dimension] = {}
    for name, dimension in {**_lacking(method, searched, fixed), **searched}.items():
        if name in method.settings:
            continue
        if name in method.dimensions and isinstance(dimension, Choice) and "off" in dimension.options:
            dimension = Choice([option for option in dimension.options if option != "off"], dimension.when)
        found[name] = dimension
    return found


def _lacking(method: Method, searched: Mapping[str, Dimension], fixed: Mapping[str, Value]) -> dict[str, Dimension]:
    """The method's own parameters that are neither searched nor fixed; fixed at "off" does not count."""
    known = {*searched, *(name for name, value in fixed.items() if value != "off")}
    own = {**method.dimensions, **WEIGHT_DECAY}
    return {name: dimension for name, dimension in own.items() if name not in known}
