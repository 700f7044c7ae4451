"""When the settings of a space have an effect, from what each needs, and its dimensions, from their own `when` too."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Mapping, Sequence

from tune_lpc.plan.dimensions import Choice, Dimension, Float, Int
from tune_lpc.plan.errors import shown
from tune_lpc.plan.settings import Above, Value, Way
from tune_lpc.plan.trial import setting_field, setting_needs


def possible_values(dimension: Dimension | None, fixed: Value) -> tuple[Value, ...]:
    """Every value that a fixed setting or a Choice can take, and the ends of a range."""
    if isinstance(dimension, Choice):
        return tuple(dimension.options) if isinstance(dimension.options, (list, tuple)) else ()
    return (dimension.low, dimension.last) if isinstance(dimension, (Float, Int)) else (fixed,)


class Effects:
    """When each setting of a space has an effect, whether searched or fixed.

    dimensions: in the order of the table, each right by itself. fixed: the value of a setting that is not searched.
    order: the dimensions as they are drawn: in the order of the table, but each after those that it needs.
    """

    def __init__(self, dimensions: Mapping[str, Dimension], fixed: Callable[[str], Value]) -> None:
        self._dimensions, self._fixed = dimensions, fixed
        self.order: list[str] = []
        self._begun: set[str] = set()
        for name in dimensions:
            self._place(name)
        self._ways: dict[str, list[Way]] = {}
        for name in self.order:
            self._ways[name] = self._ways_of(name)

    def _place(self, name: str) -> None:
        if name not in self._dimensions or name in self._begun:
            return
        self._begun.add(name)
        for other in itertools.chain(self._dimensions[name].when, *setting_needs(name)):
            self._place(other)
        self.order.append(name)

    def ways(self, name: str) -> list[Way]:
        """The ways in which a setting has an effect, without what always holds; [{}] where it always has, [] if never.

        Those of a dimension include its own `when`.
        """
        return self._ways[name] if name in self._ways else self._ways_of(name)

    def is_drawn(self, name: str, drawn: Mapping[str, Value]) -> bool:
        """Whether a dimension has an effect, given the values `drawn` of those before it."""
        return any(
            all(drawn.get(other, self._fixed_or_none(other)) in allowed for other, allowed in way.items())
            for way in self._ways[name]
        )

    def why_none(self, name: str) -> str | None:
        """Why a setting can't have an effect, such as "optimizer is 'adamw'"; None where it can."""
        if self.ways(name):
            return None
        unmet = [
            [other for other, allowed in way.items() if not self._can_be(other, allowed)] for way in self._all(name)
        ]
        nearest = [others for others in unmet if len(others) == min(map(len, unmet))]
        return " and ".join(self._reason(other) for other in dict.fromkeys(itertools.chain(*nearest)))

    def _reason(self, other: str) -> str:
        values = " or ".join(shown(value) for value in self._possible(other))
        return f"{other} is {values}" if values else str(self.why_none(other))

    def when(self, name: str) -> dict[str, list[Value]]:
        """The condition of a dimension as plain data: the one way in which it has an effect, else its own `when`."""
        ways = self.ways(name)
        one = ways[0] if len(ways) == 1 else self._dimensions[name].when
        return {other: self._told(other, allowed) for other, allowed in one.items() if isinstance(allowed, Sequence)}

    def _told(self, other: str, allowed: Sequence[Value]) -> list[Value]:
        """What is allowed, without choices that came later where they are none here: a space reads as it did before."""
        later = setting_field(other).metadata["later_choices"]
        return [value for value in allowed if value not in later or value in self._possible(other)]

    def describe(self, name: str) -> str:
        """When a dimension has an effect, such as 'unless gamma_ramp is off'; empty where it always has."""
        ways = self.ways(name)
        if len(ways) != 1:
            return ", or ".join(" and ".join(self._met(*condition) for condition in way.items()) for way in ways)
        return "; ".join(self._unmet(*condition) for condition in ways[0].items())

    def _met(self, other: str, allowed: Container[Value]) -> str:
        if isinstance(allowed, Above):
            return f"where {other} is above {allowed.limit:g}"
        return f"where {other} is {' or '.join(str(value) for value in self._possible(other) if value in allowed)}"

    def _unmet(self, other: str, allowed: Container[Value]) -> str:
        excluded = [str(value) for value in self._possible(other) if value not in allowed]
        if isinstance(allowed, Above) or not excluded:
            return self._met(other, allowed)
        return f"unless {other} is {' or '.join(excluded)}"

    def _possible(self, name: str) -> tuple[Value, ...]:
        if self._ways.get(name) == []:
            return ()
        return possible_values(self._dimensions.get(name), self._fixed(name))

    def _ways_of(self, name: str) -> list[Way]:
        possible = [
            way for way in self._all(name) if all(self._can_be(other, allowed) for other, allowed in way.items())
        ]
        ways: list[Way] = [
            {other: allowed for other, allowed in way.items() if not self._must_be(other, allowed)} for way in possible
        ]
        return [{}] if {} in ways else ways

    def _all(self, name: str) -> list[Way]:
        own = self._dimensions[name].when if name in self._dimensions else {}
        return [self._both(way, own) for way in setting_needs(name) or ({},)]

    def _both(self, way: Way, own: Mapping[str, Sequence[Value]]) -> Way:
        """The conditions of both; what a space says over again is as if it had not said it."""
        both = dict(way)
        for other, allowed in own.items():
            needed = way.get(other, allowed)
            if other not in way or any(value in needed and value not in allowed for value in self._possible(other)):
                both[other] = [value for value in allowed if value in needed]
        return both

    def _can_be(self, name: str, allowed: Container[Value]) -> bool:
        return any(value in allowed for value in self._possible(name))

    def _must_be(self, name: str, allowed: Container[Value]) -> bool:
        dimension = self._dimensions.get(name)
        if dimension is not None and self._ways.get(name) != [{}]:
            return False  # it is not always drawn
        if dimension is not None and not isinstance(dimension, Choice) and not isinstance(allowed, Above):
            return False  # values between the ends
        return all(value in allowed for value in self._possible(name))

    def _fixed_or_none(self, name: str) -> Value:
        return None if name in self._dimensions else self._fixed(name)
