"""What the schedules of a trial say at one moment of its training."""

from __future__ import annotations

from dataclasses import dataclass

from tune_lpc.plan.trial import TrialSpec


@dataclass(frozen=True)
class Strengths:
    """The strengths in force at one step; 0 where a part of the loss is off, and the scale of the logits then 1.

    progress: of the training at that step, see `tune_lpc.plan.schedules`.
    """

    progress: float
    learning_rate: float
    output_learning_rate: float
    gamma: float
    topological_weight: float
    beta: float
    margin: float
    scale: float

    @classmethod
    def at(cls, spec: TrialSpec, t: float) -> Strengths:
        """The strengths at progress t, see `tune_lpc.plan.schedules`."""
        rates, gamma, topology, margin = spec.learning_rates, spec.gamma, spec.topology, spec.angular_margin
        return cls(
            progress=t,
            learning_rate=rates(t),
            output_learning_rate=rates.of_output(t),
            gamma=gamma(t) if gamma else 0.0,
            topological_weight=topology.weight_at(t) if topology else 0.0,
            beta=topology.beta_at(t) if topology else 0.0,
            margin=margin.margin_at(t) if margin else 0.0,
            scale=margin.scale_at(t) if margin else 1.0,
        )
