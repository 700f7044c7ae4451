"""The time that a search was given: where it begins, what counts, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tune_lpc.engine.place import Place
from tune_lpc.engine.request import Request
from tune_lpc.plan.hours import HOUR
from tune_lpc.results.events import Status
from tune_lpc.search.director import Director
from tune_lpc.search.opening import OpenRun
from tune_lpc.search.time_budget import Limits, TimeBudget

LONGEST_ENDING = 10.0
ENDING_SHARE = 0.04
"""Seconds, or a share of the time of a search if that is less, that its end may take: Ray's workers, the tables."""


def budget_of(request: Request, run: OpenRun, place: Place, began: float) -> TimeBudget:
    """The time of a search whose part in this process began at `began`; that of the processes before counts."""
    hours, resources = request.hours, place.resources
    limits = Limits(
        seconds=None if hours.hours is None else hours.hours * HOUR,
        gpu_seconds=None if hours.gpu_hours is None else hours.gpu_hours * HOUR,
        slots=1 if resources is None else resources.concurrent,
        gpus_per_trial=0.0 if resources is None else resources.gpus_per_trial,
        began=began,
        spent=run.seconds,
        ending=0.0 if hours.hours is None else min(LONGEST_ENDING, ENDING_SHARE * hours.hours * HOUR),
    )
    return TimeBudget(request.space, run.ledger, limits)


def has_time(request: Request, run: OpenRun) -> bool:
    """Whether a run that was opened has any left."""
    return not budget_of(request, run, Place(None), time.monotonic()).is_over


def why_over(director: Director) -> str:
    """Why a search that nobody ended is over."""
    if director.budget.is_over:
        return "time is up"
    if (used_up := director.used_up) is not None:
        return used_up
    if director.budget.is_limited and director.has_configs_left:
        return "no further trial would end in time"
    return "all trials ended"


def lines_of_time(request: Request, director: Director) -> Iterator[str]:
    """What became of the time that there was; without a limit nothing, but where the space was too small."""
    if not request.hours.is_limited:
        if (used_up := director.used_up) is not None:
            yield f"{used_up}: the search is over, though {request.space.trials:,} trials were asked for"
        return
    trials = director.ledger.trials.values()
    yield f"{why_over(director)}: the search was given {request.hours.describe()}"
    whole = director.budget.pace.whole()
    if whole is not None and not any(trial.is_trained for trial in trials):
        yield f"that is too little to train one in full, which takes about {whole / HOUR:.2g} hours"
    if count := sum(trial.status is Status.INTERRUPTED for trial in trials):
        yield f"{count} trial{' was' if count == 1 else 's were'} cut off; with more hours and --resume they go on"
