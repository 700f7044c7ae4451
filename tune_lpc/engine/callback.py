"""What Ray Tune calls besides the scheduler: trials that start and fail, every step of its loop, and its end."""

from __future__ import annotations

import re
import shutil
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.tune import Callback
from ray.tune.stopper import Stopper

from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.engine.journalling import View, WaitingLog
from tune_lpc.engine.lifeline import Lifeline
from tune_lpc.engine.report import NUMBER, REPORT
from tune_lpc.engine.trainable import checkpoint_folder
from tune_lpc.results import MIN_FREE_BYTES
from tune_lpc.results.events import Event, RungDecided, Status, TrialEnded, TrialRestarted, number_of, trial_id_of
from tune_lpc.search.director import Director
from tune_lpc.training.checkpoints import Checkpoints

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

LONGEST_REASON = 300
"""Characters; Ray's own messages go on with guesses."""
DISK_CHECK_EVERY = 2.0
LONGEST_STEP = 5.0
"""Seconds; Ray Tune takes ten steps a second, so in a longer one the search's own process stood still."""


class DirectorCallback(Callback):
    """Tells the director what Ray tells; restarts trials that are stuck, and lets the search wait while a disk is full.

    Nothing here may raise: an exception in a callback would bring the whole of Ray Tune down.
    """

    def __init__(
        self, director: Director, log: WaitingLog, view: View, folder: Path, started: Callable[[], None]
    ) -> None:
        """started: called once Ray Tune's loop begins."""
        self._director, self._log, self._view, self._folder = director, log, view, folder
        self._started = started
        self._restart_reasons: dict[int, str] = {}
        self._disk_checked = 0.0
        self._stepped = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Ray saves its callbacks; what belongs to this process stays out of it."""
        return {}

    def setup(
        self, stop: Any = None, num_samples: int | None = None, total_num_samples: int | None = None, **info: Any
    ) -> None:
        """Ray Tune is about to begin, its own signal handlers are set."""
        self._started()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial begins, or begins again after a failure."""
        self._start(trial)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The worker of a trial has failed or was lost; the trial goes on elsewhere."""
        number = self._start(trial)  # one that failed while it prepared the data was not told to have started
        reason = self._restart_reasons.pop(number, None) or reason_of_failure(trial)
        self._director.told(TrialRestarted(trial_id_of(number), reason), time.monotonic())
        self._view.say(f"trial {number} is restarted: {reason}")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has ended, which the director knows; or the search was interrupted, and the trial has no end."""
        self._director.watch.ends(trial.config[NUMBER])
        # Ray keeps the last result of every trial and statistics of every metric, some 50 kB each, which nobody reads.
        trial.run_metadata.last_result.pop(REPORT, None)
        trial.run_metadata.metric_analysis.clear()
        trial.run_metadata.metric_n_steps.clear()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has failed for good."""
        number = self._start(trial)
        reason = self._restart_reasons.pop(number, None) or reason_of_failure(trial)
        self._director.told(TrialEnded(trial_id_of(number), Status.FAILED, reason), time.monotonic())

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look at the disk, and at the trials that run."""
        now = time.monotonic()
        if (stood_still := now - self._stepped) > LONGEST_STEP:
            # Such as for a journal that could not be written: epochs reported meanwhile are not heard yet.
            self._director.watch.pause(stood_still, now)
        if now - self._disk_checked >= DISK_CHECK_EVERY:
            if (problem := self._disk_problem()) is not None:
                self._log.wait_until(lambda: self._disk_problem() is None, problem)
                self._director.watch.pause(time.monotonic() - now, time.monotonic())
            self._disk_checked = time.monotonic()
        self._restart_stuck(trials)
        self._stepped = time.monotonic()

    def _start(self, trial: Trial) -> int:
        """The number of a trial, whose start is told the first time that anything is heard of it."""
        number: int = trial.config[NUMBER]
        self._director.starts(number, time.monotonic())
        return number

    def _restart_stuck(self, trials: list[Trial]) -> None:
        stuck = self._director.watch.stuck(time.monotonic())
        for trial in trials if stuck else ():
            number = trial.config[NUMBER]
            if number in stuck and (actor := trial.temporary_state.ray_actor) is not None:
                # Ray then counts a failure of the trial, and lets it go on from its checkpoint.
                self._restart_reasons[number] = stuck[number]
                self._director.watch.ends(number)
                ray.kill(actor)

    def _disk_problem(self) -> str | None:
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            return f"the folder {self._folder} can't be reached ({error.strerror or error})"
        if free >= MIN_FREE_BYTES:
            return None
        return f"the disk of {self._folder} is full ({free / 2**20:.0f} MB free, {MIN_FREE_BYTES >> 20} MB needed)"


