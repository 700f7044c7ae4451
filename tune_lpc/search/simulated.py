"""The simulated engine: a director under a clock of its own, over curves that were recorded. Nothing is trained.

For tests of what a search decides, and for benchmarks that replay thousands of searches.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_lpc.results.events import EpochDone, Event, Measured, Position, TrialPlaced
from tune_lpc.results.ledger import Ledger
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director, Verdict

Record = Mapping[str, Any]
Curve = Callable[[Assignment], Iterator[Record]]
"""The records of a trial in order of training, as `EpochRecord.as_dict` gives them, those of all its runs: what its
training would report if nothing ever stopped it. `seconds` of a record is how long the clock runs for it."""

Measures = Callable[[Assignment, Position], Measured | None]
"""What is measured of a trial where it stands: at a rung, or at its end."""


@dataclass
class MemoryLog:
    """A journal in memory. fails: whether writing fails from now on, as on a full disk that the user gives up on."""

    events: list[Event] = field(default_factory=list)
    fails: bool = False

    def write(self, event: Event) -> bool:
        """Keep an event."""
        if not self.fails:
            self.events.append(event)
        return not self.fails


@dataclass(order=True)
class _Due:
    """A slot whose trial reports next at `time`; `turn` keeps equal times in order."""

    time: float
    turn: int
    assignment: Assignment = field(compare=False)
    records: Iterator[Record] = field(compare=False)
    record: Record = field(compare=False)


def simulate(
    director: Director,
    curve: Curve,
    *,
    slots: int = 1,
    measures: Measures = lambda *_: None,
    most_events: int | None = None,
    lost: int = 0,
    now: float = 0.0,
) -> float:
    """Run a search to its end, or until `most_events` epochs have been reported: as a kill would cut it off.

    slots: trials that run side by side. measures: what a worker reports before the epoch at a rung and before the last.
    lost: a trial of an earlier life goes on so many epochs before the last one that the ledger has of it, since its
        checkpoint is older.
    Returns the time at the end.
    """
    due: list[_Due] = []
    turns, runs = itertools.count(), director.space.fidelity.runs()
    places = {*director.space.fidelity.rung_positions(), (runs[-1], runs[-1])}
    reported = 0

    def fill() -> None:
        while len(due) < slots and (assignment := director.ask(now)) is not None:
            director.starts(assignment.number, now)
            trial = director.ledger.trials.get(assignment.trial_id)
            if trial is None:
                return  # nothing can be written down any more
            position = trial.position(runs)
            for _ in range(lost):
                position = _before(position)
            director.told(TrialPlaced(assignment.trial_id, "simulated", 0, position), now)
            records = curve(assignment)
            for record in records:
                if position is None or (record["budget"], record["epoch"]) > position:
                    heapq.heappush(due, _Due(now + record["seconds"], next(turns), assignment, records, record))
                    break

    fill()
    while due and (most_events is None or reported < most_events):
        if director.budget.is_over_at(due[0].time):
            return max(now, director.budget.ends_at())
        slot = heapq.heappop(due)
        now = slot.time
        position = slot.record["budget"], slot.record["epoch"]
        is_measured = position in places and not slot.record["diverged"]
        if is_measured and (measured := measures(slot.assignment, position)) is not None:
            director.told(measured, now)
        verdict = director.told(EpochDone(slot.assignment.trial_id, slot.record), now)
        reported += 1
        following = None if verdict is Verdict.ENDS else next(slot.records, None)
        if following is not None:
            heapq.heappush(due, _Due(now + following["seconds"], next(turns), slot.assignment, slot.records, following))
        fill()
    return now


def _before(position: Position | None) -> Position | None:
    """An epoch earlier in the same run; from its first, where it begins."""
    return None if position is None or position[1] == 1 else (position[0], position[1] - 1)


def recorded_curves(ledger: Ledger) -> Curve:
    """The curves of a search that was run for real, by number of the trial.

    Raises KeyError for a trial that was not part of it, ValueError for one that had another config there: then this
    search decides otherwise than the recorded one.
    """
    trials = {trial.number: trial for trial in ledger.trials.values()}

    def curve(assignment: Assignment) -> Iterator[Record]:
        trial = trials[assignment.number]
        config = assignment.spec.as_dict()
        if different := [name for name, value in trial.config.items() if config.get(name) != value]:
            raise ValueError(f"trial {assignment.number} was recorded with another {', '.join(different)}")
        for budget in sorted(trial.runs):
            run = trial.runs[budget]
            yield from (run.record(epoch) for epoch in range(1, run.epochs + 1))

    return curve


def recorded_measures(events: list[Event]) -> Measures:
    """What the workers of a search that was run for real measured, at rungs and at the end."""
    found = {(event.trial_id, event.position): event for event in events if isinstance(event, Measured)}

    def measured(assignment: Assignment, position: Position) -> Measured | None:
        epochs = assignment.spec.epochs
        return found.get((assignment.trial_id, None if position == (epochs, epochs) else position))

    return measured
