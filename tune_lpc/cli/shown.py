"""A trial as people see it while a search runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tune_lpc.plan.settings import Value

RUNNING, WAITING = "running", "waiting"
"""A trial on a worker, and one that is to go on after an interruption; any other status is one of `events.Status`."""
LOST = ("diverged", "failed")


@dataclass
class Shown:
    """What is shown of one trial.

    repeat_of: number of the first trial of its config, None for that one itself. control: whether no rung stops it.
    budget, epoch: the length of its run, and where in it. trained: epochs of all its runs, each counted once.
    """

    number: int
    drawn: dict[str, Any]
    repeat_of: int | None = None
    control: bool = False
    status: str = RUNNING
    budget: int = 0
    epoch: int = 0
    score: float | None = None
    trained: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether it is not being trained, nor waits to be after an interruption."""
        return self.status not in (RUNNING, WAITING)

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"{self.epoch} of {self.budget}" if self.budget else "0"


def firsts_of(shown: Iterable[Shown]) -> list[Shown]:
    """Those that are no further seeds."""
    return [trial for trial in shown if trial.repeat_of is None]


def differing_first(values: dict[str, Value], others: Iterable[dict[str, Value]]) -> dict[str, Value]:
    """The values of a trial in the order in which they tell it from others: what all have alike stands behind."""
    known = list(others)
    alike = {name for name in values if all(other.get(name) == values[name] for other in known)}
    return {name: values[name] for name in sorted(values, key=lambda name: name in alike)}


def clock(seconds: float) -> str:
    """A time as a clock shows it: minutes and seconds, or hours too."""
    minutes, seconds_left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds_left:02d}" if hours else f"{minutes}:{seconds_left:02d}"
