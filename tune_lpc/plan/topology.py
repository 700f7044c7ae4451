"""Topological densification (arXiv 2002.04805) and its sliding form: the weight of the loss, and the scale beta."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tune_lpc.plan.dimensions import Choice, Dimension, Float
from tune_lpc.plan.settings import Value, in_effect, setting

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
    """

    weight_schedule: str
    weight: float
    beta_schedule: str
    beta: float
    distance: str
    backend: str = "auto"

    def weight_at(self, t: float) -> float:
        """The weight of the loss at progress t."""
        return self.weight * WEIGHT_SCHEDULES[self.weight_schedule](t)

    def beta_at(self, t: float) -> float:
        """The scale of the persistence at progress t."""
        return self.beta * BETA_SCHEDULES[self.beta_schedule](t)


ON = {"topological_weight_schedule": tuple(WEIGHT_SCHEDULES)}
"""The way in which the topological loss is on."""


@dataclass(frozen=True)
class TopologySettings:
    """The settings of the topological loss, by their public names."""

    topological_weight_schedule: str = setting(
        "off", "constant, or rising linearly from 0", choices=("off", *WEIGHT_SCHEDULES)
    )
    topological_weight: float | None = setting(0.1, "weight of the topological loss", above=0.0, needs=(ON,))
    beta_schedule: str | None = setting(
        "constant",
        "constant, sliding (falling as a square root) or linear (falling)",
        choices=tuple(BETA_SCHEDULES),
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
        )
