"""Latent point collapse (arXiv 2310.08224): the ramp of gamma, the strength of the L2 penalty."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tune_lpc.plan.dimensions import Choice, Dimension, Float
from tune_lpc.plan.settings import Above, Value, Way, in_effect, setting
from tune_lpc.plan.spline import LEAST_KNOTS, MOST_KNOTS, way_done

NAMED = ("two_regime", "exponential", "linear", "cosine")
KINDS = (*NAMED, "spline")
FAST_FACTOR = 2.0
SLOW_FACTOR = 1.25
SLOW_SPAN = 1e3
"""The second regime of the two-regime ramp covers the last factor of 1e3 (1e3 to 1e6 in the paper)."""
RANGES: dict[str, Dimension] = {
    "gamma_ramp": Choice(NAMED),
    "gamma_start": Float(1e-5, 1e-2, log=True),
    "gamma_end": Float(1.0, 1e6, log=True),
    "gamma_ramp_length": Float(0.1, 0.8),
}
"""What the methods of latent point collapse search, where a space says nothing of it."""
START: dict[str, Value] = {"gamma_ramp": "two_regime", "gamma_end": 1e4}
"""Where they begin then, else with the defaults: the paper's ramp, but to an end that suits fewer than 1000 epochs."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class GammaRamp:
    """The strength gamma of the L2 penalty on the penultimate representation, from `start` to `end`.

    kind: "exponential" (straight in the logarithm), "linear", "cosine" (half a cosine), "two_regime", or "spline": of
    any shape that never falls, in the logarithm, through `knots` between its ends (`plan.spline`).
    begin, length: shares of training; the ramp stands at `start` until `begin` and at `end` from
    `begin + length` on.
    convention: whether gamma weighs the "mean" of z squared over the dimensions or the "sum".

    "two_regime" is a staircase: gamma doubles on each stair until `end / 1e3`, then grows by 1.25 a stair.
    `hold` is how many stairs it rests at `end / 1e3` between the regimes. With start 1e-4, end 1e6, length 0.266
    and hold 0.2 this is the paper's schedule over 1000 epochs, epoch by epoch.
    """

    kind: str
    start: float
    end: float
    begin: float = 0.0
    length: float = 1.0
    hold: float = 0.2
    convention: str = "mean"
    knots: tuple[float, ...] = ()

    def __call__(self, t: float) -> float:
        """Gamma at progress t."""
        if t < self.begin - _ROUNDING:
            return self.start
        share = min(1.0, max(0.0, (t - self.begin) / self.length))
        if self.kind == "two_regime":
            return self._staircase(share)
        if share >= 1.0:
            return self.end
        if self.kind in ("exponential", "spline"):
            growth: float = (self.end / self.start) ** (share if self.kind == "exponential" else self._done(share))
            return self.start * growth
        if self.kind == "linear":
            return self.start + (self.end - self.start) * share
        if self.kind == "cosine":
            return self.start + (self.end - self.start) * (1 - math.cos(math.pi * share)) / 2
        raise ValueError(f"gamma ramp {self.kind!r} is not known")

    def _done(self, share: float) -> float:
        return way_done(self.knots, share)

    def _staircase(self, share: float) -> float:
        middle = max(self.start, self.end / SLOW_SPAN)
        fast = _stairs(middle / self.start, FAST_FACTOR)
        slow = _stairs(self.end / middle, SLOW_FACTOR)
        rest = self.hold if fast else 0.0
        before_rest = max(0, fast - 1)
        last_stair = before_rest + rest + max(0, slow - 1)
        stair = share * last_stair + _ROUNDING
        if stair < before_rest:
            return min(middle, self.start * FAST_FACTOR ** (math.floor(stair) + 1))
        stair -= before_rest
        if stair < rest:
            return middle
        return min(self.end, middle * SLOW_FACTOR ** (math.floor(stair - rest) + 1))


def _stairs(ratio: float, factor: float) -> int:
    """How many multiplications by `factor` reach `ratio`."""
    return math.ceil(math.log(ratio) / math.log(factor) - _ROUNDING)


_ON = ({"gamma_ramp": KINDS},)
_SPLINE: Way = {"gamma_ramp": ("spline",)}
_KNOT = (
    "where the logarithm of gamma lies at the {} knot between the ends of its spline, from the knot before (-1) over "
    "the straight way (0) to its end (1)"
)


@dataclass(frozen=True)
class GammaSettings:
    """The settings of the ramp, by their public names."""

    gamma_ramp: str = setting("off", "how gamma grows", choices=("off", *KINDS), later_choices=("spline",))
    gamma_start: float | None = setting(1e-4, "gamma at the start of the ramp", above=0.0, needs=_ON)
    gamma_end: float | None = setting(1e6, "gamma at the end of the ramp", above=0.0, needs=_ON)
    gamma_ramp_begin: float | None = setting(0.0, "progress at which the ramp begins", low=0.0, high=0.99, needs=_ON)
    gamma_ramp_length: float | None = setting(
        0.266, "length of the ramp as a share of training", above=0.0, high=1.0, needs=_ON
    )
    penalty_convention: str | None = setting(
        "mean",
        "gamma weighs the mean of z squared over the dimensions, or its sum",
        choices=("mean", "sum"),
        needs=_ON,
    )
    gamma_knots: int | None = setting(
        4,
        "knots of gamma's spline, evenly spaced over its ramp, the two ends among them",
        low=LEAST_KNOTS,
        high=MOST_KNOTS,
        needs=(_SPLINE,),
        later=True,
    )
    gamma_knot_1: float | None = setting(0.0, _KNOT.format("first"), low=-1.0, high=1.0, needs=(_SPLINE,), later=True)
    gamma_knot_2: float | None = setting(
        0.0, _KNOT.format("second"), low=-1.0, high=1.0, needs=({**_SPLINE, "gamma_knots": Above(3)},), later=True
    )
    gamma_knot_3: float | None = setting(
        0.0, _KNOT.format("third"), low=-1.0, high=1.0, needs=({**_SPLINE, "gamma_knots": Above(4)},), later=True
    )

    @property
    def gamma(self) -> GammaRamp | None:
        """The ramp; None where it is off."""
        if self.gamma_ramp == "off":
            return None
        return GammaRamp(
            self.gamma_ramp,
            in_effect(self.gamma_start),
            in_effect(self.gamma_end),
            in_effect(self.gamma_ramp_begin),
            in_effect(self.gamma_ramp_length),
            convention=in_effect(self.penalty_convention),
            knots=self._knots,
        )

    @property
    def _knots(self) -> tuple[float, ...]:
        knots = (self.gamma_knot_1, self.gamma_knot_2, self.gamma_knot_3)
        return tuple(knot for knot in knots if knot is not None)

    def gamma_conflicts(self) -> list[str]:
        """What in these settings contradicts the rest of them, one line each."""
        ramp, found = self.gamma, []
        if ramp is not None and ramp.end <= ramp.start:
            found.append(f"gamma_end is {ramp.end:g}, but must be above gamma_start ({ramp.start:g})")
        if ramp is not None and ramp.begin + ramp.length > 1.0 + _ROUNDING:
            found.append(
                f"gamma_ramp_begin + gamma_ramp_length is {ramp.begin + ramp.length:g}, but must be 1 or less: "
                "the ramp must end within training"
            )
        return found
