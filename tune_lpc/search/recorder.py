"""The callback that writes the journal and feeds the terminal view."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from tune_lpc.cli.live import Progress
from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.engine.trainable import checkpoint_folder
from tune_lpc.plan.choosers import Given
from tune_lpc.plan.space import Space
from tune_lpc.results import Journal
from tune_lpc.search.breaker import Breaker
from tune_lpc.search.resume import Past, completed_reason
from tune_lpc.search.rungs import Look, RungScheduler
from tune_lpc.search.searcher import NUMBER
from tune_lpc.training.checkpoints import Checkpoints, Position

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

TRY_AGAIN_EVERY = 1.0
"""Seconds between two tries while the disk is full."""
LONGEST_REASON = 300
"""Characters; Ray's own messages go on with guesses."""


class Recorder(Callback):
    """Writes every event of the search to the journal as it happens.

    An exception in a callback would bring the whole of Ray Tune down. So when the journal can't be written the search
    waits until it can, and says so; only who asks the search to end meanwhile ends it, and then what was not written
    is trained again after a resume.
    """

    def __init__(
        self,
        space: Space,
        journal: Journal,
        scheduler: RungScheduler,
        progress: Progress,
        interrupt: Interrupt,
        past: Past,
    ) -> None:
        self._space, self._journal, self._scheduler, self._past = space, journal, scheduler, past
        self._progress, self._interrupt = progress, interrupt
        self._breaker = Breaker()
        self._last_record = {n: trial.records[p] for n, trial in past.trials.items() if (p := trial.position(space))}
        self._written: dict[int, set[Position]] = {n: set(trial.records) for n, trial in past.trials.items()}
        self._looks: set[tuple[int, int]] = {(look.number, look.rung) for look in past.looks}
        self._started: set[int] = set()
        self._gave_up = False
        self.restart_reasons: dict[int, str] = {}
        """Why a trial is being restarted, noted by whoever kills its worker."""

    def __getstate__(self) -> dict[str, Any]:
        """Ray saves its callbacks; the terminal and the open journal belong to this process and stay out of it."""
        return {}

    def recall(self) -> None:
        """Take up a search that was interrupted: show its trials, and write what it had no time to write."""
        for number, trial in sorted(self._past.trials.items()):
            drawn = self._space.draw(Given(trial.config))
            self._progress.recall(number, drawn, trial.status or "waiting", self._last_record.get(number))
        for look in self._past.unwritten_looks:
            self.write_look(look)
        for number, status, reason in self._past.endings:
            self.end(number, status, reason)

    # What Ray tells

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial begins, or begins again after a failure."""
        self._started_as(trial)

    def _started_as(self, trial: Trial) -> int:
        """The number of a trial, whose start is written the first time that anything is heard of it."""
        number: int = trial.config[NUMBER]
        drawn = {name: value for name, value in trial.config.items() if name != NUMBER}
        self._progress.trial_started(number, drawn)
        if number not in self._started:
            self._started.add(number)
            config, control = self._space.trial(drawn).as_dict(), self._past.is_control(number, self._space)
            self.write("trial_started", trial_id=trial_id_of(number), number=number, config=config, control=control)
        return number

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch is through."""
        number, record = trial.config[NUMBER], result["record"]
        trial_id, position = trial_id_of(number), (record["budget"], record["epoch"])
        placed = result.get("placed")
        if placed:
            self.write("trial_placed", trial_id=trial_id, **placed)
            for line in placed["left_out"]:
                self._progress.say(f"trial {number}: {line}")
        if "problem" in result:
            self._progress.say_once(f"trial {number}: {result['problem']}")
        self._last_record[number] = record
        self._progress.epoch_done(number, record)
        written = self._written.setdefault(number, set())
        if placed and placed["continued_from"] == list(position) and position in written:
            return  # the checkpoint's own epoch, which was reported before
        written.add(position)
        if measures := result.get("measures"):
            # Before the epoch: then the last epoch's entry says that all of the trial is there.
            self.write("measures", trial_id=trial_id, **measures)
        self.write("epoch", trial_id=trial_id, record=record)
        look = self._scheduler.looks.get(number)
        if look is not None and (number, look.rung) not in self._looks:
            self._looks.add((number, look.rung))
            self.write_look(look)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The worker of a trial has failed or was lost; the trial goes on elsewhere."""
        number = self._started_as(trial)  # one that failed while it prepared the data was not told to have started
        reason = self.restart_reasons.pop(number, None) or _reason_of_failure(trial)
        self.write("trial_restarted", trial_id=trial_id_of(number), reason=reason)
        self._progress.say(f"trial {number} is restarted: {reason}")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has run its course or was stopped."""
        number = trial.config[NUMBER]
        record, look = self._last_record.get(number), self._scheduler.looks.get(number)
        if record is not None and record["diverged"]:
            self.end(number, "diverged", record["diverged"])
        elif record is not None and record["budget"] == record["epoch"] == self._space.epochs:
            self.end(number, "completed", completed_reason(self._space))
        elif look is not None and not look.goes_on:
            self.end(number, "stopped", look.reason())
        # Else the search was interrupted: without an entry of its end the trial counts as interrupted.
        # Ray keeps the last result of every trial and statistics of every metric, some 50 kB each, which nobody reads.
        trial.run_metadata.last_result.pop("record", None)
        trial.run_metadata.metric_analysis.clear()
        trial.run_metadata.metric_n_steps.clear()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has failed for good."""
        number = self._started_as(trial)
        reason = self.restart_reasons.pop(number, None) or _reason_of_failure(trial)
        self.end(number, "failed", reason)

    # What is written

    def end(self, number: int, status: str, reason: str) -> None:
        """A trial has ended."""
        self.write("trial_ended", trial_id=trial_id_of(number), status=status, reason=reason)
        self._progress.trial_ended(number, status, reason)
        self._last_record.pop(number, None)
        self._written.pop(number, None)
        if status != "failed" and not self._gave_up:
            # Checkpoints of a trial that has ended are of no more use and fill disks; one that failed may be resumed.
            Checkpoints(checkpoint_folder(self._journal.path.parent, number)).remove()
        if problem := self._breaker.ended(reason if status == "failed" else None):
            self._interrupt.request(problem, failed=True)

    def write_look(self, look: Look) -> None:
        """What a rung decided."""
        self.write(
            "rung",
            trial_id=trial_id_of(look.number),
            rung=look.rung,
            score=look.score,
            rank=look.rank,
            of=look.of,
            goes_on=look.goes_on,
            control=look.control,
        )

    def write(self, kind: str, **fields: Any) -> None:
        """Append an entry to the journal; while that fails, wait."""
        problems: list[OSError] = []

        def is_written() -> bool:
            try:
                self._journal.append(kind, **fields)
            except OSError as error:
                problems[:] = [error]
                return False
            return True

        # After one entry is given up, a later one would hide that there is a gap.
        if not self._gave_up and not is_written():
            reason = f"{self._journal.path} can't be written ({problems[0].strerror or problems[0]})"
            self._gave_up = not self._wait(is_written, reason)

    def wait_until(self, is_well: Callable[[], bool], reason: str) -> None:
        """Let the whole search stand still until all is well again, or until it is asked to end."""
        self.write("paused", reason=reason)
        if self._wait(is_well, reason):
            self.write("continued", reason=reason)

    def _wait(self, is_well: Callable[[], bool], reason: str) -> bool:
        if self._interrupt.requested is not None:
            return False
        self._progress.pause(f"{reason}; the search waits: free space, or end it with Ctrl-C and resume it later")
        well = False
        while not well and self._interrupt.requested is None:
            time.sleep(TRY_AGAIN_EVERY)
            well = is_well()
        self._progress.pause(None)
        return well


def trial_id_of(number: int) -> str:
    """The trial's name in all files: the same for the same seed, unlike Ray's own."""
    return f"trial-{number:05d}"


def _reason_of_failure(trial: Trial) -> str:
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
    return textwrap.shorten((name[1] if name else "") + message[-1], LONGEST_REASON, placeholder=" …")
