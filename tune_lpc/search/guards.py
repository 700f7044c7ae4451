"""What watches over a running search: trials that are stuck, and the disk."""

from __future__ import annotations

import shutil
import statistics
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.tune import Callback

from tune_lpc.results import MIN_FREE_BYTES
from tune_lpc.search.recorder import Recorder
from tune_lpc.search.searcher import NUMBER

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

EPOCHS_REMEMBERED = 100
SHORTEST_WAIT = 30.0
"""Seconds; nothing is called stuck before, however short the epochs are."""
DISK_CHECK_EVERY = 2.0
LONGEST_STEP = 5.0
"""Seconds; Ray Tune takes ten steps a second, so in a longer one the search's own process stood still."""


class Stuck:
    """Tells which trials have had no epoch for too long.

    multiple: how many times the time expected, which is the median epoch of the trial itself, else the longest of the
    last epochs of the search. As long as no epoch is known, nothing is stuck.
    """

    def __init__(self, multiple: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._multiple, self._clock = multiple, clock
        self._heard: dict[int, float] = {}
        self._own: dict[int, deque[float]] = {}
        self._all: deque[float] = deque(maxlen=EPOCHS_REMEMBERED)

    def begins(self, number: int) -> None:
        """A trial begins, or begins again."""
        self._heard[number] = self._clock()

    def epoch(self, number: int, seconds: float) -> None:
        """A trial has reported an epoch that took so long."""
        self._heard[number] = self._clock()
        self._own.setdefault(number, deque(maxlen=EPOCHS_REMEMBERED)).append(seconds)
        self._all.append(seconds)

    def ends(self, number: int) -> None:
        """A trial is no longer watched."""
        self._heard.pop(number, None)
        self._own.pop(number, None)

    def pause(self, seconds: float) -> None:
        """The whole search stood still for so long."""
        now = self._clock()
        self._heard = {number: min(now, heard + seconds) for number, heard in self._heard.items()}

    def reasons(self) -> dict[int, str]:
        """The trials that are stuck, and why."""
        now, found = self._clock(), {}
        for number, heard in self._heard.items():
            own = self._own.get(number)
            expected = statistics.median(own) if own else max(self._all, default=None)
            if expected is not None and now - heard > max(SHORTEST_WAIT, self._multiple * expected):
                found[number] = f"no epoch in {now - heard:.0f} s, where one takes {expected:.2g} s"
        return found


class Guard(Callback):
    """Restarts trials that are stuck, and lets the whole search wait while the disk is full."""

    def __init__(self, folder: Path, stuck: Stuck, recorder: Recorder, last_step_is_long: Callable[..., bool]) -> None:
        """last_step_is_long: whether a trial at (budget, epoch) takes its measures next, for which no time is known."""
        self._folder, self._stuck, self._recorder = folder, stuck, recorder
        self._last_step_is_long = last_step_is_long
        self._disk_checked = 0.0
        self._stepped = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Ray saves its callbacks; what belongs to this process stays out of it."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial begins, or begins again after a failure."""
        self._stuck.begins(trial.config[NUMBER])

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch is through."""
        record = result["record"]
        if self._last_step_is_long(record["budget"], record["epoch"]):
            self._stuck.ends(trial.config[NUMBER])
        else:
            self._stuck.epoch(trial.config[NUMBER], record["seconds"])

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial waits to go on elsewhere."""
        self._stuck.ends(trial.config[NUMBER])

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has ended."""
        self._stuck.ends(trial.config[NUMBER])

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has failed."""
        self._stuck.ends(trial.config[NUMBER])

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look at the disk, and at the trials that run."""
        now = time.monotonic()
        if (stood_still := now - self._stepped) > LONGEST_STEP:
            # Such as for a journal that could not be written: epochs reported meanwhile are not heard yet.
            self._stuck.pause(stood_still)
        if now - self._disk_checked >= DISK_CHECK_EVERY:
            if (problem := self._disk_problem()) is not None:
                self._recorder.wait_until(lambda: self._disk_problem() is None, problem)
                self._stuck.pause(time.monotonic() - now)
            self._disk_checked = time.monotonic()
        stuck = self._stuck.reasons()
        for trial in trials if stuck else ():
            number = trial.config[NUMBER]
            if number in stuck and (actor := trial.temporary_state.ray_actor) is not None:
                # Ray then counts a failure of the trial, and lets it go on from its checkpoint.
                self._recorder.restart_reasons[number] = stuck[number]
                self._stuck.ends(number)
                ray.kill(actor)
        self._stepped = time.monotonic()

    def _disk_problem(self) -> str | None:
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            return f"the folder {self._folder} can't be reached ({error.strerror or error})"
        if free >= MIN_FREE_BYTES:
            return None
        return f"the disk of {self._folder} is full ({free / 2**20:.0f} MB free, {MIN_FREE_BYTES >> 20} MB needed)"
