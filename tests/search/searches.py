"""Searches under the simulated engine, for the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from tests.results.runs import record
from tune_lpc.plan import Choice, Float, Space, TrialSpec
from tune_lpc.results import Ledger
from tune_lpc.results.events import (
    EpochDone,
    Event,
    RunStarted,
    Status,
    TrialEnded,
    TrialPlaced,
    TrialStarted,
    trial_id_of,
)
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director, Verdict
from tune_lpc.search.sampler import RandomSampler, Sampler
from tune_lpc.search.simulated import Curve, MemoryLog, Record, simulate
from tune_lpc.search.watch import Watch

Kind = TypeVar("Kind", bound=Event)
Place = tuple[int, int]
SPACE = Space(
    name="small",
    about="for tests",
    trials=6,
    settings={"epochs": 9, "seed": 3},
    dimensions={
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "gamma_ramp": Choice(["off", "linear"]),
        "gamma_end": Float(1.0, 10.0, when={"gamma_ramp": ("linear",)}),
    },
    first=[{"learning_rate": 0.05, "gamma_ramp": "off"}],
    fidelity_mode="compressed",
    first_rung=3,
    rung_rule="stop",
    score_window=1,
    seeds=1,
)
"""A climb of a run of 3 epochs, then one of 9. What a rung leaves ends there, and each config has one seed."""
SHORT = [(3, epoch) for epoch in (1, 2, 3)]
LONG = [(9, epoch) for epoch in range(1, 10)]
CLIMB = [*SHORT, *LONG]
NAN = "train_loss became nan"
SCORES = (0.5, 0.25, None, 0.9, 0.1, 0.2)
"""Of the six trials: completed, stopped, diverged, completed, stopped, stopped."""


def run_of(space: Space, **changes: Any) -> dict[str, Any]:
    """What run.json says of a search, as far as the search itself needs it."""
    run = {
        "command": "python -m tune_lpc.run small",
        "started": "2026-11-25T10:00:00+00:00",
        "space": space.as_dict(),
        "rungs": space.fidelity.rungs(),
        "measures": {},
    }
    return {**run, **changes}


def records(space: Space, scores: Callable[[int, int], float | None], **values: Any) -> Iterator[Record]:
    """All that a trial would train; scores: by budget and epoch. It diverges where there is no score."""
    for budget in space.fidelity.runs():
        for epoch in range(1, budget + 1):
            score = scores(budget, epoch)
            yield record(epoch, score, budget, diverged=NAN if score is None else None, **values)
            if score is None:
                return


def scored(space: Space, *scores: float | None, seconds: float = 1.0) -> Curve:
    """The curves of trials that have the same score all the time, by number; None: they diverge at once."""
    return lambda given: records(space, lambda *_: scores[given.number], seconds=seconds)


class Search:
    """A director with everything around it, in memory."""

    def __init__(
        self,
        space: Space = SPACE,
        events: Sequence[Event] = (),
        sampler: Sampler | None = None,
        *,
        precision: Callable[[TrialSpec], str] | None = None,
        watch: Watch | None = None,
        run: dict[str, Any] | None = None,
        watched: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """events: what has happened before."""
        before = list(events) or [RunStarted(run_of(space) if run is None else run)]
        self.space, self.log, self.ledger = space, MemoryLog(before), Ledger(before)
        self.told: list[Event] = []
        self.director = Director(
            space,
            self.ledger,
            self.log,
            sampler or RandomSampler(space),
            precision=precision,
            watch=watch,
            watched=[self.told.append, watched],
        )

    def start(self) -> Assignment:
        """The next trial, given to a worker."""
        assignment = self.director.ask(0.0)
        assert assignment is not None
        self.director.starts(assignment.number, 0.0)
        return assignment

    def again(self, events: Sequence[Event] | None = None) -> Search:
        """A search that takes up this one, or one of which these events were written, and has settled what was left."""
        search = Search(self.space, self.log.events if events is None else events)
        search.director.settle()
        return search

    def kinds(self) -> list[str]:
        """What was written, the start of the run left out."""
        return [event.kind for event in self.log.events[1:]]

    def of_kind(self, kind: type[Kind]) -> list[Kind]:
        """What was written of a kind."""
        return [event for event in self.log.events if isinstance(event, kind)]


# What happens to a trial


def epoch(number: int, place: Place, score: float | None = 0.5, **values: Any) -> EpochDone:
    return EpochDone(trial_id_of(number), record(place[1], score, place[0], **values))


def train(search: Search, number: int, places: list[Place], score: float | None = 0.5, **values: Any) -> Verdict:
    """Tell of epochs of a trial; what is said after the last."""
    verdict = Verdict.GOES_ON
    for place in places:
        verdict = search.director.told(epoch(number, place, score, **values), 0.0)
    return verdict


def placed(number: int, continued_from: Place | None = None) -> TrialPlaced:
    return TrialPlaced(trial_id_of(number), "here", 1, continued_from)


def failed(number: int, reason: str) -> TrialEnded:
    return TrialEnded(trial_id_of(number), Status.FAILED, reason)


def ends(search: Search) -> dict[int, tuple[Status, str]]:
    return {search.ledger.trials[end.trial_id].number: (end.status, end.reason) for end in search.of_kind(TrialEnded)}


def whole() -> Search:
    """A search that ran to its end."""
    search = Search()
    simulate(search.director, scored(SPACE, *SCORES))
    return search


# Promotion, and further seeds


PROMOTE = replace(SPACE, rung_rule="promote")
SEEDS = replace(PROMOTE, seeds=3)
NEVER_STOPPED = replace(SPACE, fidelity_mode="full", first_rung=None, seeds=3)


def scored_by_config(space: Space, *of_configs: float | None) -> Curve:
    """The curves of configs that have the same score all the time, and of their further seeds, .01 below it."""

    def curve(given: Assignment) -> Iterator[Record]:
        if given.repeat_of is None:
            return records(space, lambda *_: of_configs[given.number])
        score = of_configs[given.repeat_of]
        assert score is not None
        return records(space, lambda *_: score - 0.01)

    return curve


def begun(search: Search) -> list[int]:
    """The numbers of the trials in the order in which they were given to workers, again included."""
    return [event.number for event in search.of_kind(TrialStarted)]
