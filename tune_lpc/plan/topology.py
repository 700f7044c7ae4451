"""Topological densification (arXiv 2002.04805) and its sliding form: the weight of the loss, and the scale beta."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tune_lpc.plan.dimensions import Choice, Dimension, Float
from tune_lpc.plan.settings import Above, Value, Way, in_effect, setting
from tune_lpc.plan.spline import LEAST_KNOTS, MOST_KNOTS, way_done

WEIGHT_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,
    "rising": lambda t: t,
}
"""Share of the topological weight in force at progress t; "rising" is that of the sliding regulariser."""
BETA_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,
    "sliding": lambda t: math.sqrt(max(0.0, 1.0 - t)),
    "linear": lambda t: 1.0 - t,
}
"""Share of the start value of beta in force at progress t; "sliding" falls as sqrt(1 - t)."""
RANGES: dict[str, Dimension] = {
    "topological_weight": Float(1e-3, 3e-1, log=True),
    "beta": Float(0.1, 2.0),
    "distance": Choice(["l1", "l2"]),
}
"""What the methods of topological densification search, where a space says nothing of it."""
START: dict[str, Value] = {"topological_weight": 0.1, "beta": 1.0, "distance": "l2"}
"""Where they begin then."""


@dataclass(frozen=True)
class Topology:
    """The topological loss: `weight` times the distance of the persistence from `beta`, each by its schedule.

    distance: between representations, "l2" or "l1". backend: what computes the persistence.
    beta_schedule "spline": beta falls from its start to `beta_end_share` of it, in any shape that never rises, through
    `beta_knots` between (`plan.spline`).
    """

    weight_schedule: str
    weight: float
    beta_schedule: str
    beta: float
    distance: str
    backend: str = "auto"
    beta_knots: tuple[float, ...] = ()
    beta_end_share: float = 0.0

    def weight_at(self, t: float) -> float:
        """The weight of the loss at progress t."""
        return self.weight * WEIGHT_SCHEDULES[self.weight_schedule](t)

    def beta_at(self, t: float) -> float:
        """The scale of the persistence at progress t."""
        if self.beta_schedule == "spline":
            return self.beta * (1 - (1 - self.beta_end_share) * way_done(self.beta_knots, t))
        return self.beta * BETA_SCHEDULES[self.beta_schedule](t)


ON = {"topological_weight_schedule": tuple(WEIGHT_SCHEDULES)}
"""The way in which the topological loss is on."""
_SPLINE: Way = {**ON, "beta_schedule": ("spline",)}
_KNOT = (
    "where beta lies at the {} knot between the ends of its spline, from the knot before (-1) over the straight way "
    "(0) to its end (1)"
)


@dataclass(frozen=True)
class TopologySettings:
    """The settings of the topological loss, by their public names."""

    topological_weight_schedule: str = setting(
        "off", "constant, or rising linearly from 0", choices=("off", *WEIGHT_SCHEDULES)
    )
    topological_weight: float | None = setting(0.1, "weight of the topological loss", above=0.0, needs=(ON,))
    beta_schedule: str | None = setting(
        "constant",
        "constant, sliding (falling as a square root), linear (falling), or spline (falling in a shape of its own)",
        choices=(*BETA_SCHEDULES, "spline"),
        later_choices=("spline",),
        needs=(ON,),
    )
    beta: float | None = setting(1.0, "scale of the persistence, at the start", low=0.0, needs=(ON,))
    distance: str | None = setting("l2", "distance between representations", choices=("l2", "l1"), needs=(ON,))
    persistence_backend: str | None = setting(
        "auto",
        "what computes the persistence: our own kernels (auto), plain torch, or a reference implementation",
        choices=("auto", "plain", "gudhi", "torchph"),
        needs=(ON,),
    )
    beta_knots: int | None = setting(
        4,
        "knots of beta's spline, evenly spaced over training, the two ends among them",
        low=LEAST_KNOTS,
        high=MOST_KNOTS,
        needs=(_SPLINE,),
        later=True,
    )
    beta_knot_1: float | None = setting(0.0, _KNOT.format("first"), low=-1.0, high=1.0, needs=(_SPLINE,), later=True)
    beta_knot_2: float | None = setting(
        0.0, _KNOT.format("second"), low=-1.0, high=1.0, needs=({**_SPLINE, "beta_knots": Above(3)},), later=True
    )
    beta_knot_3: float | None = setting(
        0.0, _KNOT.format("third"), low=-1.0, high=1.0, needs=({**_SPLINE, "beta_knots": Above(4)},), later=True
    )
    beta_end_share: float | None = setting(
        0.0,
        "beta at the end of its spline, as a share of that at its start",
        low=0.0,
        high=1.0,
        needs=(_SPLINE,),
        later=True,
    )

    @property
    def topological(self) -> bool:
        """Whether the topological loss is on."""
        return self.topological_weight_schedule != "off"

    @property
    def topology(self) -> Topology | None:
        """The topological loss; None where it is off."""
        if not self.topological:
            return None
        return Topology(
            self.topological_weight_schedule,
            in_effect(self.topological_weight),
            in_effect(self.beta_schedule),
            in_effect(self.beta),
            in_effect(self.distance),
            in_effect(self.persistence_backend),
            self._beta_knots,
            self.beta_end_share or 0.0,  # none without a spline
        )

    @property
    def _beta_knots(self) -> tuple[float, ...]:
        knots = (self.beta_knot_1, self.beta_knot_2, self.beta_knot_3)
        return tuple(knot for knot in knots if knot is not None)
