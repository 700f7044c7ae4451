from __future__ import annotations

import pytest

from tune_lpc.plan.topology import BETA_SCHEDULES, WEIGHT_SCHEDULES, Topology


def test_a_rising_weight_grows_linearly_from_0() -> None:
    assert [WEIGHT_SCHEDULES["rising"](t) for t in (0.0, 0.25, 1.0)] == [0.0, 0.25, 1.0]


def test_a_sliding_beta_falls_as_a_square_root() -> None:
    assert [BETA_SCHEDULES["sliding"](t) for t in (0.0, 0.75, 1.0)] == [1.0, 0.5, 0.0]


def test_a_linear_beta_falls_linearly() -> None:
    assert [BETA_SCHEDULES["linear"](t) for t in (0.0, 0.75, 1.0)] == [1.0, 0.25, 0.0]


@pytest.mark.parametrize("schedules", [WEIGHT_SCHEDULES, BETA_SCHEDULES])
def test_a_constant_schedule_is_constant(schedules: dict[str, object]) -> None:
    constant = schedules["constant"]
    assert callable(constant)
    assert {constant(t / 10) for t in range(11)} == {1.0}


def test_the_loss_in_force_is_weight_and_beta_by_their_schedules() -> None:
    topology = Topology("rising", 0.2, "sliding", 3.0, "l2")
    assert [topology.weight_at(t) for t in (0.0, 0.5)] == pytest.approx([0.0, 0.1])
    assert [topology.beta_at(t) for t in (0.0, 0.75)] == pytest.approx([3.0, 1.5])
