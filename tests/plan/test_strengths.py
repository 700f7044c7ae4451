"""What the schedules say at one moment, and that a run of any length goes through the whole of them."""

from __future__ import annotations

import pytest

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.schedules import progress
from tune_lpc.plan.strengths import Strengths


def strengths(t: float, **settings: str | float) -> Strengths:
    return Strengths.at(TrialSpec.build({"learning_rate": 0.1, **settings}), t)


def test_what_is_off_is_0_and_leaves_logits_as_they_are() -> None:
    found = strengths(0.5)
    assert (found.gamma, found.topological_weight, found.beta, found.margin, found.scale) == (0, 0, 0, 0, 1)


def test_the_learning_rate_warms_up_linearly() -> None:
    warm_up = {"warmup_length": 0.01, "warmup_factor": 0.1, "learning_rate_hold": 0.5}
    assert [strengths(t, **warm_up).learning_rate for t in (0, 0.005, 0.01)] == pytest.approx([0.01, 0.055, 0.1])


def test_the_output_layer_may_keep_its_learning_rate() -> None:
    scheduled, constant = strengths(0.9), strengths(0.9, output_learning_rate="constant")
    assert scheduled.output_learning_rate == scheduled.learning_rate < 0.01
    assert constant.learning_rate == scheduled.learning_rate
    assert constant.output_learning_rate == 0.1


def test_each_part_that_is_on_follows_its_settings() -> None:
    found = strengths(
        0.36,
        gamma_ramp="linear",
        gamma_start=1.0,
        gamma_end=2.0,
        gamma_ramp_length=1.0,
        topological_weight_schedule="rising",
        topological_weight=0.5,
        beta_schedule="sliding",
        beta=2.0,
        classification="arcface",
    )
    assert found.gamma == pytest.approx(1.36)
    assert (found.topological_weight, found.beta) == (pytest.approx(0.18), pytest.approx(1.6))
    assert (found.margin, found.scale) == (0.5, 64.0)


@pytest.mark.parametrize("epochs", [2, 3, 4, 36])
@pytest.mark.parametrize("steps_per_epoch", [20, 400])
def test_a_run_of_any_length_comes_within_a_step_of_the_end_of_every_schedule(
    epochs: int, steps_per_epoch: int
) -> None:
    spec = TrialSpec.build(
        {
            "epochs": epochs,
            "learning_rate": 0.1,
            "gamma_ramp": "exponential",
            "gamma_start": 1e-2,
            "gamma_end": 1e7,
            "gamma_ramp_length": 1.0,
            "topological_weight_schedule": "rising",
            "beta_schedule": "linear",
            "classification": "cosface",
            "scale": 900.0,
            "margin": 1.5,
        }
    )
    steps = epochs * steps_per_epoch
    last = Strengths.at(spec, progress(steps - 1, steps))
    left = 1 / steps + 1e-3  # of the schedule at the last step, at most
    assert 1e7 * (1e-2 / 1e7) ** left <= last.gamma <= 1e7
    assert last.learning_rate <= 0.1 * (1.6 * left) ** 2  # half a cosine: near its end the square of what is left
    assert last.beta <= left
    assert last.topological_weight >= 0.1 * (1 - left)
    assert (last.margin, last.scale) == (1.5, 900.0)
