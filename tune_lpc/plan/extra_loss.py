"""A loss term of the user's own, added to the others."""

from __future__ import annotations

from dataclasses import dataclass

from tune_lpc.plan.own_code import OWN
from tune_lpc.plan.settings import AnyForm, in_effect, setting


@dataclass(frozen=True)
class ExtraLoss:
    """A term of the user's own, constant in weight. reference: FILE.py:FUNCTION."""

    reference: str
    weight: float


@dataclass(frozen=True)
class ExtraLossSettings:
    """The settings of the user's own term, by their public names."""

    extra_loss: str = setting(
        "off",
        "a loss term of your own, added to the others: FILE.py:FUNCTION",
        choices=("off",),
        forms=AnyForm((OWN,)),
        later=True,
    )
    extra_loss_weight: float | None = setting(
        1.0, "weight of that term", above=0.0, needs=({"extra_loss": AnyForm((OWN,))},), later=True
    )

    @property
    def own_term(self) -> ExtraLoss | None:
        """The user's own term; None where there is none."""
        if self.extra_loss == "off":
            return None
        return ExtraLoss(self.extra_loss, in_effect(self.extra_loss_weight))
