"""What is left of a running search: how many epochs, how long, and how much of it is behind.

A plan to begin with, corrected by what has come: who is still to come to each rung is counted, how many of them it lets
through is reckoned as for scores in random order.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from tune_lpc.cli.shown import LOST, RUNNING, Shown, firsts_of
from tune_lpc.plan.space import Space
from tune_lpc.search.rungs import places
from tune_lpc.search.seeds import stages

COUNTED = 128
"""Arrivals at a rung that are reckoned one by one; of more, each further one counts by the rung's share."""
ORDERS = 32
"""Random orders of arrival over which promotions are averaged."""
USUALLY_LOST = 2.0
"""How many trials it takes until the share that diverged or failed is half believed."""


@dataclass(frozen=True)
class Ahead:
    """What is expected of a search from where it stands.

    epochs: that its configs and their further seeds will train. repeats: further seeds that will begin.
    """

    epochs: float
    repeats: int


def ahead(space: Space, shown: Sequence[Shown]) -> Ahead:
    """What is to come of a search of `space` whose trials stand as `shown`; of one that time ends, nothing is known."""
    firsts, repeats = firsts_of(shown), [trial for trial in shown if trial.repeat_of is not None]
    whole = space.fidelity.climb_epochs
    epochs, trained = (0.0, 0.0) if space.is_open else _configs_ahead(space, firsts)
    # One that has trained its last epoch has not ended yet when that is told.
    trained += sum(trial.status == "completed" or (trial.trained >= whole and not trial.has_ended) for trial in firsts)
    planned = sum(stages(max(1, round(trained)) if trained else 0, space.seeds, space.fidelity.reduction_factor))
    begin = max(0, planned - len(repeats))
    epochs += begin * whole + sum(whole - trial.trained for trial in repeats if not trial.has_ended)
    return Ahead(epochs, begin)


def _configs_ahead(space: Space, firsts: Sequence[Shown]) -> tuple[float, float]:
    """Epochs that the configs have before them, and how many of them will yet train their full budget."""
    to_begin = max(0, space.most_configs - len(firsts))
    control = float(max(0, space.most_controls - sum(trial.control for trial in firsts)))
    lost = [trial for trial in firsts if trial.status in LOST]
    share_lost = len(lost) / (len(firsts) + USUALLY_LOST)
    epochs = to_begin * share_lost * sum(trial.trained for trial in lost) / max(1, len(lost))
    coming = to_begin * (1 - share_lost)
    control = min(control, coming)
    before, ends = 0, space.fidelity.stage_ends()
    for end in ends:
        # A trial at a rung that has not ended goes on: what the rung says of it follows its epoch at once.
        here = [trial for trial in firsts if not trial.has_ended and before <= trial.trained < end]
        epochs += coming * (end - before) + sum(end - trial.trained for trial in here)
        coming += len(here)
        control += sum(trial.control for trial in here)
        if end != ends[-1]:
            coming = _through(space, firsts, end, coming, control)
            control = min(control, coming)
        before = end
    return epochs, coming


def _through(space: Space, firsts: Sequence[Shown], end: int, coming: float, control: float) -> float:
    """How many will yet go on at the rung after `end` epochs, to which `coming` are still to come, so many of them
    control trials; with promotion also of those that wait there."""
    come = sum(trial.trained >= end for trial in firsts)
    factor, rule = space.fidelity.reduction_factor, space.rung_rule
    found = expected_to_pass(come + coming, factor, rule) - expected_to_pass(come, factor, rule)
    if coming:
        found += control * (1 - found / coming)
    if rule == "promote":
        passed = sum(trial.trained > end or (trial.trained == end and not trial.has_ended) for trial in firsts)
        found = max(found, places(math.ceil(come + coming), factor, are_all=True) - passed)
    return found


def expected_to_pass(arrivals: float, factor: int, rule: str) -> float:
    """How many of so many trials a rung lets go on, on average, when their scores come in random order.

    Under "stop" the k-th goes on when it is among the best k / factor, rounded up, of those that have come. Under
    "promote" whoever ever is among the best k / factor, rounded down, goes on, which are more than there are places.
    """
    table = _table(factor, rule)
    most = len(table) - 1
    if arrivals >= most:
        return table[most] + (arrivals - most) / factor
    low = math.floor(arrivals)
    return table[low] + (arrivals - low) * (table[low + 1] - table[low])


@functools.cache
def _table(factor: int, rule: str) -> tuple[float, ...]:
    """How many go on, by the number of those that have come, from 0 to COUNTED."""
    if rule == "stop":
        chances = (math.ceil(k / factor) / k for k in range(1, COUNTED + 1))
        return tuple(itertools.accumulate(chances, initial=0.0))
    orders = [_promoted(random.Random(number), factor) for number in range(ORDERS)]
    return tuple(sum(counts) / ORDERS for counts in zip(*orders, strict=True))


def _promoted(draw: random.Random, factor: int) -> list[int]:
    """How many have been promoted when 0, 1, … up to COUNTED trials have come, in one order that is drawn."""
    best_first: list[float] = []
    promoted: set[float] = set()
    found = [0]
    for come in range(1, COUNTED + 1):
        insort(best_first, draw.random())
        promoted.update(best_first[: places(come, factor, are_all=False)])
        found.append(len(promoted))
    return found


class Pace:
    """How long an epoch of the search takes by the clock, all slots together. Times are seconds of one clock.

    What passes before the first epoch begins, while workers start, is no part of it, nor is a pause.
    """

    def __init__(self, now: float) -> None:
        self._began = now
        self._paused_at: float | None = None
        self.epochs = 0

    def epoch(self, now: float, seconds: float | None) -> None:
        """An epoch is through; `seconds` is how long it took."""
        if not self.epochs and seconds is not None:
            self._began = max(self._began, now - seconds)
        self.epochs += 1

    def pause(self, now: float) -> None:
        """All stands still."""
        self._paused_at = now if self._paused_at is None else self._paused_at

    def go_on(self, now: float) -> None:
        """It goes on."""
        if self._paused_at is not None:
            self._began += now - self._paused_at
            self._paused_at = None

    def each(self, now: float, running: int) -> float | None:
        """Seconds by the clock from epoch to epoch; None before the first.

        running: trials on workers: beside the one that has just told of an epoch, each is halfway through one.
        """
        if not self.epochs:
            return None
        until = now if self._paused_at is None else self._paused_at
        return max(0.0, until - self._began) / (self.epochs + max(0, running - 1) / 2)


def seconds_left(space: Space, shown: Sequence[Shown], pace: Pace, now: float) -> float | None:
    """How long the search will yet take, by the clock; None before its first epoch here, and where time ends it."""
    running = sum(trial.status == RUNNING for trial in shown)
    each = pace.each(now, running)
    if each is None or space.is_open:
        return None
    return ahead(space, shown).epochs * each
