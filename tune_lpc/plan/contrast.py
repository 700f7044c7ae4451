"""The supervised contrastive loss (arXiv 2004.11362), added to the classification."""

from __future__ import annotations

from dataclasses import dataclass

from tune_lpc.plan.dimensions import Dimension, Float
from tune_lpc.plan.settings import Value, in_effect, setting

RANGES: dict[str, Dimension] = {
    "contrastive_weight": Float(0.1, 2.0, log=True),
    "contrastive_temperature": Float(0.02, 0.5, log=True),
}
"""What the methods with this loss search, where a space says nothing of it."""
START: dict[str, Value] = {"contrastive_weight": 1.0, "contrastive_temperature": 0.05}
"""Where they begin then."""


@dataclass(frozen=True)
class Contrast:
    """The contrastive loss, constant throughout training."""

    weight: float
    temperature: float


_ON = ({"contrastive": ("supervised",)},)


@dataclass(frozen=True)
class ContrastSettings:
    """The settings of the contrastive loss, by their public names."""

    contrastive: str = setting("off", "contrastive loss added to the classification", choices=("off", "supervised"))
    contrastive_weight: float | None = setting(1.0, "weight of the contrastive loss", above=0.0, needs=_ON)
    contrastive_temperature: float | None = setting(0.05, "temperature of the contrastive loss", above=0.0, needs=_ON)

    @property
    def contrast(self) -> Contrast | None:
        """The contrastive loss; None where it is off."""
        if self.contrastive == "off":
            return None
        return Contrast(in_effect(self.contrastive_weight), in_effect(self.contrastive_temperature))
