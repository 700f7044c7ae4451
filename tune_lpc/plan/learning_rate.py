"""The learning rate: warm-up, hold, half a cosine; the output layer's may stay constant (arXiv 2310.08224)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tune_lpc.plan.settings import Above, setting


@dataclass(frozen=True)
class LearningRate:
    """The learning rate over training: `start` until `hold`, then half a cosine down to `end`.

    hold, warmup_length: shares of training. In the warm-up it rises linearly from `warmup_factor` of itself.
    output_is_constant: whether the output layer keeps `start` throughout.
    """

    start: float
    hold: float
    end: float
    warmup_length: float = 0.0
    warmup_factor: float = 1.0
    output_is_constant: bool = False

    def __call__(self, t: float) -> float:
        """The learning rate at progress t, of all layers but perhaps the output layer."""
        warm = 1.0
        if t < self.warmup_length:
            warm = self.warmup_factor + (1.0 - self.warmup_factor) * t / self.warmup_length
        if t <= self.hold:
            return warm * self.start
        share = (t - self.hold) / (1.0 - self.hold)
        return warm * (self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2)

    def of_output(self, t: float) -> float:
        """The learning rate of the output layer at progress t."""
        return self.start if self.output_is_constant else self(t)


@dataclass(frozen=True)
class LearningRateSettings:
    """The settings of the learning rate, by their public names."""

    learning_rate: float = setting(1e-3, "learning rate at the start", above=0.0)
    learning_rate_hold: float = setting(0.0, "share of training before the cosine sets in", low=0.0, high=0.99)
    learning_rate_end: float = setting(0.0, "learning rate at the end of the cosine", low=0.0)
    warmup_length: float = setting(0.0, "share of training in which the learning rate warms up", low=0.0, high=0.5)
    warmup_factor: float | None = setting(
        0.1,
        "share of the learning rate that the warm-up starts from",
        above=0.0,
        high=1.0,
        needs=({"warmup_length": Above(0.0)},),
    )
    output_learning_rate: str = setting(
        "scheduled",
        "learning rate of the output layer: as that of all others, or constant at its start",
        choices=("scheduled", "constant"),
    )

    @property
    def learning_rates(self) -> LearningRate:
        """The learning rate over training."""
        return LearningRate(
            self.learning_rate,
            self.learning_rate_hold,
            self.learning_rate_end,
            self.warmup_length,
            1.0 if self.warmup_factor is None else self.warmup_factor,
            self.output_learning_rate == "constant",
        )
