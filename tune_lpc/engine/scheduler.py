"""The director behind Ray's two interfaces: as a searcher it is asked, as a scheduler it is told."""

from __future__ import annotations

import time
from typing import Any, cast

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tune_lpc.engine.journalling import View
from tune_lpc.engine.report import NUMBER, REPORT, Report, trial_config
from tune_lpc.results.events import EpochDone, trial_id_of
from tune_lpc.search.director import Director, Verdict


class DirectorSearcher(Searcher):
    """Asks the director for the next trial. Results come to it by the scheduler, so nothing is told here."""

    def __init__(self, director: Director) -> None:
        super().__init__()
        self._director = director

    def __getstate__(self) -> dict[str, Any]:
        """Ray saves its searcher; what belongs to this process stays out of it."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The config of the next trial; FINISHED when no further one will come."""
        assignment = self._director.ask(time.monotonic())
        if assignment is not None:
            return trial_config(assignment.number, assignment.spec)
        # None asks Ray to come again: what runs may let others go on.
        return cast(Any, Searcher.FINISHED) if self._director.is_over else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal holds all that a resumed search needs."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""


class DirectorScheduler(FIFOScheduler):
    """Tells the director what the workers report, and stops the trials that it ends; runs them in order.

    The trial's number, not Ray's own id, names it everywhere: it is the same after a resume.
    """

    def __init__(self, director: Director, view: View) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._director, self._view = director, view
        self._waiting: dict[Trial, None] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Ray saves its scheduler; what belongs to this process stays out of it."""
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial is to run, or to run again after a failure: it comes last."""
        self._waiting.pop(trial, None)
        self._waiting[trial] = None

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The first of those that wait. Ray's own asks every trial that there ever was, in every step of the search."""
        for trial in list(self._waiting):
            if trial.status == Trial.PENDING:
                return trial
            del self._waiting[trial]
        return None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide after each step of a worker."""
        verdict = self.tell(trial.config[NUMBER], result[REPORT], time.monotonic())
        return str(TrialScheduler.STOP if verdict is Verdict.ENDS else TrialScheduler.CONTINUE)

    def tell(self, number: int, report: Report, now: float) -> Verdict:
        """Tell the director what a worker reports of trial `number`."""
        if report.placed is not None:
            self._director.told(report.placed, now)
            for line in report.placed.left_out:
                self._view.say(f"trial {number}: {line}")
        if report.problem is not None:
            self._view.say_once(f"trial {number}: {report.problem}")
        if report.measured is not None:
            # Before the epoch: then the last epoch's entry says that all of the trial is there.
            self._director.told(report.measured, now)
        if report.tested is not None:
            self._director.told(report.tested, now)
        if report.record is not None:
            return self._director.told(EpochDone(trial_id_of(number), report.record), now)
        if report.measures_come_next:
            self._director.measuring(number, now)
        else:
            self._director.prepared(number, now)
        return Verdict.GOES_ON
