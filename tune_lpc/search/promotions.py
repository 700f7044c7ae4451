"""Promotion: which of the trials that wait at the rungs goes on next, and which may still do so."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tune_lpc.plan.space import Space
from tune_lpc.results.events import RungDecided, Status, trial_id_of
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.trial import Trial
from tune_lpc.search.rungs import arrivals_at, best_first, places, promote, undominated, with_objectives


class Promotions:
    """The trials that a rung has left, and that go on when they are among the best there later.

    space: its rung rule says whether any does. ledger: where they stand.
    """

    def __init__(self, space: Space, ledger: Ledger) -> None:
        self._ledger = ledger
        self._factor = space.fidelity.reduction_factor
        self._rungs = space.fidelity.rungs() if space.rung_rule == "promote" else []
        self._orders: dict[int, list[int]] = {}
        self._counts: dict[int, int] = {}

    def next(
        self, under_way: Collection[int], *, all_begun: bool, admits: Callable[[Trial], bool] = lambda _: True
    ) -> RungDecided | None:
        """What lets a trial go on now, at the highest rung where there is one; None when there is none.

        under_way: the numbers of the first trials of configs that are being trained. all_begun: whether no other will
        begin, or go on after an interruption. admits: whether there is time for the rest of a trial.
        """
        found = None
        are_all = all_begun
        for rung in self._rungs:
            are_all = are_all and all(self._has_come(number, rung) for number in under_way)
            order = self._best_first(rung)
            best = order[: places(len(self._ledger.arrivals.get(rung, ())), self._factor, are_all=are_all)]
            waiting = (self._ledger.trials[trial_id_of(number)] for number in best if self._waits(number, rung))
            trial = next((trial for trial in waiting if admits(trial)), None)
            if trial is not None:
                found = with_objectives(promote(trial, rung, arrivals_at(rung, self._ledger)), self._ledger)
                are_all = False  # it is yet to come to the next rung
        return found

    def waiting(self, most: int) -> set[int]:
        """The numbers of the trials that wait and may still go on; those of no hope are left out.

        most: configs that there will be at most.
        At each rung they are among the best 1 / reduction_factor, rounded up, of those that will have come there at
        most: who has gone on at the rung below, who waits there, and who is yet to come there.
        """
        found: set[int] = set()
        for rung in self._rungs:
            arrivals = self._ledger.arrivals.get(rung, {})
            best = self._hopeful(rung, places(most, self._factor, are_all=True))
            waiting = {number for number in best if self._waits(number, rung)}
            found |= waiting
            most += len(waiting) - sum(not self._is_beyond(number, rung) for number in arrivals)
        return found

    def _hopeful(self, rung: int, most: int) -> list[int]:
        """The trials that may be among the best `most` of a rung, whoever else may come."""
        if self._ledger.objectives:
            return undominated(self._ledger.vectors.get(rung, {}), most, self._ledger.objectives)
        return self._best_first(rung)[:most]

    def _best_first(self, rung: int) -> list[int]:
        """The order of those that have come to a rung; it changes only when another comes."""
        arrivals = self._ledger.arrivals.get(rung, {})
        if self._counts.get(rung) != len(arrivals):
            self._orders[rung] = best_first(arrivals_at(rung, self._ledger))
            self._counts[rung] = len(arrivals)
        return self._orders[rung]

    def _has_come(self, number: int, rung: int) -> bool:
        return number in self._ledger.arrivals.get(rung, ())

    def _is_beyond(self, number: int, rung: int) -> bool:
        """Whether a rung has let a trial go on; what it said may be lost with a damaged entry."""
        look = self._ledger.trials[trial_id_of(number)].looks.get(rung)
        return (look is not None and look.goes_on) or any(
            self._has_come(number, higher) for higher in self._rungs if higher > rung
        )

    def _waits(self, number: int, rung: int) -> bool:
        end = self._ledger.trials[trial_id_of(number)].end
        return end is not None and end.status is Status.STOPPED and not self._is_beyond(number, rung)
