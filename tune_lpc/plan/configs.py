"""The configs that a space has: how many, and one after another."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping

from tune_lpc.plan.choosers import RandomChooser, draw_value
from tune_lpc.plan.dimensions import Choice, Dimension, value_at
from tune_lpc.plan.effects import Effects
from tune_lpc.plan.settings import Value

MOST_COUNTED = 1000
"""Values of a number on which other dimensions depend, at most: beyond that the configs are as good as uncounted."""


def count_configs(dimensions: Mapping[str, Dimension], effects: Effects) -> int | None:
    """How many configs a space has, each by the values of the dimensions with an effect; None where nobody can count
    them.

    effects: of these dimensions.
    """
    deciding = {other for name in dimensions for way in effects.ways(name) for other in way}
    known: dict[tuple[int, tuple[tuple[str, Value], ...]], float] = {}

    def count(place: int, decided: Mapping[str, Value]) -> float:
        """Of the dimensions from `place` on, given the values of those before on which others depend."""
        if place == len(effects.order):
            return 1
        key = place, tuple(decided.items())
        if key not in known:
            known[key] = count_from(place, decided)
        return known[key]

    def count_from(place: int, decided: Mapping[str, Value]) -> float:
        name = effects.order[place]
        dimension = dimensions[name]
        if not effects.is_drawn(name, decided):
            return count(place + 1, decided)
        if dimension.count is None or (name in deciding and dimension.count > MOST_COUNTED):
            return math.inf
        if name not in deciding:
            return dimension.count * count(place + 1, decided)
        values = (_value(dimension, number) for number in range(dimension.count))
        return sum(count(place + 1, {**decided, name: value}) for value in values)

    found = count(0, {})
    return None if math.isinf(found) else int(found)


def every_config(
    dimensions: Mapping[str, Dimension], effects: Effects, seed: int, most: int
) -> Iterator[dict[str, Value]]:
    """The configs of a space, each once, from one that chance picks on.

    most: values of a number that nobody can count; all others of it are left out.
    """
    draw = random.Random(seed)

    def configs(place: int, drawn: dict[str, Value]) -> Iterator[dict[str, Value]]:
        if place == len(effects.order):
            yield dict(drawn)
            return
        name = effects.order[place]
        if not effects.is_drawn(name, drawn):
            yield from configs(place + 1, drawn)
            return
        for value in _values(name, dimensions[name], draw, most):
            yield from configs(place + 1, {**drawn, name: value})

    return configs(0, {})


def _values(name: str, dimension: Dimension, draw: random.Random, most: int) -> Iterator[Value]:
    """Its values, each once, from one that chance picks on."""
    if dimension.count is None:
        chance = RandomChooser(draw.getrandbits(32))
        for _ in range(most):
            yield draw_value(name, dimension, chance)
        return
    begin = draw.randrange(dimension.count)
    for number in range(dimension.count):
        yield _value(dimension, (begin + number) % dimension.count)


def _value(dimension: Dimension, number: int) -> Value:
    """Its value of that number, from 0, of those that can be counted."""
    if isinstance(dimension, Choice):
        return dimension.options[number]
    return value_at(dimension.low, dimension.step or 1, number)
