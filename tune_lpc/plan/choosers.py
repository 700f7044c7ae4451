"""What draws the values of dimensions: Optuna's trials, and the choosers here."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Protocol

from tune_lpc.plan.dimensions import Dimension, Float, Int, describe_steps, is_on_step, is_stepped, nearest_step
from tune_lpc.plan.errors import shown, shown_limit
from tune_lpc.plan.settings import Value


class Chooser(Protocol):
    """What draws values; an Optuna trial is one. Where there is a step, one leads to `high`."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value: ...


class RandomChooser:
    """Draws values at random from a fixed seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from `low` to `high`."""
        if step is not None:
            return low + step * self._random.randint(0, round((high - low) / step))
        if log:
            growth: float = (high / low) ** self._random.random()
            return min(high, max(low, low * growth))
        return self._random.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`."""
        if log:
            return round(self.suggest_float(name, low, high, log=True))
        return self._random.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """One of `choices`."""
        return self._random.choice(list(choices))


class Corner(RandomChooser):
    """Draws an end of each range, and any option of each Choice: where settings contradict each other, if anywhere."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self._random.choice((low, high))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._random.choice((low, high))


class Given:
    """Takes the values of a config that is written down, and notes what it lacks or has out of range."""

    def __init__(self, config: Mapping[str, Value]) -> None:
        self._config = config
        self.problems: list[str] = []

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self._number(name, low, high, step, (int, float))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._number(name, low, high, None if step == 1 else step, (int,)))

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        value = self._config.get(name)
        if value in choices:
            return value
        self.problems.append(f"{name} is {shown(value)}, but must be one of {', '.join(map(str, choices))}")
        return choices[0]

    def _number(self, name: str, low: float, high: float, step: float | None, kinds: tuple[type, ...]) -> float:
        value = self._config.get(name)
        number = isinstance(value, kinds) and not isinstance(value, bool)
        if number and isinstance(value, (int, float)) and low <= value <= high and is_on_step(value, low, step):
            return value
        rule = f"from {shown_limit(low)} to {shown_limit(high)}{describe_steps(step)}"
        self.problems.append(f"{name} is {shown(value)}, but must be {rule}")
        return low


def draw_value(name: str, dimension: Dimension, chooser: Chooser) -> Value:
    """A value of the dimension of setting `name`; where that has steps, one to which they lead."""
    value: float
    if isinstance(dimension, Float):
        value = chooser.suggest_float(name, dimension.low, dimension.last, step=dimension.step, log=dimension.log)
    elif isinstance(dimension, Int):
        value = chooser.suggest_int(name, dimension.low, dimension.last, step=dimension.step, log=dimension.log)
    else:
        return chooser.suggest_categorical(name, list(dimension.options))
    # Whoever draws may miss a step by a rounding, and one config would be two.
    return nearest_step(value, dimension.low, dimension.step) if dimension.step and is_stepped(dimension) else value
