"""How a setting is declared: its default, its meaning, its rule, and what it needs to have an effect."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

Value = str | int | float | bool | None
Way = Mapping[str, Container[Value]]
"""Values of other settings, all needed together."""

T = TypeVar("T")


@dataclass(frozen=True)
class Form:
    """The texts of a form, such as timm/NAME. text: the form in words. pattern: a regular expression of the whole."""

    text: str
    pattern: str

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True)
class AnyForm:
    """The texts of any of several forms."""

    forms: tuple[Form, ...] = ()

    def __contains__(self, value: object) -> bool:
        return any(value in form for form in self.forms)


NO_FORM = AnyForm()


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
    forms: AnyForm = NO_FORM,
    later_choices: tuple[str, ...] = (),
    needs: tuple[Way, ...] = (),
    later: bool = False,
) -> Any:
    """A field with its meaning, its rule, and the ways in which it has an effect: one must hold, or there is none.

    later, later_choices: the setting, or some of its choices, came when searches were written without. Where a space
    has no use for them it reads as it did, hash included. `choices` has all of them. forms: of what may stand in place
    of a choice.
    """
    rule = {"text": text, "low": low, "above": above, "high": high, "choices": choices, "forms": forms, "needs": needs}
    rule |= {"later": later, "later_choices": later_choices}
    return field(default=default, metadata=rule)


def in_effect(value: T | None) -> T:
    """The value of a setting where it has an effect; a `TrialSpec` that was built has one there."""
    if value is None:
        raise ValueError("a setting with an effect is none; build the trial with TrialSpec.build")
    return value
