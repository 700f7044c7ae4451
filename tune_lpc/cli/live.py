"""The terminal view of a running search: a live table, or plain lines when the output is not a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tune_lpc.plan.dimensions import describe_values
from tune_lpc.plan.record import SCORE
from tune_lpc.plan.space import Space

PLAIN_LINE_EVERY = 15.0
"""Seconds between progress lines when the output is not a terminal."""


@dataclass
class Shown:
    """What is shown of one trial.

    budget, epoch: the length of its run, and where in it. trained: epochs of all its runs. here: those seen by this
    process.
    """

    number: int
    drawn: dict[str, Any]
    status: str = "running"
    budget: int = 0
    epoch: int = 0
    score: float | None = None
    trained: int = 0
    here: int = 0


@dataclass
class Progress:
    """The state of a search as people see it."""

    space: Space
    console: Console
    started: float = field(default_factory=time.monotonic)
    trials: dict[int, Shown] = field(default_factory=dict)
    best: Shown | None = None

    def __post_init__(self) -> None:
        self._live: Live | None = None
        self._said: set[str] = set()
        self._paused: str | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            self.console.print(self._table())

    # What happens

    def trial_started(self, number: int, drawn: dict[str, Any]) -> None:
        """A trial begins, or begins again after a failed worker."""
        self.trials.setdefault(number, Shown(number, drawn)).status = "running"

    def epoch_done(self, number: int, record: Mapping[str, Any]) -> None:
        """An epoch of a trial is through."""
        self._note(self.trials[number], record)
        self.trials[number].here += 1
        if not self._live and time.monotonic() - self._last_line > PLAIN_LINE_EVERY:
            self._line(self._counts())

    def recall(self, number: int, drawn: dict[str, Any], status: str, record: Mapping[str, Any] | None) -> None:
        """A trial of before an interruption, as it stands; nothing is printed."""
        trial = self.trials[number] = Shown(number, drawn, status)
        if record is not None:
            self._note(trial, record)
        self._best_so_far(trial)

    def _note(self, trial: Shown, record: Mapping[str, Any]) -> None:
        trial.budget, trial.epoch, trial.score = record["budget"], record["epoch"], record[SCORE]
        trial.trained = self.space.fidelity.trained(trial.budget, trial.epoch)

    def _best_so_far(self, trial: Shown) -> bool:
        """Note a completed trial if it is the best; whether it is."""
        if trial.status != "completed" or trial.score is None:
            return False
        if self.best is None or self.best.score is None or trial.score > self.best.score:
            self.best = trial
        return self.best is trial

    def say(self, text: str) -> None:
        """Tell something beside the table."""
        if self._live:
            self.console.print(Text(text, style="yellow"), soft_wrap=True)
        else:
            self._line(text)

    def say_once(self, text: str) -> None:
        """Tell it the first time only."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def pause(self, reason: str | None) -> None:
        """The search stands still for a reason, or goes on (None)."""
        if reason is not None:
            self.say(f"paused: {reason}")
        elif self._paused is not None:
            self.say("the search goes on")
        self._paused = reason

    def trial_ended(self, number: int, status: str, reason: str) -> None:
        """A trial has ended as completed, stopped, diverged or failed."""
        trial = self.trials[number]
        trial.status = status
        is_best = self._best_so_far(trial)
        if self._live:
            if status == "failed":
                self.console.print(Text(f"trial {number} failed: {reason}", style="red"))
            return
        score = "" if trial.score is None else f", {SCORE} {trial.score:.4f}"
        detail = f": {reason}" if status in ("failed", "diverged") else ""
        best = " (best)" if is_best else ""
        self._line(f"trial {number} {status} after epoch {_place(trial)}{score}{best}{detail}")

    # What is shown

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        self.console.print(f"[{_clock(self._seconds())}] {text}", markup=False, highlight=False, soft_wrap=True)

    def _seconds(self) -> float:
        return time.monotonic() - self.started

    def _shown(self) -> list[Shown]:
        # A copy: the live table is drawn in a thread of its own while trials are added.
        return list(self.trials.values())

    def _seconds_left(self) -> float | None:
        """Time left if the trials to come cost what those that ended did; None before the first has ended."""
        shown = self._shown()
        ended = [trial.trained for trial in shown if trial.status not in ("running", "waiting")]
        here = sum(trial.here for trial in shown)
        if not ended or not here:
            return None
        each = sum(ended) / len(ended)
        going = [trial for trial in shown if trial.status in ("running", "waiting")]
        running = sum(max(0.0, each - trial.trained) for trial in going)
        return (running + each * (self.space.trials - len(shown))) * self._seconds() / here

    def _counts(self) -> str:
        count = Counter(trial.status for trial in self._shown())
        to_come = self.space.trials - count.total() + count["waiting"]
        parts = [f"{count['running']} running", f"{count['stopped']} stopped early", f"{count['completed']} done"]
        parts += [f"{count['diverged']} diverged"] if count["diverged"] else []
        parts += [f"{count['failed']} failed", f"{to_come} to come"]
        epochs = sum(trial.trained for trial in self._shown())
        text = f"{', '.join(parts)} | {epochs:,} epochs, {_clock(self._seconds())} spent"
        if not count["running"] and not to_come:
            return text
        left = self._seconds_left()
        return f"{text}, {'time left unknown' if left is None else f'about {_clock(left)} left'}"

    def _table(self) -> Group:
        table = Table(title=f"{self.space.name}: {self.space.trials} trials of up to {self.space.epochs} epochs")
        table.add_column("trial", justify="right")
        table.add_column("epoch", justify="right")
        table.add_column(SCORE.replace("_", " "), justify="right")
        table.add_column("parameters", overflow="fold")
        for trial in self._shown():
            if trial.status == "running":
                score = "" if trial.score is None else f"{trial.score:.4f}"
                table.add_row(str(trial.number), _place(trial), score, describe_values(trial.drawn))
        lines: list[RenderableType] = [table] if table.row_count else []
        lines.append(Text(self._counts()))
        if self._paused is not None:
            lines.append(Text(f"paused: {self._paused}", style="bold yellow"))
        if self.best is not None and self.best.score is not None:
            best = f"best so far: {self.best.score:.4f}, trial {self.best.number}: {describe_values(self.best.drawn)}"
            lines.append(Text(best, style="bold green"))
        return Group(*lines)


def _place(trial: Shown) -> str:
    return f"{trial.epoch} of {trial.budget}" if trial.budget else "0"


def _clock(seconds: float) -> str:
    minutes, seconds_left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds_left:02d}" if hours else f"{minutes}:{seconds_left:02d}"
