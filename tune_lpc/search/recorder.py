"""The callback that writes the journal and feeds the terminal view."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from tune_lpc.results import Journal
from tune_lpc.search.interrupt import Interrupt
from tune_lpc.search.progress import Progress
from tune_lpc.search.rungs import RungScheduler
from tune_lpc.search.searcher import NUMBER
from tune_lpc.spec.space import Space

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


class Recorder(Callback):
    """Writes every event of the search to the journal as it happens.

    An exception in a callback would bring the whole of Ray Tune down, so a journal that can't be written asks the
    search to end in good order instead, and `failure` says why.
    """

    def __init__(
        self, space: Space, journal: Journal, scheduler: RungScheduler, progress: Progress, interrupt: Interrupt
    ) -> None:
        self._space, self._journal, self._scheduler = space, journal, scheduler
        self._progress, self._interrupt = progress, interrupt
        self._last_record: dict[int, dict[str, Any]] = {}
        self._started: set[int] = set()
        self.failure: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Ray saves its callbacks; the terminal and the open journal belong to this process and stay out of it."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial begins, or begins again after a failure."""
        number = trial.config[NUMBER]
        drawn = {name: value for name, value in trial.config.items() if name != NUMBER}
        self._progress.trial_started(number, drawn)
        if number not in self._started:
            self._started.add(number)
            config = self._space.trial(drawn).as_dict()
            self.write("trial_started", trial_id=trial_id_of(number), number=number, config=config)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch is through."""
        number, record = trial.config[NUMBER], result["record"]
        self._last_record[number] = record
        self._progress.epoch_done(number, record["epoch"], record["validation_accuracy"])
        self.write("epoch", trial_id=trial_id_of(number), record=record)
        if measures := result.get("measures"):
            self.write("measures", trial_id=trial_id_of(number), **measures)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has run its course or was stopped."""
        record = self._last_record.get(trial.config[NUMBER])
        stop_reason = self._scheduler.reasons.get(trial.trial_id)
        if record is not None and record["diverged"]:
            self._end(trial, "diverged", record["diverged"])
        elif record is not None and record["epoch"] >= self._space.epochs:
            self._end(trial, "completed", f"trained all {self._space.epochs} epochs")
        elif stop_reason is not None:
            self._end(trial, "stopped", stop_reason)
        # Else the search was interrupted: without an entry of its end the trial counts as interrupted.

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has failed for good."""
        self._end(trial, "failed", _reason_of_failure(trial))

    def _end(self, trial: Trial, status: str, reason: str) -> None:
        number = trial.config[NUMBER]
        self.write("trial_ended", trial_id=trial_id_of(number), status=status, reason=reason)
        self._progress.trial_ended(number, status, reason)
        if trial.local_path:
            # Checkpoints of a trial that has ended are of no more use and fill disks.
            for folder in Path(trial.local_path).glob("checkpoint_*"):
                shutil.rmtree(folder, ignore_errors=True)

    def write(self, kind: str, **fields: Any) -> None:
        """Append an entry to the journal, or note why it can't be written and ask the search to end."""
        if self.failure is not None:
            return
        try:
            self._journal.append(kind, **fields)
        except OSError as error:
            self.failure = f"the journal can't be written: {error}"
            self._interrupt.request(self.failure)


def trial_id_of(number: int) -> str:
    """The trial's name in all files: the same for the same seed, unlike Ray's own."""
    return f"trial-{number:05d}"


def _reason_of_failure(trial: Trial) -> str:
    error = trial.get_pickled_error()
    cause = getattr(error, "cause", None) or error
    if cause is None:
        return "the worker failed without a message; see Ray's logs"
    first_line = (str(cause).strip() or "no message").splitlines()[-1]
    return f"{type(cause).__name__}: {first_line}"
