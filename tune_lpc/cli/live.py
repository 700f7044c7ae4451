"""The terminal view of a running search: a live table, or plain lines when the output is not a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune_lpc.plan.dimensions import describe_values
from tune_lpc.plan.hours import HOUR
from tune_lpc.plan.record import SCORE
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.plan.space import Space
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, Event, Status, TrialEnded, TrialStarted, number_of, trial_id_of
from tune_lpc.results.ledger import Trial
from tune_lpc.results.ranking import Config, comes_first, ranked
from tune_lpc.search.seeds import stages
from tune_lpc.search.time_budget import TimeBudget

PLAIN_LINE_EVERY = 15.0
"""Seconds between progress lines when the output is not a terminal."""


@dataclass
class Shown:
    """What is shown of one trial.

    repeat_of: number of the first trial of its config, None for that one itself. budget, epoch: the length of its run,
    and where in it. trained: epochs of all its runs. here: those seen by this process.
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

    @property
    def has_ended(self) -> bool:
        """Whether it is not being trained, nor waits to be after an interruption."""
        return self.status not in ("running", "waiting")


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
        self.trials: dict[int, Shown] = {}
        self._ledger, self._budget = ledger, budget
        self.leading: Config | None = None
        self._live: Live | None = None
        self._starting = 0.0  # seconds of this process before its first epoch began
        self._share = 0.0
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
        if not any(shown.here for shown in self.trials.values()) and record.get("seconds") is not None:
            self._starting = max(0.0, self._seconds() - record["seconds"])
        trial.here += 1
        if not self._live and time.monotonic() - self._last_line > PLAIN_LINE_EVERY:
            self._line(self._counts())

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
            self.say(f"paused: {reason}")
        elif self._paused is not None:
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
        self._line(f"trial {trial.number}{of} {status} after epoch {_place(trial)}{score}{detail}")
        if leads and self.leading is not None:
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
        """Time left at the pace of this process; None before its first epoch, and where time alone limits it."""
        shown = self._shown()
        here = sum(trial.here for trial in shown)
        if not here or self.space.trials == AS_MANY_AS_FIT:
            return None
        return self._epochs_left(shown) * (self._seconds() - self._starting) / here

    def _share_done(self) -> float:
        """How much of the search is behind it, from 0 to 1; it never falls, whatever is reckoned anew."""
        shown = self._shown()
        trained = sum(trial.trained for trial in shown)
        if self._budget is not None and (left := self._budget.seconds_left(time.monotonic())) is not None:
            spent = self._seconds()
            share = spent / (spent + left) if spent + left > 0 else 0.0
        elif self.space.trials == AS_MANY_AS_FIT:
            share = 0.0
        else:
            left_epochs = self._epochs_left(shown)
            share = trained / (trained + left_epochs) if trained + left_epochs > 0 else 1.0
        self._share = max(self._share, min(1.0, share))
        return self._share

    def _bar(self) -> RenderableType:
        share = self._share_done()
        row = Table.grid(expand=True, padding=(0, 1, 0, 0))
        row.add_column(ratio=1)
        row.add_column(justify="right", no_wrap=True)
        row.add_row(ProgressBar(total=1.0, completed=share), Text(f"{share:.0%}"))
        return row

    def _best(self) -> Text | None:
        """Who leads; before anybody has trained the full budget, who has the best score so far."""
        if self.leading is not None:
            drawn = describe_values(self._drawn(self.leading.trial.config))
            return Text(f"leading: {_led(self.leading)}: {drawn}", style="bold green")
        scored = [(trial.score, trial) for trial in self._shown() if trial.score is not None]
        if not scored or not self._competes:
            return None
        score, trial = max(scored, key=lambda pair: pair[0])
        return Text(f"best so far: {score:.4f}, trial {trial.number} at epoch {_place(trial)}: not trained in full yet")

    def _epochs_left(self, shown: list[Shown]) -> float:
        """Epochs to come: what the configs cost, and their further seeds, each of which is trained to its end."""
        fidelity = self.space.fidelity
        firsts, repeats = _firsts(shown), [trial for trial in shown if trial.repeat_of is not None]
        whole = fidelity.climb_epochs
        of_repeats = self._repeats_to_come(shown) * whole
        of_repeats += sum(whole - trial.trained for trial in repeats if not trial.has_ended)
        going = [trial for trial in firsts if not trial.has_ended]
        if self.space.rung_rule == "promote":
            # Those that ended first tell little, as none of them has gone on yet: what the whole search costs does.
            lost = [trial for trial in firsts if trial.status in ("diverged", "failed")]
            alive, control = self.space.trials - len(lost), self.space.control_trials
            spent = sum(trial.trained for trial in firsts) - sum(trial.trained for trial in lost)
            nearest = sum(min(end for end in fidelity.stage_ends() if end >= trial.trained) for trial in going)
            planned = fidelity.expected_epochs(alive, min(alive, control)) - spent
            return of_repeats + max(planned, nearest - sum(trial.trained for trial in going))
        ended = [trial.trained for trial in firsts if trial.has_ended]
        each = sum(ended) / len(ended) if ended else whole
        running = sum(max(0.0, each - trial.trained) for trial in going)
        return of_repeats + running + each * (self.space.trials - len(firsts))

    def _repeats_to_come(self, shown: list[Shown]) -> int:
        """How many further seeds will begin: of the configs that have trained their full budget, or of as many as will.

        Those are reckoned as long as configs are to come, by how many the rungs let through.
        """
        firsts, space = _firsts(shown), self.space
        trained = sum(trial.status == "completed" for trial in firsts)
        if len(firsts) < space.trials or not all(trial.has_ended for trial in firsts):
            trained = max(trained, space.fidelity.expected_trained(space.trials, space.control_trials))
        most = sum(stages(trained, space.seeds, space.reduction_factor))
        return max(0, most - (len(shown) - len(firsts)))

    def _counts(self) -> str:
        shown = self._shown()
        count = Counter(trial.status for trial in shown)
        to_come, repeats = self.space.trials - len(_firsts(shown)) + count["waiting"], self._repeats_to_come(shown)
        parts = [f"{count['running']} running", f"{count['stopped']} stopped early", f"{count['completed']} done"]
        parts += [f"{count['diverged']} diverged"] if count["diverged"] else []
        is_open = self.space.trials == AS_MANY_AS_FIT
        parts += [f"{count['failed']} failed"]
        parts += [f"{to_come} to come"] if not is_open else []
        parts += [f"then about {repeats} further seed{'s' if repeats > 1 else ''}"] if repeats and not is_open else []
        epochs = sum(trial.trained for trial in shown)
        text = f"{', '.join(parts)} | {epochs:,} epochs, {_clock(self._seconds())} spent"
        if not count["running"] and not to_come and not repeats:
            return text
        if limits := self._limits_left():
            return f"{text}, {limits}"
        left = self._seconds_left()
        return f"{text}, {'time left unknown' if left is None else f'about {_clock(left)} left'}"

    def _limits_left(self) -> str:
        """What is left of the time that there is; empty where there is no limit."""
        if self._budget is None:
            return ""
        now, limits = time.monotonic(), self._budget.limits
        found = []
        if (seconds := self._budget.seconds_left(now)) is not None and limits.seconds is not None:
            found.append(f"about {_clock(seconds)} left of {limits.seconds / HOUR:g} hours")
        if (gpu_seconds := self._budget.gpu_seconds_left(now)) is not None and limits.gpu_seconds is not None:
            found.append(f"about {_clock(gpu_seconds)} left of {limits.gpu_seconds / HOUR:g} GPU hours")
        return ", ".join(found)

    def _table(self) -> Group:
        epochs = self.space.epochs
        table = Table(title=f"{self.space.name}: {self.space.size} of up to {epochs} epochs", expand=True)
        table.add_column("trial", justify="right", min_width=5)
        table.add_column("epoch", justify="right", min_width=len(_place(Shown(0, {}, budget=epochs, epoch=epochs))))
        table.add_column(SCORE.replace("_", " "), justify="right", min_width=10)
        table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)  # a line a trial
        for trial in self._shown():
            if trial.status == "running":
                score = "" if trial.score is None else f"{trial.score:.4f}"
                table.add_row(str(trial.number), _place(trial), score, describe_values(trial.drawn))
        # The figures stand above the table: where the terminal is too low for both, it is the table that is cut.
        lines: list[RenderableType] = [self._bar(), Text(self._counts())]
        if self._paused is not None:
            lines.append(Text(f"paused: {self._paused}", style="bold yellow"))
        if (best := self._best()) is not None:
            lines.append(best)
        return Group(*lines, *([table] if table.row_count else []))


def _led(config: Config) -> str:
    """The score of the config that leads, and how sure that is."""
    seeds = len(config.scores)
    between = "" if config.low is None or config.high is None else f" ({config.low:.4f} to {config.high:.4f})"
    return f"{config.score:.4f}{between}, {seeds} seed{'s' if seeds > 1 else ''}, trial {config.trial.number}"


def _firsts(shown: list[Shown]) -> list[Shown]:
    """Those that are no further seeds."""
    return [trial for trial in shown if trial.repeat_of is None]


def _place(trial: Shown) -> str:
    return f"{trial.epoch} of {trial.budget}" if trial.budget else "0"


def _clock(seconds: float) -> str:
    minutes, seconds_left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds_left:02d}" if hours else f"{minutes}:{seconds_left:02d}"
