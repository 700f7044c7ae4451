"""What varies in a search: ranges of numbers and choices."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import cast

from tune_lpc.plan.errors import shown_limit
from tune_lpc.plan.plain import make_plain, plain_options
from tune_lpc.plan.settings import Value

When = Mapping[str, Sequence[Value]]
OFF_STEP = 1e-8
"""Of a step: so far beside it a number may lie, as not each can be spelled exactly (Optuna's rule)."""


@dataclass(frozen=True)
class Float:
    """A real number from `low` to `high`, drawn evenly, or evenly in the logarithm.

    A dimension is drawn where its setting has an effect, which the setting knows itself. `when` adds to that: it names
    other parameters and the values with which this one is drawn; all must hold. `prior` is a value that is believed to
    be good: the sampler "prior" draws around it, and a config of `first` that lacks the dimension takes it.
    With `step` the values are `low`, `low` + `step` and so on, up to `last`, which is `high` where a step leads there.
    """

    low: float
    high: float
    log: bool = False
    when: When = field(default_factory=dict)
    prior: float | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        make_plain(self, "low", "high", "prior", "step")

    @property
    def last(self) -> float:
        """The largest value."""
        return last_step(self.low, self.high, self.step)

    @property
    def count(self) -> int | None:
        """How many values there are; None where nobody can count them."""
        return None if self.step is None else round((self.last - self.low) / self.step) + 1


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included, drawn evenly, or evenly in the logarithm.

    With `step` as `Float` has it.
    """

    low: int
    high: int
    log: bool = False
    when: When = field(default_factory=dict)
    prior: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        make_plain(self, "low", "high", "prior", "step")

    @property
    def last(self) -> int:
        """The largest value."""
        return cast(int, last_step(self.low, self.high, None if self.step == 1 else self.step))

    @property
    def count(self) -> int:
        """How many values there are."""
        return (self.last - self.low) // self.step + 1


@dataclass(frozen=True)
class Choice:
    """One of `options`: a list, or anything that has an order, such as a range or an array; a set is sorted."""

    options: Sequence[Value]
    when: When = field(default_factory=dict)
    prior: Value = None

    def __post_init__(self) -> None:
        make_plain(self, "prior")
        object.__setattr__(self, "options", plain_options(self.options))

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.options)


Dimension = Float | Int | Choice


def is_stepped(dimension: Dimension) -> bool:
    """Whether a dimension leaves out values between its ends."""
    return not isinstance(dimension, Choice) and dimension.step not in (None, 1 if isinstance(dimension, Int) else None)


def last_step(low: float, high: float, step: float | None) -> float:
    """The largest number up to `high` to which whole steps lead from `low`; `high` where there is no step.

    Reckoned in decimals, as people write them: from 0 to 0.3 there are three steps of 0.1.
    """
    if step is None or not _is_right(low, high, step):
        return high
    count = (Decimal(str(high)) - Decimal(str(low))) // Decimal(str(step))
    return value_at(low, step, int(count))


def value_at(low: float, step: float, count: int) -> float:
    """The number to which so many steps lead, spelled as people would: 0.3, not 0.30000000000000004."""
    if isinstance(low, int) and isinstance(step, int):
        return low + count * step
    return float(Decimal(str(low)) + count * Decimal(str(step)))


def nearest_step(value: float, low: float, step: float) -> float:
    """The number nearest to `value` to which steps lead."""
    return value_at(low, step, round((value - low) / step))


def is_on_step(value: float, low: float, step: float | None) -> bool:
    """Whether steps lead to `value`, as far as it can be spelled."""
    if step is None:
        return True
    count = (value - low) / step
    return abs(count - round(count)) < OFF_STEP


def _is_right(low: object, high: object, step: object) -> bool:
    """Whether steps can be counted; what is wrong with a dimension is told by its checks."""
    numbers = [value for value in (low, high, step) if isinstance(value, (int, float)) and not isinstance(value, bool)]
    are_finite = len(numbers) == 3 and all(abs(number) <= sys.float_info.max for number in numbers)
    return are_finite and numbers[2] > 0 and numbers[0] < numbers[1]


def describe_steps(step: float | None) -> str:
    """The steps of a range in words, to follow its ends; empty where it has none."""
    return "" if step is None else f" in steps of {shown_limit(step)}"


def describe_range(dimension: Dimension) -> str:
    """The values of a dimension in words, such as '0.0001 to 0.01, logarithmic'."""
    if isinstance(dimension, Choice):
        return "one of " + ", ".join(map(str, dimension.options))
    text = f"{shown_limit(dimension.low)} to {shown_limit(dimension.last)}"
    text += describe_steps(dimension.step) if is_stepped(dimension) else ""
    return text + ", logarithmic" if dimension.log else text


def missed_end(name: str, dimension: Dimension) -> str | None:
    """A line for people where no step of a dimension leads to its upper end; None where all is searched."""
    if isinstance(dimension, Choice) or dimension.last == dimension.high:
        return None
    high, last = shown_limit(dimension.high), shown_limit(dimension.last)
    return f"{name} is searched from {describe_range(dimension)}: no step leads to {high}, so {last} is its last value"


def dimension_as_dict(dimension: Float | Int) -> dict[str, Value]:
    """A range as plain data; of one without steps nothing is told of them, as of spaces from before there were any."""
    number = float if isinstance(dimension, Float) else int
    told: dict[str, Value] = {"type": type(dimension).__name__.lower(), "low": number(dimension.low)}
    told |= {"high": number(dimension.last), "log": dimension.log}
    return {**told, "step": number(dimension.step)} if is_stepped(dimension) and dimension.step else told


def describe_values(values: Mapping[str, Value]) -> str:
    """Parameters in a line, numbers to three figures."""
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )
