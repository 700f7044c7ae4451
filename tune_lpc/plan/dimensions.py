"""What varies in a search: ranges of numbers and choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tune_lpc.plan.errors import shown_limit
from tune_lpc.plan.settings import Value

When = Mapping[str, Sequence[Value]]


@dataclass(frozen=True)
class Float:
    """A real number from `low` to `high`, drawn evenly, or evenly in the logarithm.

    A dimension is drawn where its setting has an effect, which the setting knows itself. `when` adds to that: it names
    other parameters and the values with which this one is drawn; all must hold. `prior` is a value that is believed to
    be good: the sampler "prior" draws around it, and a config of `first` that lacks the dimension takes it.
    """

    low: float
    high: float
    log: bool = False
    when: When = field(default_factory=dict)
    prior: float | None = None


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included, drawn evenly, or evenly in the logarithm."""

    low: int
    high: int
    log: bool = False
    when: When = field(default_factory=dict)
    prior: int | None = None


@dataclass(frozen=True)
class Choice:
    """One of `options`."""

    options: Sequence[Value]
    when: When = field(default_factory=dict)
    prior: Value = None


Dimension = Float | Int | Choice


def describe_range(dimension: Dimension) -> str:
    """The values of a dimension in words, such as '0.0001 to 0.01, logarithmic'."""
    if isinstance(dimension, Choice):
        return "one of " + ", ".join(map(str, dimension.options))
    text = f"{shown_limit(dimension.low)} to {shown_limit(dimension.high)}"
    return text + ", logarithmic" if dimension.log else text


def describe_values(values: Mapping[str, Value]) -> str:
    """Parameters in a line, numbers to three figures."""
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )
