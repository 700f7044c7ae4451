"""What varies in a search: ranges of numbers and choices, with the conditions under which they have an effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tune_lpc.plan.errors import nearest, shown, shown_limit
from tune_lpc.plan.trial import Value, as_declared, setting_names, setting_type, value_problems

When = Mapping[str, Sequence[Value]]


NEVER_SEARCHED = (
    "method",
    "dataset",
    "data_from",
    "data_workers",
    "train_size",
    "split",
    "validation_share",
    "hold_out",
    "image_size",
    "epochs",
    "epoch_unit",
    "seed",
    "precision",
    "persistence_backend",
)
"""Settings that decide what the score means or what an epoch costs; every trial of a search shares them."""


@dataclass(frozen=True)
class Float:
    """A real number from `low` to `high`, drawn evenly, or evenly in the logarithm.

    `when` names other parameters and the values with which this one has an effect; all must hold.
    """

    low: float
    high: float
    log: bool = False
    when: When = field(default_factory=dict)


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included, drawn evenly, or evenly in the logarithm."""

    low: int
    high: int
    log: bool = False
    when: When = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """One of `options`."""

    options: Sequence[Value]
    when: When = field(default_factory=dict)


Dimension = Float | Int | Choice

_KINDS = {
    str: ("names", "Choice"),
    bool: ("true or false", "Choice"),
    int: ("whole numbers", "Int or Choice"),
    float: ("numbers", "Float or Choice"),
}
"""What a setting of each type takes, and how it can be searched."""


def dimension_problems(name: str, dimension: Dimension) -> list[str]:
    """What is wrong with the dimension of setting `name` by itself, one line each."""
    if name not in setting_names():
        return [f"{shown(name)} is not a setting{nearest(name, setting_names())}"]
    if not isinstance(dimension, (Float, Int, Choice)):
        return [f"{name} must be a Float, Int or Choice, but is {shown(dimension)}"]
    if name in NEVER_SEARCHED:
        return [f"{name} can't be searched: trials that differ in it can't be compared; make it a setting"]
    if isinstance(dimension, Choice):
        if not isinstance(dimension.options, (list, tuple)) or not dimension.options:
            return [f"{name} has no options; give Choice a list of at least one"]
        found = [problem for option in dimension.options for problem in value_problems(name, option)]
        return found or _repeated(name, dimension.options)
    ends = (dimension.low, dimension.high)
    kind = type(dimension).__name__
    wanted = (int,) if isinstance(dimension, Int) else (int, float)
    if setting_type(name) not in (int, float) or (setting_type(name) is int) != isinstance(dimension, Int):
        takes, searched_as = _KINDS[setting_type(name)]
        return [f"{name} takes {takes} and can't be searched as {kind}; use {searched_as}"]
    if any(isinstance(end, bool) or not isinstance(end, wanted) for end in ends):
        takes = "whole numbers" if isinstance(dimension, Int) else "numbers"
        return [f"{name} runs from {shown(dimension.low)} to {shown(dimension.high)}, but {kind} takes {takes}"]
    found = [problem for end in ends for problem in value_problems(name, end)]
    if dimension.low >= dimension.high:
        low, high = shown_limit(dimension.low), shown_limit(dimension.high)
        found.append(f"{name} has an empty range: low is {low}, but must be below high ({high})")
    if not isinstance(dimension.log, bool):
        found.append(f"{name} has log={shown(dimension.log)}, but log must be True or False")
    elif dimension.log and dimension.low <= 0:
        found.append(f"{name} is logarithmic, so low is {shown_limit(dimension.low)}, but must be above 0")
    return found


def _repeated(name: str, options: Sequence[Value]) -> list[str]:
    """A problem for each option that stands more than once among `options`."""
    again = [option for position, option in enumerate(options) if option in options[:position]]
    return list(dict.fromkeys(f"{name} has the option {shown(option)} more than once; keep one" for option in again))


def dimension_as_dict(name: str, dimension: Dimension) -> dict[str, object]:
    """The dimension as plain data."""
    when = {other: list(allowed) for other, allowed in dimension.when.items()}
    if isinstance(dimension, Choice):
        options = [as_declared(name, option) for option in dimension.options]
        return {"type": "choice", "options": options, "when": when}
    number = float if isinstance(dimension, Float) else int
    kind = type(dimension).__name__.lower()
    return {
        "type": kind,
        "low": number(dimension.low),
        "high": number(dimension.high),
        "log": dimension.log,
        "when": when,
    }


def describe_values(values: Mapping[str, Value]) -> str:
    """Parameters in a line, numbers to three figures."""
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )
