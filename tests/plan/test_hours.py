"""The time that a user gives a search."""

from __future__ import annotations

import math

import pytest

from tune_lpc.plan.hours import HoursAsked


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 2e6])
@pytest.mark.parametrize(("name", "option"), [("hours", "--hours"), ("gpu_hours", "--gpu-hours")])
def test_what_is_no_time_is_named_with_the_rule(name: str, option: str, value: float) -> None:
    asked = HoursAsked(**{name: value})
    assert asked.problems() == [f"{option} is {value!r}, but must be a number above 0 and up to 1000000"]


def test_both_limits_are_told_in_words() -> None:
    assert HoursAsked().describe() == "" and not HoursAsked().is_limited
    assert HoursAsked(1.0).describe() == "1 hour"
    assert HoursAsked(0.05, 2.0).describe() == "0.05 hours and 2 GPU hours"
    assert HoursAsked(0.05, 2.0).is_limited and HoursAsked(None, 1.0).is_limited
    assert HoursAsked(0.05).as_dict() == {"hours": 0.05, "gpu_hours": None}


def test_gpu_hours_need_trials_on_gpus() -> None:
    assert HoursAsked(gpu_hours=2.0).gpu_problems(0.5) == HoursAsked(2.0).gpu_problems(0.0) == []
    (line,) = HoursAsked(gpu_hours=2.0).gpu_problems(0.0)
    assert line == "--gpu-hours is 2, but the trials use no GPU; limit the search with --hours"
