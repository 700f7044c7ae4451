"""What a search may not ask for where each trial is trained in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space

FIXED: Mapping[str, tuple[Callable[[Value], bool], str]] = {
    "compile": (lambda value: value == "off", "off"),
    "extra_loss": (lambda value: value == "off", "off"),
}
"""What a setting must be, and that in words: of a loss term of others nobody knows what it is of a part of a batch."""


def process_problems(space: Space, processes: int) -> list[str]:
    """Every rule that a space breaks with so many processes a trial, one line each; none with one process.

    A batch is shared out over the processes, and so must have a part for each: images, or whole same-class groups.
    """
    if processes == 1:
        return []
    found = [problem for name in FIXED for problem in value_problems(name, space.possible(name), processes)]
    grouped, shuffled = _ways(space)
    for name, is_possible in (("groups", grouped), ("batch_size", shuffled)):
        least = min((value for value in space.possible(name) if isinstance(value, int)), default=processes)
        if is_possible and least < processes:
            found.append(
                f"{name} may be {least}, but must be {processes} or more where a trial is trained in {processes} "
                "processes: each takes its share of a batch"
            )
    return found


def value_problems(name: str, values: Iterable[Value], processes: int) -> list[str]:
    """The values of a setting that several processes can't train with, one line each."""
    fits, rule = FIXED[name]
    return [
        f"{name} is {value!r}, but must be {rule} where a trial is trained in {processes} processes"
        for value in dict.fromkeys(values)
        if not fits(value)
    ]


def _ways(space: Space) -> tuple[bool, bool]:
    """Whether any trial has batches of groups, and whether any has shuffled ones."""
    batching, strengths = space.possible("batching"), space.possible("topological_weight_schedule")
    grouped = "grouped" in batching or ("auto" in batching and space.topological_is_possible)
    shuffled = "shuffled" in batching or ("auto" in batching and "off" in strengths)
    return grouped, shuffled
