"""ArcFace (arXiv 1801.07698) and CosFace (arXiv 1801.09414): margin and scale in place of plain cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass

from tune_lpc.plan.dimensions import Dimension, Float
from tune_lpc.plan.settings import Value, in_effect, setting

KINDS = ("arcface", "cosface")
MARGIN_START, MARGIN_SLOPE = 0.1, 10.0
SCALE_START, SCALE_SLOPE = 16.0, 1000.0
"""Margin and scale grow by 0.01 and 1 an epoch over the 1000 epochs of the latent-point-collapse paper."""


def ranges(highest_margin: float) -> dict[str, Dimension]:
    """What a method of this kind searches, where a space says nothing of it."""
    return {"margin": Float(0.1, highest_margin), "scale": Float(16.0, 96.0, log=True)}


def start(margin: float) -> dict[str, Value]:
    """Where it begins then."""
    return {"margin": margin, "scale": 64.0}


@dataclass(frozen=True)
class AngularMargin:
    """The margin between classes and the scale of the cosines, each growing to its end.

    kind: "arcface", a margin on the angle, or "cosface", on its cosine.
    """

    kind: str
    margin: float
    scale: float

    def margin_at(self, t: float) -> float:
        """The margin at progress t, from 0.1 up to its end, or that throughout where it is less."""
        return min(self.margin, MARGIN_START + MARGIN_SLOPE * t)

    def scale_at(self, t: float) -> float:
        """The scale of the cosines at progress t, from 16 up to its end."""
        return min(self.scale, SCALE_START + SCALE_SLOPE * t)


_ON = ({"classification": KINDS},)


@dataclass(frozen=True)
class MarginSettings:
    """The settings of the classification loss, by their public names."""

    classification: str = setting(
        "cross_entropy",
        "the classification loss; arcface and cosface set an angular margin and take the bias from the output layer",
        choices=("cross_entropy", *KINDS),
    )
    margin: float | None = setting(0.5, "margin at the end of its ramp", low=0.0, high=1.5, needs=_ON)
    scale: float | None = setting(64.0, "scale of the cosines at the end of its ramp", above=0.0, needs=_ON)

    @property
    def angular_margin(self) -> AngularMargin | None:
        """The margin; None for plain cross-entropy."""
        if self.classification == "cross_entropy":
            return None
        return AngularMargin(self.classification, in_effect(self.margin), in_effect(self.scale))
