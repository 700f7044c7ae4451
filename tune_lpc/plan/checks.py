"""The checks of a space: its dimensions, conditions, conflicts, configs to begin with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from tune_lpc.plan.choosers import Chooser, Corner, Given, draw_value
from tune_lpc.plan.dimensions import Choice, Dimension, Float, Int, describe_range, is_on_step, is_stepped
from tune_lpc.plan.effects import Effects
from tune_lpc.plan.errors import UserError, nearest, shown, shown_limit
from tune_lpc.plan.free import is_free
from tune_lpc.plan.settings import Value
from tune_lpc.plan.trial import TrialSpec, setting_names, setting_type, value_problems

CORNERS = 256
"""Corners in which the settings of a space are checked against each other: far more than a pair of them needs."""
NEVER_SEARCHED = (
    "method",
    "dataset",
    "data_from",
    "data_workers",
    "train_size",
    "split",
    "validation_share",
    "validation_size",
    "hold_out",
    "image_size",
    "epochs",
    "epoch_unit",
    "seed",
    "precision",
    "persistence_backend",
)
"""Settings that decide what the score means or what an epoch costs; every trial of a search shares them."""
_KINDS = {
    str: ("names", "Choice"),
    bool: ("true or false", "Choice"),
    int: ("whole numbers", "Int or Choice"),
    float: ("numbers", "Float or Choice"),
}
"""What a setting of each type takes, and how it can be searched."""

Draw = Callable[[Chooser], dict[str, Value]]
Build = Callable[[Mapping[str, Value]], TrialSpec]


def dimension_problems(name: str, dimension: Dimension) -> list[str]:
    """What is wrong with the dimension of setting `name` by itself, one line each."""
    if name not in setting_names():
        return [f"{shown(name)} is not a setting{nearest(name, setting_names())}"]
    if not isinstance(dimension, (Float, Int, Choice)):
        return [f"{name} must be a Float, Int or Choice, but is {shown(dimension)}"]
    if name in NEVER_SEARCHED:
        return [f"{name} can't be searched: trials that differ in it can't be compared; make it a setting"]
    if isinstance(dimension, Choice):
        if not isinstance(dimension.options, (list, tuple)):
            return [f"{name} has {shown(dimension.options)} for its options, but Choice takes a list; write [...]"]
        if not dimension.options:
            return [f"{name} has no options; give Choice a list of at least one"]
        found = [problem for option in dimension.options for problem in value_problems(name, option)]
        return found or _repeated(name, dimension.options) + _prior_problems(name, dimension)
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
    return found or _step_problems(name, dimension) or _prior_problems(name, dimension)


def _step_problems(name: str, dimension: Float | Int) -> list[str]:
    """What is wrong with the step of a range that is right otherwise; by the rules of Optuna, which draws in it."""
    step = dimension.step
    if isinstance(dimension, Float) and step is None:
        return []
    takes = (int,) if isinstance(dimension, Int) else (int, float)
    if not isinstance(step, takes) or isinstance(step, bool) or not 0 < step <= sys.float_info.max:
        rule = f"a {'whole ' if isinstance(dimension, Int) else ''}number above 0"
        return [f"{name} has step={shown(step)}, but step must be {rule}"]
    if dimension.log and is_stepped(dimension):
        return [
            f"{name} has step={shown(step)} and log=True, but steps are even, not logarithmic; leave out one of both"
        ]
    if dimension.last <= dimension.low:
        most = f"its range, from {shown_limit(dimension.low)} to {shown_limit(dimension.high)}"
        return [f"{name} has step={shown(step)}, but step must not be wider than {most}"]
    return []


def _prior_problems(name: str, dimension: Dimension) -> list[str]:
    """What is wrong with the prior of a dimension that is right otherwise."""
    if dimension.prior is None:
        return []
    given = Given({name: dimension.prior})
    draw_value(name, dimension, given)
    return [f"the prior of {problem}" for problem in given.problems]


def outside_problems(name: str, value: Value, dimension: Dimension, space: str) -> list[str]:
    """What is wrong with a value that is to take the place of a dimension of a space."""
    if isinstance(dimension, Choice):
        inside, rule = (
            value in dimension.options or is_free(name, value),
            "one of " + ", ".join(map(str, dimension.options)),
        )
    else:
        inside = isinstance(value, (int, float)) and dimension.low <= value <= dimension.last
        inside = inside and is_on_step(cast(float, value), dimension.low, dimension.step)
        rule = f"from {describe_range(dimension).removesuffix(', logarithmic')}"
    return [] if inside else [f"{name} is {shown(value)}, but must be {rule} in space {space}"]


def _repeated(name: str, options: Sequence[Value]) -> list[str]:
    """A problem for each option that stands more than once among `options`."""
    again = [option for position, option in enumerate(options) if option in options[:position]]
    return list(dict.fromkeys(f"{name} has the option {shown(option)} more than once; keep one" for option in again))


def condition_problems(
    name: str,
    dimension: Dimension,
    table: Sequence[str],
    possible: Callable[[str], Sequence[Value]],
) -> list[str]:
    """What is wrong with a dimension's own conditions, beyond what its setting needs.

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
    return found


def effect_problems(effects: Effects, dimensions: Iterable[str], settings: Mapping[str, Value]) -> list[str]:
    """The dimensions, and the settings that are given, that can have no effect in any trial."""
    told = dict.fromkeys(dimensions, "is searched")
    told |= {name: f"is {shown(value)}" for name, value in settings.items() if value is not None}
    return [
        f"{name} {text}, but has no effect when {why}; take it out"
        for name, text in told.items()
        if (why := effects.why_none(name)) is not None
    ]


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
        drawn, problems = _drawn(config, draw, build)
        problems += [f"{shown(name)} has no place in it" for name in config if name not in drawn]
        found += [f"config {position} of first: {problem}" for problem in problems]
    return found


def completed_first(
    first: Sequence[Mapping[str, Value]], fallback: Mapping[str, Value], draw: Draw, build: Build
) -> tuple[list[Mapping[str, Value]], list[str]]:
    """The configs to begin with in a space that has changed, each once, and a line for each that has no place in it.

    fallback: the value of a dimension that a config lacks. What is no dimension any more leaves the configs.
    """
    kept: list[Mapping[str, Value]] = []
    left_out = []
    for position, config in enumerate(first, start=1):
        drawn, problems = _drawn({**fallback, **config}, draw, build)
        if problems:
            left_out.append(f"config {position} of first is left out: {'; '.join(problems)}")
        elif drawn not in kept:
            kept.append(drawn)
    return kept, left_out


def _drawn(config: Mapping[str, Value], draw: Draw, build: Build) -> tuple[dict[str, Value], list[str]]:
    """What a config gives the dimensions with effect, and its problems with that."""
    chooser = Given(config)
    drawn = draw(chooser)
    if chooser.problems:
        return drawn, chooser.problems
    try:
        build(drawn)
    except UserError as error:
        return drawn, error.problems
    return drawn, []
