"""The terminal view of a running search: a live table, or plain lines when the output is not a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune_lpc.cli.remaining import Pace, ahead, seconds_left
from tune_lpc.cli.shown import RUNNING, WAITING, Shown, clock, differing_first, firsts_of
from tune_lpc.plan.dimensions import describe_values
from tune_lpc.plan.hours import HOUR
from tune_lpc.plan.record import SCORE
from tune_lpc.plan.space import Space
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, Event, Status, TrialEnded, TrialStarted, number_of, trial_id_of
from tune_lpc.results.ranking import Config, comes_first, ranked
from tune_lpc.results.trial import Trial
from tune_lpc.search.time_budget import TimeBudget

PLAIN_LINE_EVERY = 15.0
"""Seconds between progress lines when the output is not a terminal."""
SHORTEST_BAR = 20
"""Columns; where the times leave less beside them, they have a line of their own."""


class Progress:
    """The state of a search as people see it; a context manager. See `engine.journalling.View`.

    ledger: trials of before an interruption are shown as they stand. budget: of time; without one there is no limit.
    competes: whether the trials do, so that it is told who leads.
    """

    def __init__(
        self,
        space: Space,
        console: Console,
        ledger: Ledger,
        budget: TimeBudget | None = None,
        *,
        competes: bool = True,
    ) -> None:
        self.space, self.console, self._competes = space, console, competes
        self.started = time.monotonic()
        self.pace = Pace(self.started)
        self.trials: dict[int, Shown] = {}
        self._ledger, self._budget = ledger, budget
        self.leading: Config | None = None
        self._live: Live | None = None
        self._share = 0.0
        self._is_closing = False
        self._said: set[str] = set()
        self._paused: str | None = None
        self._counted: float | None = None  # when the counts were last told in a plain line
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
            self._is_closing = True
            self.console.print(self._table())

    # What happens

    def show(self, event: Event) -> None:
        """Something has happened."""
        if isinstance(event, TrialStarted):
            shown = self.trials.setdefault(
                event.number, Shown(event.number, self._drawn(event.config), event.repeat_of, bool(event.control))
            )
            shown.status = RUNNING
        elif isinstance(event, EpochDone):
            self._epoch(self.trials[number_of(event.trial_id)], event.record)
        elif isinstance(event, TrialEnded):
            self._end(self.trials[number_of(event.trial_id)], event.status, event.reason)

    def _recall(self, trial: Trial) -> None:
        status = WAITING if trial.is_to_go_on else str(trial.status)
        drawn = self._drawn(trial.config)
        shown = self.trials[trial.number] = Shown(trial.number, drawn, trial.repeat_of, trial.control, status)
        if trial.longest is not None:
            self._note(shown, trial.longest.last)

    def _drawn(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: config[name] for name in self.space.dimensions if config.get(name) is not None}

    def _epoch(self, trial: Shown, record: Mapping[str, Any]) -> None:
        self._note(trial, record)
        now = time.monotonic()
        self.pace.epoch(now, record.get("seconds"))
        if not self._live and (self._counted is None or now - self._counted > PLAIN_LINE_EVERY):
            self._counted = now
            self._line(f"{self._counts()}, {self._times()}")

    def _note(self, trial: Shown, record: Mapping[str, Any]) -> None:
        trial.budget, trial.epoch, trial.score = record["budget"], record["epoch"], record[SCORE]
        trial.trained = self.space.fidelity.trained(trial.budget, trial.epoch)

    def _look_who_leads(self) -> bool:
        """Note the first of the ranking, once it has trained its full budget; whether it is told otherwise now."""
        if not self._competes:
            return False
        before, first = self.leading, next(iter(ranked(self._ledger)), None)
        self.leading = None if first is None or first.is_short else first
        return self.leading is not None and (before is None or _led(before) != _led(self.leading))

    def _may_lead(self, ended: Shown) -> bool:
        """Whether the ranking may begin otherwise now that a trial has ended."""
        if ended.repeat_of is not None:
            return True
        first = self._ledger.trials[trial_id_of(ended.number)]
        return ended.status == Status.COMPLETED and (self.leading is None or comes_first(first, self.leading))

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
            self.pace.pause(time.monotonic())
            self.say(f"paused: {reason}")
        elif self._paused is not None:
            self.pace.go_on(time.monotonic())
            self.say("the search goes on")
        self._paused = reason

    def _end(self, trial: Shown, status: Status, reason: str) -> None:
        trial.status = str(status)
        leads = self._may_lead(trial) and self._look_who_leads()
        if self._live:
            if status is Status.FAILED:
                self.console.print(Text(f"trial {trial.number} failed: {reason}", style="red"))
            return
        score = "" if trial.score is None else f", {SCORE} {trial.score:.4f}"
        detail = f": {reason}" if status in (Status.FAILED, Status.DIVERGED) else ""
        of = "" if trial.repeat_of is None else f" (another seed of trial {trial.repeat_of})"
        self._line(f"trial {trial.number}{of} {status} after epoch {trial.place}{score}{detail}")
        if leads and self.leading is not None:
            self._line(f"leading: {_led(self.leading)}")

    # What is shown

    def _line(self, text: str) -> None:
        self.console.print(f"[{clock(self._seconds())}] {text}", markup=False, highlight=False, soft_wrap=True)

    def _seconds(self) -> float:
        return time.monotonic() - self.started

    def _shown(self) -> list[Shown]:
        # A copy: the live table is drawn in a thread of its own while trials are added.
        return list(self.trials.values())

    def _to_come(self, shown: list[Shown]) -> int:
        """Configs that are to begin, or to go on after an interruption."""
        return max(0, self.space.most_configs - len(firsts_of(shown))) + sum(trial.status == WAITING for trial in shown)

    def share_done(self) -> float:
        """How much of the search is behind it, from 0 to 1; it never falls, whatever is reckoned anew."""
        shown, now, shares = self._shown(), time.monotonic(), []
        nothing_runs = not any(trial.status in (RUNNING, WAITING) for trial in shown)
        if not self.space.is_open:
            trained, left = sum(trial.trained for trial in shown), ahead(self.space, shown).epochs
            shares.append(trained / (trained + left) if trained + left else 0.0)
            nothing_runs = nothing_runs and not self._to_come(shown)
        if self._budget is not None:
            shares += self._budget.shares_spent(now)
        if self._is_closing and shown and nothing_runs:
            shares.append(1.0)
        self._share = max(self._share, *shares, 0.0)
        return min(1.0, self._share)

    def _counts(self) -> str:
        """The trials by what became of them, and what is to come."""
        shown = self._shown()
        count, to_come = Counter(trial.status for trial in shown), self._to_come(shown)
        parts = [f"{count[RUNNING]} running"]
        for status, word in (("stopped", "stopped early"), ("completed", "done"), ("diverged", ""), ("failed", "")):
            parts += [f"{count[status]} {word or status}"] if count[status] else []
        if not self.space.is_open:
            parts += [f"{to_come} to come"] if to_come else []
            repeats = ahead(self.space, shown).repeats
            parts += [f"then about {repeats} further seed{'s' if repeats > 1 else ''}"] if repeats else []
        return f"{sum(trial.trained for trial in shown):,} epochs: {', '.join(parts)}"

    def _times(self) -> str:
        """How much is behind, how long it took, and how long the rest will take."""
        shown, now, share = self._shown(), time.monotonic(), self.share_done()
        spent = f"{share:.0%}, {clock(self._seconds())} spent"
        if share == 1.0 and not any(trial.status == RUNNING for trial in shown):
            return spent
        if limits := self._limits_left():
            return f"{spent}, {limits}"
        left = seconds_left(self.space, shown, self.pace, now)
        return f"{spent}, {'time left unknown' if left is None else f'about {clock(left)} left'}"

    def _limits_left(self) -> str:
        """What is left of the time that there is; empty where there is no limit."""
        if self._budget is None:
            return ""
        now, limits = time.monotonic(), self._budget.limits
        found = []
        if (seconds := self._budget.seconds_left(now)) is not None and limits.seconds is not None:
            found.append(f"about {clock(seconds)} left of {limits.seconds / HOUR:g} hours")
        if (gpu_seconds := self._budget.gpu_seconds_left(now)) is not None and limits.gpu_seconds is not None:
            found.append(f"about {clock(gpu_seconds)} left of {limits.gpu_seconds / HOUR:g} GPU hours")
        return ", ".join(found)

    # The live table

    def _table(self) -> Group:
        # The figures stand above the table: where the terminal is too low for both, it is the table that is cut.
        lines = [*self._bar(), Text(self._counts())]
        if self._paused is not None:
            lines.append(Text(f"paused: {self._paused}", style="bold yellow"))
        lines += [best] if (best := self._best()) is not None else []
        running = [trial for trial in self._shown() if trial.status == RUNNING]
        return Group(*lines, *([self._running(running)] if running else []))

    def _bar(self) -> list[RenderableType]:
        times = self._times()
        bar = ProgressBar(total=1.0, completed=self._share)
        if len(times) + SHORTEST_BAR > self.console.width:
            return [bar, Text(times)]
        row = Table.grid(expand=True, padding=(0, 1, 0, 0))
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        row.add_row(bar, Text(times))
        return [row]

    def _best(self) -> Text | None:
        """Who leads; before anybody has trained the full budget, who has the best score so far. One line."""
        if self.leading is not None:
            drawn = describe_values(self._drawn(self.leading.trial.config))
            told, style = f"leading: {_led(self.leading)}: {drawn}", "bold green"
        else:
            scored = [(trial.score, trial) for trial in self._shown() if trial.score is not None]
            if not scored or not self._competes:
                return None
            score, best = max(scored, key=lambda pair: pair[0])
            told, style = (
                f"best so far: {score:.4f}, trial {best.number} at epoch {best.place}, not trained in full",
                "",
            )
        return Text(told, style=style, no_wrap=True, overflow="ellipsis")

    def _running(self, running: list[Shown]) -> Table:
        """A line a trial, what it has in common with the others behind: that is what a narrow terminal cuts off."""
        title = f"{self.space.name}: {self.space.size} of up to {self.space.epochs} epochs"
        table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False, expand=True)
        widest = len(Shown(0, {}, budget=self.space.epochs, epoch=self.space.epochs).place)
        table.add_column("trial", justify="right", min_width=5)
        table.add_column("epoch", justify="right", min_width=widest)
        table.add_column("accuracy", justify="right", min_width=8)
        table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
        for trial in running:
            score = "" if trial.score is None else f"{trial.score:.4f}"
            drawn = differing_first(trial.drawn, [other.drawn for other in running if other is not trial])
            table.add_row(str(trial.number), trial.place, score, describe_values(drawn))
        return table


def _led(config: Config) -> str:
    """The score of the config that leads, and how sure that is."""
    seeds = len(config.scores)
    between = "" if config.low is None or config.high is None else f" ({config.low:.4f} to {config.high:.4f})"
    return f"{config.score:.4f}{between}, {seeds} seed{'s' if seeds > 1 else ''}, trial {config.trial.number}"
