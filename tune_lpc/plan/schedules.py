"""Gamma, beta, topological weight and learning rate as functions of training progress.

Progress t runs from 0 (the first epoch) towards 1: epoch e of E, counted from 1, trains at
``progress(e, E) = (e - 1) / E``. No schedule counts epochs itself, so a run with fewer epochs goes through
the whole of every ramp. Sources: latent point collapse (arXiv 2310.08224) for gamma and the learning rate,
topological densification (arXiv 2002.04805) and its sliding form for weight and beta.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

SCHEDULES_VERSION = 2
FAST_FACTOR = 2.0
SLOW_FACTOR = 1.25
SLOW_SPAN = 1e3
"""The second regime of the two-regime ramp covers the last factor of 1e3 (1e3 to 1e6 in the paper)."""
_ROUNDING = 1e-9


def progress(epoch: int, epochs: int) -> float:
    """Progress at which `epoch` (from 1) of `epochs` trains, in [0, 1)."""
    return (epoch - 1) / epochs


@dataclass(frozen=True)
class GammaRamp:
    """The strength gamma of the L2 penalty on the penultimate representation, from `start` to `end`.

    kind: "exponential" (straight in the logarithm), "linear", "cosine" (half a cosine), or "two_regime".
    begin, length: shares of training; the ramp stands at `start` until `begin` and at `end` from
    `begin + length` on.

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

    def __call__(self, t: float) -> float:
        """Gamma at progress t."""
        if t < self.begin - _ROUNDING:
            return self.start
        share = min(1.0, max(0.0, (t - self.begin) / self.length))
        if self.kind == "two_regime":
            return self._staircase(share)
        if share >= 1.0:
            return self.end
        if self.kind == "exponential":
            growth: float = (self.end / self.start) ** share
            return self.start * growth
        if self.kind == "linear":
            return self.start + (self.end - self.start) * share
        if self.kind == "cosine":
            return self.start + (self.end - self.start) * (1 - math.cos(math.pi * share)) / 2
        raise ValueError(f"gamma ramp {self.kind!r} is not known")

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


MARGIN_START, MARGIN_SLOPE = 0.1, 10.0
SCALE_START, SCALE_SLOPE = 16.0, 1000.0
"""Margin and scale of ArcFace grow by 0.01 and 1 an epoch over the 1000 epochs of the latent-point-collapse paper."""


def angular_margin(t: float, end: float) -> float:
    """Margin of ArcFace or CosFace at progress t, from 0.1 up to `end`, or `end` throughout where that is less."""
    return min(end, MARGIN_START + MARGIN_SLOPE * t)


def cosine_scale(t: float, end: float) -> float:
    """Scale of the cosines of ArcFace or CosFace at progress t, from 16 up to `end`."""
    return min(end, SCALE_START + SCALE_SLOPE * t)


def warm_up(t: float, length: float, factor: float) -> float:
    """Share of the learning rate in force at progress t: from `factor` linearly to 1 at `length`."""
    return 1.0 if t >= length else factor + (1.0 - factor) * t / length


def learning_rate(t: float, start: float, end: float, hold: float) -> float:
    """Learning rate at progress t: `start` until `hold`, then half a cosine down to `end` at t = 1."""
    if t <= hold:
        return start
    share = (t - hold) / (1.0 - hold)
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
