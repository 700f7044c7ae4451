"""The ledger: the state of a search, folded from its events.

`Ledger.apply` is the only place where an event changes that state: it is called when an event has been written to the
journal, and again, for every event from the first, when the journal is read. So a search that goes on after a kill
stands where it stood, and an export, a ranking and a resume see the same trials.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from tune_lpc.plan.fidelity import Fidelity
from tune_lpc.plan.objectives import Objective, Values, several_objectives
from tune_lpc.results.blocks import Block, EpochRows, WaitingRows, journal_blocks
from tune_lpc.results.events import (
    EpochDone,
    Event,
    FrontFound,
    Measured,
    Position,
    RungDecided,
    RunResumed,
    RunStarted,
    Tested,
    TrialEnded,
    TrialPlaced,
    TrialRestarted,
    TrialStarted,
)
from tune_lpc.results.training_run import TrainingRun
from tune_lpc.results.trial import Placement, Session, Trial


class Ledger:
    """The state of a search.

    run: the content of run.json, empty as long as no event told it. fidelity: its rungs, None without `run`.
    sessions: the processes that drove the search, in order, the first of them empty without `run`. session_seconds: of
    all epochs that were reported in each. trials: by name.
    looks: what the rungs decided, in order. arrivals: by rung, the scores of the trials that have come to it, by number
    of the trial, in the order of arrival. objectives: where there are several; vectors: then the values of the same
    trials. fronts: what was found each time that a trial had trained its full budget, by its name.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.run: Mapping[str, Any] = {}
        self.fidelity: Fidelity | None = None
        self.sessions = [Session("", "", {})]
        self.session_seconds = [0.0]
        self.trials: dict[str, Trial] = {}
        self.looks: list[RungDecided] = []
        self.arrivals: dict[int, dict[int, float | None]] = {}
        self.objectives: tuple[Objective, ...] = ()
        self.vectors: dict[int, dict[int, Values | None]] = {}
        self.fronts: dict[str, FrontFound] = {}
        self._rungs: dict[Position, int] = {}
        self._orphans: Counter[str] = Counter()
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take in what happened.

        What belongs to a trial whose start was lost has neither number nor config, and is left out; see `left_out`.
        """
        if type(event) is EpochDone:  # nearly all of them
            trial = self.trials.get(event.trial_id)
            if trial is None:
                self._orphans[event.trial_id] += 1
            else:
                self.session_seconds[-1] += self._epoch(trial, event.record)
        elif isinstance(event, RunStarted):
            self._start_run(event.run)
        elif isinstance(event, RunResumed):
            self.sessions.append(Session(event.command, event.started, event.session))
            self.session_seconds.append(0.0)
        elif isinstance(event, TrialStarted):
            self._start_trial(event)
        elif isinstance(event, FrontFound):
            self.fronts[event.trial_id] = event
        elif isinstance(event, (TrialPlaced, Measured, Tested, RungDecided, TrialRestarted, TrialEnded)):
            trial = self.trials.get(event.trial_id)
            if trial is None:
                self._orphans[event.trial_id] += 1
            elif isinstance(event, RungDecided):
                self._look(trial, event)
            elif isinstance(event, TrialPlaced):
                session = len(self.sessions) - 1
                place = Placement(session, event.host, event.pid, event.continued_from, event.processes)
                trial.placements.append(place)
            elif isinstance(event, Measured) and event.position is not None:
                trial.measures_at[event.position] = event.values
            elif isinstance(event, Measured):
                trial.measures, trial.measure_reasons = event.values, event.reasons
            elif isinstance(event, Tested):
                trial.tested = event
            elif isinstance(event, TrialRestarted):
                trial.restarts += 1
            else:
                trial.end = event
                if trial.longest is not None:
                    trial.longest.settle()

    def apply_block(self, block: Block) -> None:
        """Take in a part of a journal: the same as to apply each of its events, but many epochs at once."""
        if block.rows is None:
            for _, event in block.events:
                self.apply(event)
            return
        first, since = 0, 0
        for index, (place, event) in enumerate(block.events):
            if isinstance(event, (RunStarted, RunResumed)):  # what comes after counts as of another session, or run
                self._part(block.events[first:index], block.rows.between(since, place))
                self.apply(event)
                first, since = index + 1, place
        end = int(block.rows.places[-1]) + 1
        self._part(block.events[first:], block.rows.between(since, end))

    def _part(self, events: Sequence[tuple[int, Event]], rows: EpochRows) -> None:
        """Take in events of one session.

        An epoch may wait until something else happens to its trial, or until it comes to a rung: there the order of
        trials counts. Nothing else looks at it meanwhile.
        """
        order = np.argsort(rows.trials, kind="stable")
        waiting = WaitingRows(rows.take(order), self._rungs)
        stops: Iterable[tuple[int, Event | str]] = heapq.merge(events, waiting.at_rungs(), key=itemgetter(0))
        for place, what in stops:
            if isinstance(what, str):
                self._take_rows(what, waiting, place + 1)
            else:
                if (trial_id := getattr(what, "trial_id", None)) is not None:
                    self._take_rows(trial_id, waiting, place)
                self.apply(what)
        for trial_id in rows.trial_ids:
            self._take_rows(trial_id, waiting, math.inf)
        seconds = np.empty(len(rows))
        seconds[order] = waiting.counted
        for each in seconds.tolist():  # in their order, so that the sum is the same to its last digit
            self.session_seconds[-1] += each

    def _take_rows(self, trial_id: str, waiting: WaitingRows, until: float) -> None:
        """Take in the epochs of a trial that stand before a line."""
        rows = waiting.taken(trial_id, until)
        trial = self.trials.get(trial_id)
        if trial is None:
            self._orphans.update({trial_id: len(rows)} if rows else {})
            return
        at, of = rows.start, waiting.rows
        while at < rows.stop:
            budget = int(of.budgets[at])
            alike = slice(at, min(waiting.alike_until(at), rows.stop))
            run = trial.runs[budget] if budget in trial.runs else TrainingRun(budget)
            count = run.put_rows(of.epochs[alike], of.values[alike])
            if count:
                trial.runs[budget] = run
                waiting.counted[at : at + count] = waiting.seconds[at : at + count]
                for seconds in waiting.seconds[at : at + count].tolist():
                    trial.seconds += seconds
            else:
                waiting.counted[at] = self._epoch(trial, of.record(at))
            at += count or 1

    @property
    def left_out(self) -> list[str]:
        """A line for each trial that is missing, or was until it was begun again."""
        return [
            f"trial {trial_id} is left out{' until it was begun again' if trial_id in self.trials else ''}: "
            f"its start entry is missing ({count} {'entry' if count == 1 else 'entries'})"
            for trial_id, count in self._orphans.items()
        ]

    @property
    def about(self) -> dict[str, Any]:
        """The content of run.json: what was run, and of each later session the command, versions and hardware."""
        later = enumerate(self.sessions[1:], start=1)
        sessions = [{"session": n, "command": s.command, "started": s.started, **s.facts} for n, s in later]
        return {**self.run, **({"sessions": sessions} if sessions else {})}

    def in_order(self) -> list[Trial]:
        """The trials by number."""
        return sorted(self.trials.values(), key=lambda trial: trial.number)

    def sessions_of(self, trial: Trial) -> list[Session]:
        """The sessions in which a trial was placed on a worker, each once, in order; none in a journal without any."""
        return [self.sessions[number] for number in dict.fromkeys(placement.session for placement in trial.placements)]

    def _start_run(self, run: Mapping[str, Any]) -> None:
        if not self.run:
            self.sessions[0] = Session(run.get("command", ""), run.get("started", ""), run)
        self.run = run
        self.fidelity = Fidelity.of_run(run)
        self._rungs = {} if self.fidelity is None else {place: place[1] for place in self.fidelity.rung_positions()}
        self.objectives = several_objectives(run.get("space", {}).get("objectives", ()))

    def _start_trial(self, event: TrialStarted) -> None:
        trial = self.trials.get(event.trial_id)
        if trial is None:
            trial = Trial(event.trial_id, event.number, event.config, bool(event.control), event.repeat_of)
            trial.window, trial.objectives = self.run.get("space", {}).get("score_window", 1), self.objectives
            self.trials[event.trial_id] = trial
        else:
            trial.end = None

    def _epoch(self, trial: Trial, record: Mapping[str, Any]) -> float:
        """Take in an epoch; its seconds, 0 for one that was there already."""
        budget: int = record.get("budget") or trial.full_budget  # journals from before there were budgets lack it
        run = trial.runs.get(budget)
        if run is None:
            run = trial.runs[budget] = TrainingRun(budget)
        epoch: int = record["epoch"]
        if epoch in run:
            if run.holds(record):
                return 0.0  # a trial that goes on from a checkpoint tells its last epoch once more
            trial.epochs_repeated += 1
        run.put(record)
        seconds: float = record.get("seconds") or 0.0
        trial.seconds += seconds
        rung = self._rungs.get((budget, epoch))
        if rung is not None and trial.repeat_of is None:
            self.arrivals.setdefault(rung, {}).setdefault(trial.number, trial.score(budget, epoch))
            if self.objectives:
                self.vectors.setdefault(rung, {}).setdefault(trial.number, trial.values(budget, epoch))
        return seconds

    def _look(self, trial: Trial, look: RungDecided) -> None:
        """What was decided stands; of several entries of one trial at one rung the first, unless it is promoted."""
        before = trial.looks.get(look.rung)
        if before is not None and (before.goes_on or not look.promoted):
            return
        trial.looks[look.rung] = look
        self.looks.append(look)
        self.arrivals.setdefault(look.rung, {}).setdefault(trial.number, look.score)
        if self.objectives:
            vectors, told = self.vectors.setdefault(look.rung, {}), look.objectives
            if vectors.get(trial.number) is None:
                known = tuple(told[each.name] for each in self.objectives if each.name in told)
                vectors[trial.number] = known if len(known) == len(self.objectives) else None
        if look.promoted:
            trial.end = None


def read_ledger(path: Path) -> tuple[Ledger, list[str]]:
    """The state that the journal at `path` tells of, and a line for each entry that is damaged or left out.

    Raises OSError when there is no file, or when it can't be read at all.
    """
    damaged: list[str] = []
    ledger = Ledger()
    for block in journal_blocks(path):
        damaged += block.damaged
        ledger.apply_block(block)
    return ledger, damaged + ledger.left_out
