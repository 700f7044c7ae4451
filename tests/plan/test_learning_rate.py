from __future__ import annotations

from itertools import pairwise

import pytest

from tune_lpc.plan.learning_rate import LearningRate


def test_the_learning_rate_holds_and_then_falls_to_its_end() -> None:
    rate = LearningRate(8e-4, 0.2, 1e-8)
    rates = [rate(i / 1000) for i in range(1001)]
    assert set(rates[:201]) == {8e-4}
    assert all(earlier > later for earlier, later in pairwise(rates[200:]))
    assert rates[600] == pytest.approx((8e-4 + 1e-8) / 2)
    assert rates[1000] == pytest.approx(1e-8)


def test_a_learning_rate_without_hold_is_half_a_cosine() -> None:
    rate = LearningRate(1.0, 0.0, 0.0)
    assert [rate(t) for t in (0.0, 1 / 3, 0.5, 2 / 3, 1.0)] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0], abs=1e-12)


def test_it_warms_up_linearly() -> None:
    rate = LearningRate(0.1, 0.5, 0.0, warmup_length=0.01, warmup_factor=0.1)
    assert [rate(t) for t in (0.0, 0.005, 0.01, 0.3)] == pytest.approx([0.01, 0.055, 0.1, 0.1])


def test_that_of_the_output_layer_may_stay_constant() -> None:
    scheduled, constant = LearningRate(0.1, 0.0, 0.0), LearningRate(0.1, 0.0, 0.0, output_is_constant=True)
    assert scheduled.of_output(0.9) == scheduled(0.9) == constant(0.9) < 0.01
    assert constant.of_output(0.9) == 0.1
