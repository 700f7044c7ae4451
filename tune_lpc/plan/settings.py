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
    later_choices: tuple[str, ...] = (),
    needs: tuple[Way, ...] = (),
    later: bool = False,
) -> Any:
    """A field with its meaning, its rule, and the ways in which it has an effect: one must hold, or there is none.

    later, later_choices: the setting, or some of its choices, came when searches were written without. Where a space
    has no use for them it reads as it did, hash included. `choices` has all of them.
    """
    rule = {"text": text, "low": low, "above": above, "high": high, "choices": choices, "needs": needs}
    rule |= {"later": later, "later_choices": later_choices}
    return field(default=default, metadata=rule)


def in_effect(value: T | None) -> T:
    """The value of a setting where it has an effect; a `TrialSpec` that was built has one there."""
    if value is None:
        raise ValueError("a setting with an effect is none; build the trial with TrialSpec.build")
    return value
