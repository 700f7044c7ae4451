"""The terminal view of a running search: a live table, or plain lines when the output is not a terminal."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tune_lpc.spec.dimensions import describe_values
from tune_lpc.spec.record import SCORE
from tune_lpc.spec.space import Space

PLAIN_LINE_EVERY = 15.0
"""Seconds between progress lines when the output is not a terminal."""


@dataclass
class Shown:
    """What is shown of one trial."""

    number: int
    drawn: dict[str, Any]
    status: str = "running"
    epoch: int = 0
    score: float | None = None


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

    def epoch_done(self, number: int, epoch: int, score: float | None) -> None:
        """An epoch of a trial is through."""
        trial = self.trials[number]
        trial.epoch, trial.score = epoch, score
        if not self._live and time.monotonic() - self._last_line > PLAIN_LINE_EVERY:
            self._line(self._counts())

    def trial_ended(self, number: int, status: str, reason: str) -> None:
        """A trial has ended as completed, stopped, diverged or failed."""
        trial = self.trials[number]
        trial.status = status
        is_best = status == "completed" and trial.score is not None
        is_best = is_best and (self.best is None or self.best.score is None or trial.score > self.best.score)  # type: ignore[operator]
        if is_best:
            self.best = trial
        if self._live:
            if status == "failed":
                self.console.print(Text(f"trial {number} failed: {reason}", style="red"))
            return
        score = "" if trial.score is None else f", {SCORE} {trial.score:.4f}"
        detail = f": {reason}" if status in ("failed", "diverged") else ""
        self._line(f"trial {number} {status} after epoch {trial.epoch}{score}{' (best)' if is_best else ''}{detail}")

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
        ended = [trial.epoch for trial in shown if trial.status != "running"]
        done = sum(trial.epoch for trial in shown)
        if not ended or not done:
            return None
        each = sum(ended) / len(ended)
        running = sum(max(0.0, each - trial.epoch) for trial in shown if trial.status == "running")
        return (running + each * (self.space.trials - len(shown))) * self._seconds() / done

    def _counts(self) -> str:
        count = Counter(trial.status for trial in self._shown())
        to_come = self.space.trials - count.total()
        parts = [f"{count['running']} running", f"{count['stopped']} stopped early", f"{count['completed']} done"]
        parts += [f"{count['diverged']} diverged"] if count["diverged"] else []
        parts += [f"{count['failed']} failed", f"{to_come} to come"]
        epochs = sum(trial.epoch for trial in self._shown())
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
                table.add_row(str(trial.number), str(trial.epoch), score, describe_values(trial.drawn))
        lines: list[RenderableType] = [table] if table.row_count else []
        lines.append(Text(self._counts()))
        if self.best is not None and self.best.score is not None:
            best = f"best so far: {self.best.score:.4f}, trial {self.best.number}: {describe_values(self.best.drawn)}"
            lines.append(Text(best, style="bold green"))
        return Group(*lines)


def _clock(seconds: float) -> str:
    minutes, seconds_left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds_left:02d}" if hours else f"{minutes}:{seconds_left:02d}"
