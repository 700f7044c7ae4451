"""The checks of a space beyond those of its single dimensions: conditions, conflicts, configs to begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tune_lpc.plan.choosers import Chooser, Corner, Given
from tune_lpc.plan.dimensions import Dimension
from tune_lpc.plan.errors import UserError, nearest, shown
from tune_lpc.plan.trial import TrialSpec, Value, setting_field, setting_names

CORNERS = 256
"""Corners in which the settings of a space are checked against each other: far more than a pair of them needs."""

Draw = Callable[[Chooser], dict[str, Value]]
Build = Callable[[Mapping[str, Value]], TrialSpec]


def condition_problems(
    name: str,
    dimension: Dimension,
    table: Sequence[str],
    possible: Callable[[str], Sequence[Value]],
) -> list[str]:
    """What is wrong with the conditions of a dimension.

    table: the names of all dimensions in order; possible: every value that a setting can take.
    """
    if not isinstance(dimension.when, Mapping):
        return [f"{name} has when={shown(dimension.when)}, but when takes names with lists of values"]
    above = table[: table.index(name)]
    found = []
    for other, allowed in dimension.when.items():
        if other not in setting_names():
            hint = nearest(other, setting_names())
            found.append(f"{name} has a condition on {shown(other)}, which does not exist{hint}")
        elif other in table and other not in above:
            found.append(f"{name} has a condition on {other}, which must stand above it in the table")
        elif not isinstance(allowed, (list, tuple)):
            found.append(f"{name} has a condition on {other} with {shown(allowed)}, but it takes a list of values")
        elif not any(value in allowed for value in possible(other)):
            found.append(f"{name} has a condition that never holds: {other} is never one of {shown(allowed)}")
    needs = setting_field(name).metadata["needs"] if name in setting_names() else None
    if needs and needs[0] not in dimension.when:
        without = [value for value in possible(needs[0]) if value not in needs[1]]
        if without:
            found.append(
                f"{name} has no effect when {needs[0]} is {without[0]!r}; give it when={{{needs[0]!r}: {needs[1]!r}}}"
            )
    return found


def corner_problems(draw: Draw, build: Build) -> list[str]:
    """Conflicts in trials drawn from the corners of the space."""
    found: dict[str, None] = {}
    for seed in range(CORNERS):
        try:
            build(draw(Corner(seed)))
        except UserError as error:
            found.update(dict.fromkeys(error.problems))
    return list(found)[:8]


def first_problems(first: object, draw: Draw, build: Build) -> list[str]:
    """What is wrong with the configs to begin with: names, ranges, completeness, conflicts."""
    if not isinstance(first, (list, tuple)) or not all(isinstance(config, Mapping) for config in first):
        return [f"first is {shown(first)}, but must be a list of configs, each a dict of values"]
    found = []
    for position, config in enumerate(first, start=1):
        chooser = Given(config)
        try:
            drawn = draw(chooser)
            chooser.problems += [f"{shown(name)} has no place in it" for name in config if name not in drawn]
            if not chooser.problems:
                build(drawn)
        except UserError as error:
            chooser.problems += error.problems
        found += [f"config {position} of first: {problem}" for problem in chooser.problems]
    return found
