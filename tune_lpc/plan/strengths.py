"""What the schedules of a trial say for one epoch."""

from __future__ import annotations

from dataclasses import dataclass

from tune_lpc.plan.schedules import (
    BETA_SCHEDULES,
    WEIGHT_SCHEDULES,
    GammaRamp,
    angular_margin,
    cosine_scale,
    learning_rate,
    progress,
    warm_up,
)
from tune_lpc.plan.trial import TrialSpec


@dataclass(frozen=True)
class Strengths:
    """The strengths in force in one epoch; 0 or None where a part of the loss is off."""

    learning_rate: float
    output_learning_rate: float
    gamma: float
    topological_weight: float
    beta: float | None
    margin: float | None
    scale: float | None

    @classmethod
    def at(cls, spec: TrialSpec, epoch: int) -> Strengths:
        """The strengths with which `epoch` (from 1) trains."""
        t = progress(epoch, spec.epochs)
        warm = warm_up(t, spec.warmup_length, spec.warmup_factor)
        rate = warm * learning_rate(t, spec.learning_rate, spec.learning_rate_end, spec.learning_rate_hold)
        constant = spec.output_learning_rate == "constant"
        gamma = weight = 0.0
        beta = margin = scale = None
        if spec.gamma_ramp != "off":
            assert spec.gamma_start is not None and spec.gamma_end is not None
            assert spec.gamma_ramp_begin is not None and spec.gamma_ramp_length is not None
            ramp = GammaRamp(
                spec.gamma_ramp, spec.gamma_start, spec.gamma_end, spec.gamma_ramp_begin, spec.gamma_ramp_length
            )
            gamma = ramp(t)
        if spec.topological:
            assert spec.topological_weight is not None and spec.beta is not None and spec.beta_schedule is not None
            weight = spec.topological_weight * WEIGHT_SCHEDULES[spec.topological_weight_schedule](t)
            beta = spec.beta * BETA_SCHEDULES[spec.beta_schedule](t)
        if spec.classification != "cross_entropy":
            assert spec.margin is not None and spec.scale is not None
            margin, scale = angular_margin(t, spec.margin), cosine_scale(t, spec.scale)
        return cls(rate, spec.learning_rate if constant else rate, gamma, weight, beta, margin, scale)
