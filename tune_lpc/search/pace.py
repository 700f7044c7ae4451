"""How long trials take, seen from where they are directed: epochs, and what passes before and after them."""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass

from tune_lpc.plan.fidelity import Fidelity
from tune_lpc.results.events import trial_id_of
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.trial import Trial

REMEMBERED = 100
"""Of what comes before a first epoch and with a last one, so many."""
SLOW = 0.75
"""What is not known of a trial yet is taken to be as slow as this share of the others stays within."""


@dataclass
class _Stay:
    """A trial on a worker: when it was last heard of, and the epochs between its first report and the latest."""

    heard: float
    has_reported: bool = False
    epochs: int = 0
    seconds: float = 0.0

    @property
    def each(self) -> float | None:
        """Seconds from epoch to epoch."""
        return self.seconds / self.epochs if self.epochs else None


class Pace:
    """All times are seconds of one clock, given as `now`.

    A trial takes what passes before its first report, its epochs, and what comes with the last one, such as measures.
    Of trials of earlier processes the ledger tells how long their epochs took, not what passed between them.
    """

    def __init__(self, fidelity: Fidelity, ledger: Ledger) -> None:
        self._fidelity, self._ledger = fidelity, ledger
        self._running: dict[int, _Stay] = {}
        self._each: dict[int, float] = {}
        self._before: deque[float] = deque(maxlen=REMEMBERED)
        self._with_last: deque[float] = deque(maxlen=REMEMBERED)
        for trial in ledger.trials.values():
            if epochs := trial.epochs_trained + trial.epochs_repeated:
                self._each[trial.number] = trial.seconds / epochs

    # Told

    def begins(self, number: int, now: float) -> None:
        """A trial is given to a worker, for the first time or again."""
        self._running[number] = _Stay(now)

    def passes(self, number: int, now: float, *, is_last: bool) -> None:
        """A trial has reported an epoch."""
        stay = self._running.get(number)
        if stay is None:
            return
        took, stay.heard = now - stay.heard, now
        if not stay.has_reported:
            stay.has_reported = True
            self._before.append(took)
        elif is_last:
            self._with_last.append(max(0.0, took - (stay.each or took)))
        else:
            stay.epochs += 1
            stay.seconds += took
            self._each[number] = stay.seconds / stay.epochs

    def ends(self, number: int) -> None:
        """A trial has left its worker."""
        self._running.pop(number, None)

    # Asked

    @property
    def running(self) -> list[int]:
        """The numbers of the trials on workers."""
        return list(self._running)

    def heard(self, number: int) -> float:
        """When a running trial was last heard of."""
        return self._running[number].heard

    @property
    def each(self) -> float | None:
        """Seconds of an epoch of a trial of which nothing is known yet; None as long as nothing is known of any."""
        known = sorted(self._each.values())
        return known[math.ceil(SLOW * len(known)) - 1] if known else None

    @property
    def fastest(self) -> float:
        """Seconds of an epoch of the fastest trial; 0 as long as nothing is known."""
        return min(self._each.values(), default=0.0)

    def whole(self, number: int | None = None) -> float | None:
        """Seconds of a whole trial: of a further seed of trial `number`, else of any. None where nobody knows."""
        each = self._each_of(number)
        return None if each is None else self._outside(each) + self._fidelity.climb_epochs * each

    def rest(self, trial: Trial) -> float | None:
        """Seconds that a trial that waits would take to its end, from where the ledger has it."""
        each = self._each_of(trial.number)
        return None if each is None else self._outside(each) + self._epochs_left(trial) * each

    def end_of(self, number: int) -> float | None:
        """When a running trial has trained its full budget, if nothing stops it."""
        stay, trial = self._running[number], self._by_number(number)
        left = self._fidelity.climb_epochs if trial is None else self._epochs_left(trial)
        each = self._each_of(number)
        if each is None:
            return None
        return stay.heard + left * each + (self._closing if stay.has_reported else self._outside(each))

    def _each_of(self, number: int | None) -> float | None:
        return self.each if number is None else self._each.get(number, self.each)

    def _outside(self, each: float) -> float:
        """What a trial takes besides its epochs, of so many seconds each; the first stands in the time before it."""
        before = statistics.median(self._before) if self._before else 0.0
        return max(0.0, before - each) + self._closing

    @property
    def _closing(self) -> float:
        return statistics.median(self._with_last) if self._with_last else 0.0

    def _epochs_left(self, trial: Trial) -> int:
        run = trial.longest
        done = 0 if run is None else self._fidelity.trained(run.budget, run.epochs)
        return max(0, self._fidelity.climb_epochs - done)

    def _by_number(self, number: int) -> Trial | None:
        return self._ledger.trials.get(trial_id_of(number))
