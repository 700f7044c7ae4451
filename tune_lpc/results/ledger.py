"""The ledger: the state of a search, folded from its events.

`Ledger.apply` is the only place where an event changes that state: it is called when an event has been written to the
journal, and again, for every event from the first, when the journal is read. So a search that goes on after a kill
stands where it stood, and an export, a ranking and a resume see the same trials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tune_lpc.plan.fidelity import Fidelity
from tune_lpc.plan.objectives import Objective, Values, several_objectives
from tune_lpc.plan.record import SCORE
from tune_lpc.results.events import (
    EpochDone,
    Event,
    FrontFound,
    Measured,
    Position,
    RungDecided,
    RunResumed,
    RunStarted,
    Status,
    Tested,
    TrialEnded,
    TrialPlaced,
    TrialRestarted,
    TrialStarted,
)
from tune_lpc.results.journal import journal_events
from tune_lpc.results.training_run import TrainingRun


@dataclass(frozen=True)
class Placement:
    """A stay of a trial on a worker. session: number of the process that drove the search then, from 0."""

    session: int
    host: str
    pid: int
    continued_from: Position | None


@dataclass
class Trial:
    """One trial.

    control: whether no rung stops it. repeat_of: number of the first trial of its config; None for that one itself.
    window: last epochs whose mean is its score. objectives: where there are several. runs: by budget.
    looks: what the rungs said last, by rung.
    measures: those taken at the end by name, None where one could not be computed; measure_reasons: why not.
    measures_at: those taken at rungs, for objectives. tested: on test images, where `confirm` did that.
    epochs_repeated: how many epochs were done again. seconds: of all epochs, those done again included.
    restarts: how often it was started again in the same search.
    """

    trial_id: str
    number: int
    config: Mapping[str, Any]
    control: bool = False
    repeat_of: int | None = None
    window: int = 1
    objectives: tuple[Objective, ...] = ()
    runs: dict[int, TrainingRun] = field(default_factory=dict)
    looks: dict[int, RungDecided] = field(default_factory=dict)
    placements: list[Placement] = field(default_factory=list)
    measures: Mapping[str, float | None] = field(default_factory=dict)
    measure_reasons: Mapping[str, str] = field(default_factory=dict)
    measures_at: dict[Position, Mapping[str, float | None]] = field(default_factory=dict)
    tested: Tested | None = None
    epochs_repeated: int = 0
    seconds: float = 0.0
    restarts: int = 0
    end: TrialEnded | None = None

    @property
    def status(self) -> Status:
        """How it ended. A completed trial whose last epoch was lost is still to train, whatever its end says."""
        if self.end is None or (self.end.status is Status.COMPLETED and not self.is_trained):
            return Status.INTERRUPTED
        return self.end.status

    @property
    def reason(self) -> str | None:
        """Why it ended; None when it was interrupted."""
        return self.end.reason if self.end is not None and self.status is not Status.INTERRUPTED else None

    @property
    def full_budget(self) -> int:
        """Epochs of the run that completes the trial."""
        return int(self.config["epochs"])

    @property
    def is_trained(self) -> bool:
        """Whether the full budget was trained to its end."""
        return self.has(self.full_budget, self.full_budget)

    @property
    def is_to_go_on(self) -> bool:
        """Whether a resume trains it on: it has no end, or it failed, and what made it fail may have been mended."""
        return self.status in (Status.INTERRUPTED, Status.FAILED)

    @property
    def has_diverged(self) -> bool:
        """Whether it has; a killed search may have recorded the diverged epoch, but no longer the end of the trial."""
        run = self.longest
        return self.status is Status.DIVERGED or (run is not None and run.diverged(run.epochs) is not None)

    @property
    def epochs_trained(self) -> int:
        """Distinct epochs of all its runs."""
        return sum(len(run) for run in self.runs.values())

    @property
    def longest(self) -> TrainingRun | None:
        """The run with the largest budget that has an epoch: how far the trial came; None without an epoch."""
        return self.runs[max(self.runs)] if self.runs else None

    @property
    def judged(self) -> TrainingRun | None:
        """The run by which the trial is ranked, None when there is none.

        The longest finished one: a score in the middle of a run is not that of a finished ramp, and a shorter run has
        one that is. Where no run is finished, the one of the full budget: it is the only one of a trial that does not
        climb, and its last epoch is all there is. A climb that was cut off in its first short run has none.
        """
        finished = max((budget for budget, run in self.runs.items() if budget in run), default=None)
        return self.runs.get(self.full_budget if finished is None else finished)

    def score(self, budget: int, epoch: int) -> float | None:
        """Its score after an epoch that has a record."""
        return self.runs[budget].mean(SCORE, epoch, self.window)

    def values(self, budget: int, epoch: int) -> Values | None:
        """Its objectives after an epoch that has a record, where there are several.

        None unless it has a value of each of them; measures are taken at rungs and at the end.
        """
        is_end = budget == epoch == self.full_budget
        measures = self.measures if is_end else self.measures_at.get((budget, epoch), {})
        found = [
            self.runs[budget].mean(objective.column, epoch, self.window)
            if objective.column is not None
            else measures.get(objective.measure or "")
            for objective in self.objectives
        ]
        known = tuple(value for value in found if value is not None)
        return known if len(known) == len(found) else None

    @property
    def final_values(self) -> Values | None:
        """Its objectives after the full budget; None where that was not trained, or where one has no value."""
        return self.values(self.full_budget, self.full_budget) if self.is_trained else None

    @property
    def final_score(self) -> float | None:
        """Its score after the full budget; None where that was not trained."""
        return self.score(self.full_budget, self.full_budget) if self.is_trained else None

    def has(self, budget: int, epoch: int) -> bool:
        """Whether an epoch of the run of `budget` epochs has a record."""
        return budget in self.runs and epoch in self.runs[budget]

    def position(self, runs: Iterable[int]) -> Position | None:
        """The last of its epochs before which none is missing; None without any. runs: budgets in order of training."""
        last = None
        for budget in runs:
            for epoch in range(1, budget + 1):
                if not self.has(budget, epoch):
                    return last
                last = budget, epoch
        return last


@dataclass(frozen=True)
class Session:
    """A process that drove the search. facts: its versions, hardware, resources and git commit."""

    command: str
    started: str
    facts: Mapping[str, Any]


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
                self._epoch(trial, event.record)
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
                place = Placement(len(self.sessions) - 1, event.host, event.pid, event.continued_from)
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

    def _epoch(self, trial: Trial, record: Mapping[str, Any]) -> None:
        budget: int = record.get("budget") or trial.full_budget  # journals from before there were budgets lack it
        run = trial.runs.get(budget)
        if run is None:
            run = trial.runs[budget] = TrainingRun(budget)
        epoch: int = record["epoch"]
        if epoch in run:
            if run.holds(record):
                return  # a trial that goes on from a checkpoint tells its last epoch once more
            trial.epochs_repeated += 1
        run.put(record)
        seconds = record.get("seconds") or 0.0
        trial.seconds += seconds
        self.session_seconds[-1] += seconds
        rung = self._rungs.get((budget, epoch))
        if rung is not None and trial.repeat_of is None:
            self.arrivals.setdefault(rung, {}).setdefault(trial.number, trial.score(budget, epoch))
            if self.objectives:
                self.vectors.setdefault(rung, {}).setdefault(trial.number, trial.values(budget, epoch))

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
    ledger = Ledger(journal_events(path, damaged))
    return ledger, damaged + ledger.left_out
