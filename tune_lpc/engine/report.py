"""What a worker reports after each step, and what a trial is to Ray: a type each, no dict in which names must match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tune_lpc.plan.trial import TrialSpec
from tune_lpc.results.events import Measured, Tested, TrialPlaced

NUMBER, SPEC, REPORT = "number", "spec", "report"
"""Keys of a trial's config and of a result; Ray passes on nothing but dicts."""


@dataclass(frozen=True)
class Report:
    """A step of a worker.

    record: of the epoch that was trained, None where none was: the data have been prepared, or the last epoch has been
    trained and its measures come next. placed: in the first report of a trial that has an epoch. tested: with the last
    epoch, where that is asked for. problem: what is wrong, though training goes on.
    """

    record: dict[str, Any] | None = None
    placed: TrialPlaced | None = None
    measured: Measured | None = None
    tested: Tested | None = None
    measures_come_next: bool = False
    problem: str | None = None


def trial_config(number: int, spec: TrialSpec) -> dict[str, Any]:
    """What Ray hands to the worker of a trial."""
    return {NUMBER: number, SPEC: spec}
