"""How a setting is declared: its default, its meaning, its rule, and what it needs to have an effect."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

Value = str | int | float | bool | None
Way = Mapping[str, Container[Value]]
"""Values of other settings, all needed together."""

T = TypeVar("T")


@dataclass(frozen=True)
class Above:
    """The numbers above a limit."""

    limit: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and value > self.limit


def setting(
    default: Value,
    text: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    needs: tuple[Way, ...] = (),
) -> Any:
    """A field with its meaning, its rule, and the ways in which it has an effect: one must hold, or there is none."""
    rule = {"text": text, "low": low, "above": above, "high": high, "choices": choices, "needs": needs}
    return field(default=default, metadata=rule)


def in_effect(value: T | None) -> T:
    """The value of a setting where it has an effect; a `TrialSpec` that was built has one there."""
    if value is None:
        raise ValueError("a setting with an effect is none; build the trial with TrialSpec.build")
    return value
