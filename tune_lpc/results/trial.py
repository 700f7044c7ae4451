"""A trial of a search as its events tell of it: its epochs, what rungs said, where it was trained, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_lpc.plan.objectives import Objective, Values
from tune_lpc.plan.record import SCORE
from tune_lpc.results.events import Position, RungDecided, Status, Tested, TrialEnded
from tune_lpc.results.training_run import TrainingRun


@dataclass(frozen=True)
class Placement:
    """A stay of a trial on a worker, trained in so many processes.

    session: number of the process that drove the search then, from 0.
    """

    session: int
    host: str
    pid: int
    continued_from: Position | None
    processes: int = 1


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
