"""What the schedules say, epoch by epoch."""

from __future__ import annotations

import pytest

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.strengths import Strengths


def strengths(epoch: int, **settings: str | float) -> Strengths:
    return Strengths.at(TrialSpec.build({"epochs": 1000, "learning_rate": 0.1, **settings}), epoch)


def test_what_is_off_is_zero_or_none() -> None:
    found = strengths(500)
    assert (found.gamma, found.topological_weight, found.beta, found.margin, found.scale) == (0, 0, None, None, None)


def test_the_learning_rate_warms_up_linearly() -> None:
    rates = [
        strengths(epoch, warmup_length=0.01, warmup_factor=0.1, learning_rate_hold=0.5).learning_rate
        for epoch in (1, 6, 11)
    ]
    assert rates == pytest.approx([0.01, 0.055, 0.1])


def test_the_output_layer_may_keep_its_learning_rate() -> None:
    scheduled, constant = strengths(900), strengths(900, output_learning_rate="constant")
    assert scheduled.output_learning_rate == scheduled.learning_rate < 0.01
    assert constant.learning_rate == scheduled.learning_rate
    assert constant.output_learning_rate == 0.1


@pytest.mark.parametrize("epoch", [1, 2, 11, 41, 49, 60, 1000])
def test_arcface_grows_as_the_paper_has_it_over_1000_epochs(epoch: int) -> None:
    found = strengths(epoch, classification="arcface")
    assert found.scale == pytest.approx(min(16 + (epoch - 1), 64))
    assert found.margin == pytest.approx(min(0.1 + 0.01 * (epoch - 1), 0.5))