class EndOfSearch(Stopper):
    """Tells Ray Tune to end the search: somebody asked for it, the director sees no use in going on, or time is up."""

    def __init__(self, interrupt: Interrupt, director: Director, line: Lifeline | None = None) -> None:
        self._interrupt, self._director, self._line = interrupt, director, line

    def __getstate__(self) -> dict[str, Any]:
        """Ray saves its stopper; what belongs to this process stays out of it."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never: of a trial that reports the scheduler hears first."""
        return False

    def stop_all(self) -> bool:
        """Whether the whole search ends now."""
        if self._line is not None:
            self._line.park()
        self._director.budget.asked(time.monotonic())
        ends = self._director.ends_early is not None or self._director.budget.is_over
        return ends or self._interrupt.requested is not None


class UnusedCheckpoints:
    """Removes the checkpoints of trials that have ended, when told of it: they are of no more use and fill disks.

    Those of a trial that failed stay, as it may be resumed; of one that waits at a rung the newest, as long as it may
    still go on.

    waiting: the numbers of those that may, as things stand.
    """

    def __init__(self, folder: Path, waiting: Callable[[], set[int]]) -> None:
        self._folder, self._waiting = folder, waiting
        self._kept = waiting()  # of an earlier process

    def __call__(self, event: Event) -> None:
        """Something has happened."""
        if isinstance(event, RungDecided) and event.promoted:
            self._kept.discard(number_of(event.trial_id))
        if not isinstance(event, TrialEnded):
            return
        number, waiting = number_of(event.trial_id), self._waiting()
        if number in waiting:
            self._checkpoints(number).keep_newest()
            self._kept.add(number)
        elif event.status is not Status.FAILED:
            self._checkpoints(number).remove()
        for hopeless in self._kept - waiting:
            self._kept.discard(hopeless)
            self._checkpoints(hopeless).remove()

    def _checkpoints(self, number: int) -> Checkpoints:
        return Checkpoints(checkpoint_folder(self._folder, number))


def reason_of_failure(trial: Trial) -> str:
    """Why a trial failed, in a line; Ray's own text goes on with guesses."""
    # Of what Ray keeps of an error only this file is there at once; the exception itself it copies later.
    try:
        text = Path(trial.error_file).read_text(errors="replace") if trial.error_file else ""
    except OSError as error:
        return f"the worker failed, and Ray's note of why can't be read ({error.strerror or error})"
    last = text.rpartition("Failure # ")[2].partition("\n")[2].splitlines()
    # A message begins after the last indented line: that of a traceback, or of Ray's details of the worker.
    indented = [number for number, line in enumerate(last) if line[:1].isspace()]
    message = [line for line in last[max(indented, default=-1) + 1 :] if line.strip()] or last[-1:]
    if not message:
        return "the worker failed without a message; see Ray's logs"
    name = re.match(r"(?:\w+\.)*(\w+: )", message[0])
    if name is not None:
        message[0] = message[0][name.end() :]
    kind = name[1] if name is not None and name[1] != "UserError: " else ""
    return textwrap.shorten(kind + message[-1], LONGEST_REASON, placeholder=" …")
