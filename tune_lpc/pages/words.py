"""Figures as a page words them."""

from __future__ import annotations

import math

import pandas as pd

_SIGNS = {"seconds": "s", "minutes": "min", "hours": "h"}


def percent(score: float) -> str:
    """An accuracy in percent, to two digits."""
    return f"{100 * score:.2f} %"


def interval(low: object, high: object) -> str:
    """An interval of accuracies in percent; '' where there is none."""
    if pd.isna(low) or pd.isna(high):  # type: ignore[call-overload]
        return ""
    return f"{100 * float(low):.2f} to {100 * float(high):.2f}"  # type: ignore[arg-type]


def duration(hours: float) -> str:
    """A time in the unit that fits it."""
    size, unit = unit_of(hours)
    return f"{hours / size:.2g} {unit}" if hours / size < 99.5 else f"{hours / size:,.0f} {unit}"


def brief(hours: float) -> str:
    """The same with the sign of its unit, where there is little room."""
    number, unit = duration(hours).split(" ")
    return f"{number} {_SIGNS[unit]}"


def unit_of(hours: float) -> tuple[float, str]:
    """The unit in which so many hours are best told: its length in hours, and its name."""
    if hours < 3 / 60:
        return 1 / 3600, "seconds"
    return (1 / 60, "minutes") if hours < 3 else (1.0, "hours")


def count(number: int, one: str, many: str = "") -> str:
    """A number and what is counted, in the right form."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(value: float) -> str:
    """A number to three digits, without an exponent where it is of an everyday size."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        text = f"{value:.3g}"
        return f"{value:,.0f}" if "e" in text else text
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
