"""Progress by the step."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_lpc.plan.schedules import SCHEDULES_VERSION, progress, progress_at_end


def test_progress_runs_from_0_to_just_below_1() -> None:
    assert [progress(step, 4) for step in range(4)] == [0.0, 0.25, 0.5, 0.75]
    assert (progress(0, 10**6), progress(10**6 - 1, 10**6)) == (0.0, 0.999)


@settings(max_examples=200)
@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_it_is_the_exact_share_of_the_steps_rounded_down_to_a_thousandth(steps: int, share: float) -> None:
    step = min(steps - 1, int(share * steps))
    exact = Fraction(step, steps)
    thousandths = round(1000 * progress(step, steps))
    assert progress(step, steps) == thousandths / 1000
    assert thousandths <= 1000 * exact < thousandths + 1


@pytest.mark.parametrize("steps_per_epoch", [1, 7, 390])
def test_in_a_run_of_1000_epochs_it_changes_with_the_epoch_alone(steps_per_epoch: int) -> None:
    steps = 1000 * steps_per_epoch
    for epoch in (1, 2, 271, 999, 1000):
        first = (epoch - 1) * steps_per_epoch
        found = {progress(step, steps) for step in range(first, first + steps_per_epoch)}
        assert found == {(epoch - 1) / 1000} == {progress_at_end(epoch, 1000)}


@pytest.mark.parametrize("epochs", [1, 3, 36, 310, 999, 1000, 1700])
def test_at_the_end_of_an_epoch_it_is_that_of_its_last_step_where_there_are_many(epochs: int) -> None:
    many = 10**6
    ends = [progress_at_end(epoch, epochs) for epoch in range(1, epochs + 1)]
    assert ends == [progress(epoch * many - 1, epochs * many) for epoch in range(1, epochs + 1)]
    assert all(before <= after for before, after in pairwise(ends))
    assert ends[-1] == 0.999


def test_what_the_schedules_mean_has_a_version() -> None:
    assert SCHEDULES_VERSION == 2
