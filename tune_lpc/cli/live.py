"""The terminal view of a running search: a live table, or plain lines when the output is not a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tune_lpc.plan.dimensions import describe_values
from tune_lpc.plan.record import SCORE
from tune_lpc.plan.space import Space
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, Event, Status, TrialEnded, TrialStarted, number_of
from tune_lpc.results.ledger import Trial
from tune_lpc.results.ranking import Config, ranked

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
    repeat_of: int | None = None
    status: str = "running"
    budget: int = 0
    epoch: int = 0
    score: float | None = None
    trained: int = 0
    here: int = 0


class Progress:
    """The state of a search as people see it; a context manager. See `engine.journalling.View`.

    ledger: trials of before an interruption are shown as they stand.
    """

    def __init__(self, space: Space, console: Console, ledger: Ledger) -> None:
        self.space, self.console = space, console
        self.started = time.monotonic()
        self.trials: dict[int, Shown] = {}
        self._ledger = ledger
        self.leading: Config | None = None
        self._live: Live | None = None
        self._said: set[str] = set()
        self._paused: str | None = None
        self._last_line = time.monotonic()
        for trial in ledger.in_order():
            self._recall(trial)
        self._look_who_leads()

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

    def show(self, event: Event) -> None:
        """Something has happened."""
        if isinstance(event, TrialStarted):
            shown = self.trials.setdefault(
                event.number, Shown(event.number, self._drawn(event.config), event.repeat_of)
            )
            shown.status = "running"
        elif isinstance(event, EpochDone):
            self._epoch(self.trials[number_of(event.trial_id)], event.record)
        elif isinstance(event, TrialEnded):
            self._end(self.trials[number_of(event.trial_id)], event.status, event.reason)

    def _recall(self, trial: Trial) -> None:
        status = "waiting" if trial.is_to_go_on else str(trial.status)
        shown = self.trials[trial.number] = Shown(trial.number, self._drawn(trial.config), trial.repeat_of, status)
        if trial.longest is not None:
            self._note(shown, trial.longest.last)

    def _drawn(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: config[name] for name in self.space.dimensions if config.get(name) is not None}

    def _epoch(self, trial: Shown, record: Mapping[str, Any]) -> None:
        self._note(trial, record)
        trial.here += 1
        if not self._live and time.monotonic() - self._last_line > PLAIN_LINE_EVERY:
            self._line(self._counts())

    def _note(self, trial: Shown, record: Mapping[str, Any]) -> None:
        trial.budget, trial.epoch, trial.score = record["budget"], record["epoch"], record[SCORE]
        trial.trained = self.space.fidelity.trained(trial.budget, trial.epoch)

    def _look_who_leads(self) -> None:
        first = next(iter(ranked(self._ledger)), None)
        self.leading = None if first is None or first.is_short else first

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

    def _end(self, trial: Shown, status: Status, reason: str) -> None:
        trial.status = str(status)
        if status is Status.COMPLETED:
            self._look_who_leads()
        if self._live:
            if status is Status.FAILED:
                self.console.print(Text(f"trial {trial.number} failed: {reason}", style="red"))
            return
        score = "" if trial.score is None else f", {SCORE} {trial.score:.4f}"
        detail = f": {reason}" if status in (Status.FAILED, Status.DIVERGED) else ""
        of = "" if trial.repeat_of is None else f" (another seed of trial {trial.repeat_of})"
        self._line(f"trial {trial.number}{of} {status} after epoch {_place(trial)}{score}{detail}")
        if status is Status.COMPLETED and self.leading is not None:
            self._line(f"leading: {_led(self.leading)}")

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
        configs = sum(trial.repeat_of is None for trial in shown)
        return (running + each * (self.space.trials - configs)) * self._seconds() / here

    def _counts(self) -> str:
        count = Counter(trial.status for trial in self._shown())
        configs = sum(trial.repeat_of is None for trial in self._shown())
        to_come = self.space.trials - configs + count["waiting"]
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
        # The figures stand above the table: where the terminal is too low for both, it is the table that is cut.
        lines: list[RenderableType] = [Text(self._counts())]
        if self._paused is not None:
            lines.append(Text(f"paused: {self._paused}", style="bold yellow"))
        if self.leading is not None:
            drawn = describe_values(self._drawn(self.leading.trial.config))
            lines.append(Text(f"leading: {_led(self.leading)}: {drawn}", style="bold green"))
        return Group(*lines, *([table] if table.row_count else []))


def _led(config: Config) -> str:
    """The score of the config that leads, and how sure that is."""
    seeds = len(config.scores)
    between = "" if config.low is None or config.high is None else f" ({config.low:.4f} to {config.high:.4f})"
    return f"{config.score:.4f}{between}, {seeds} seed{'s' if seeds > 1 else ''}, trial {config.trial.number}"


def _place(trial: Shown) -> str:
    return f"{trial.epoch} of {trial.budget}" if trial.budget else "0"


def _clock(seconds: float) -> str:
    minutes, seconds_left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds_left:02d}" if hours else f"{minutes}:{seconds_left:02d}"
