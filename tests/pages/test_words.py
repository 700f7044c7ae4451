"""Figures in words: in the unit that fits, to as many digits as say something."""

from __future__ import annotations

import pytest

from tune_lpc.pages.words import count, duration, interval, percent, short


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0.001, "3.6 seconds"), (0.5, "30 minutes"), (2.9, "174 minutes"), (3.0, "3 hours"), (1234.5, "1,234 hours")],
)
def test_a_duration_has_the_unit_that_fits(hours: float, text: str) -> None:
    assert duration(hours) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00123456, "0.00123"), (1e-8, "1e-8"), (12345.6, "12,346"), (5718, "5,718"), (1.25e7, "1.25e7"),
     (-0.5, "-0.5"), (float("inf"), "inf")],
)  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_accuracies_are_in_percent() -> None:
    assert percent(0.95126) == "95.13 %"
    assert interval(0.9, 0.955) == "90.00 to 95.50"
    assert interval(None, 0.9) == ""


def test_what_is_counted_is_in_the_right_form() -> None:
    assert [count(1, "config"), count(2000, "config"), count(2, "process", "processes")] == [
        "1 config",
        "2,000 configs",
        "2 processes",
    ]
