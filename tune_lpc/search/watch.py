"""What watches over a running search: trials that fail for the same reason, and trials that say nothing more."""

from __future__ import annotations

import re
import statistics
from collections import deque
from dataclasses import dataclass, field

FAILURES_IN_A_ROW = 3
"""So many trials that fail one after another for the same reason end the search: the next would fail too."""
REMEMBERED = 100
"""Of each kind of step, the last so many lengths."""
SHORTEST_WAIT = 30.0
"""Seconds; nothing is called stuck before, however short the steps are."""
SHORTEST_FIRST_WAIT = 300.0
"""Seconds; nor in a first epoch: a trial may be the first that needs a kernel, and compiling takes up to 86 s alone."""

Step = tuple[str, int]
"""What a worker is at, and the budget of the run that it belongs to (0 where that does not matter)."""

PREPARING: Step = ("prepare", 0)
"""A new process prepares the data; over when it says so, or with the first epoch of a process that was there."""
MEASURING: Step = ("measure", 0)
MEASURING_AT_RUNG: Step = ("measure at a rung", 0)
"""The cheap ones that objectives need; another kind, as those at the end may take many times as long."""


def first_epoch(budget: int) -> Step:
    """The first epoch of a run in a process: kernels and the network may be compiled in it."""
    return "first epoch", budget


def later_epoch(budget: int) -> Step:
    """Any other epoch."""
    return "epoch", budget


class Breaker:
    """Counts trials that fail one after another for the same reason, numbers in it aside."""

    def __init__(self, limit: int = FAILURES_IN_A_ROW) -> None:
        self._limit = limit
        self._reasons: deque[str] = deque(maxlen=limit)

    def ended(self, failure: str | None) -> str | None:
        """Note the end of a trial, with its reason when it failed; why the search should end, or None."""
        if failure is None:
            self._reasons.clear()
            return None
        # What tells one worker or node from another: numbers, hexadecimal ones too.
        self._reasons.append(re.sub(r"\b[0-9a-f]*\d[0-9a-f]*\b", "#", failure))
        if len(self._reasons) < self._limit or len(set(self._reasons)) > 1:
            return None
        return f"{self._limit} trials in a row failed for the same reason: {failure}"


@dataclass
class _Watched:
    """A running trial: what it is at, since when, and how long its own later epochs took."""

    step: Step
    since: float
    own: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


class Watch:
    """Tells which trials have said nothing for too long. All times are seconds of one clock, given as `now`.

    multiple: how many times the time expected. That of an epoch is the median of the trial's own in the same run, else
    the longest seen of that kind and budget; the first epoch of a run, preparing the data and the measures are kinds of
    their own. Where none was seen, the longest of the same kind in a run of another budget serves, and for an epoch the
    longest first one; where there is none either, nobody knows, and the trial is not called stuck.
    """

    def __init__(self, multiple: float) -> None:
        self._multiple = multiple
        self._seen: dict[Step, deque[float]] = {}
        self._running: dict[int, _Watched] = {}

    def expect(self, step: Step, seconds: float) -> None:
        """Note how long a step took elsewhere, in the driver's own process, say."""
        self._seen.setdefault(step, deque(maxlen=REMEMBERED)).append(seconds)

    def begins(self, number: int, now: float) -> None:
        """A trial is given to a worker, perhaps one that must prepare the data first."""
        self._running[number] = _Watched(PREPARING, now)

    def passes(self, number: int, following: Step, now: float, *, budget: int = 0) -> None:
        """A trial has done what it was at, and begun the step that follows.

        budget: of the run whose epoch is through, 0 where the data have been prepared. In a process that was there
        before, a trial begins with its first epoch.
        """
        trial = self._running.get(number)
        if trial is None:
            return  # the last word of a worker that was killed as stuck; nobody knows how long it took
        done, took = trial.step, now - trial.since
        if done == PREPARING and budget:
            done = first_epoch(budget)
        self.expect(done, took)
        if done[0] == "epoch":
            trial.own.append(took)
        if following[1] != done[1]:
            trial.own.clear()
        trial.step, trial.since = following, now

    def ends(self, number: int) -> None:
        """A trial is no longer watched."""
        self._running.pop(number, None)

    def pause(self, seconds: float, now: float) -> None:
        """The whole search stood still for so long."""
        for trial in self._running.values():
            trial.since = min(now, trial.since + seconds)

    def stuck(self, now: float) -> dict[int, str]:
        """The trials that are stuck, and why."""
        found = {}
        for number, trial in self._running.items():
            silent, expected = now - trial.since, self._expected(trial)
            if expected is not None and silent > max(_shortest_wait(trial.step), self._multiple * expected):
                found[number] = f"no {_named(trial.step)} in {silent:.0f} s, where one takes {expected:.2g} s"
        return found

    def _expected(self, trial: _Watched) -> float | None:
        if trial.step[0] == "epoch":
            own = statistics.median(trial.own) if trial.own else self._longest(trial.step)
            return self._longest(first_epoch(trial.step[1])) if own is None else own
        if trial.step != PREPARING:
            return self._longest(trial.step)
        # Whether the process is a new one is not known yet: it may be in its first epoch already.
        preparing, first = self._longest(PREPARING), self._longest(("first epoch", 0))
        return None if preparing is None else preparing + (first or 0.0)

    def _longest(self, step: Step) -> float | None:
        same = self._seen.get(step)
        if same:
            return max(same)
        others = [max(seen) for other, seen in self._seen.items() if other[0] == step[0]]
        return max(others, default=None)


def _shortest_wait(step: Step) -> float:
    # In a process that was there before, a trial that is given to it is in its first epoch at once.
    return SHORTEST_FIRST_WAIT if step[0] in ("prepare", "first epoch") else SHORTEST_WAIT


def _named(step: Step) -> str:
    named = {"prepare": "sign of the data", "measure": "measures", "measure at a rung": "measures"}
    return named.get(step[0], step[0])
