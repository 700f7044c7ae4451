"""Early stopping: asynchronous successive halving (ASHA; Li et al., MLSys 2020) on Ray's scheduler interface."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_lpc.plan.fidelity import Fidelity
from tune_lpc.plan.record import SCORE
from tune_lpc.search.searcher import NUMBER


@dataclass(frozen=True)
class Look:
    """What a rung said of a trial.

    score: None where it was infinite or not a number. rank: its place, from 1, among the `of` scores there so far, its
    own included. control: whether the trial goes on whatever the rung says.
    """

    number: int
    rung: int
    score: float | None
    rank: int
    of: int
    goes_on: bool
    control: bool = False

    def reason(self) -> str:
        """Why a trial that does not go on ends."""
        return f"{SCORE} {_shown(self.score)} was number {self.rank} of {self.of} at the rung of epoch {self.rung}"


class Rungs:
    """The scores seen at each rung, and the rule by which a trial goes on.

    A trial goes on when it is among the best of the scores that have come to the rung so far, its own included: the
    best 1 / reduction_factor of them, rounded up. So the first arrival goes on; a tie with the last of the best goes
    on too. A score that is infinite or not a number is worse than any other, counts as one of those that have come,
    and never goes on. A control trial counts like any other and always goes on.
    """

    def __init__(self, fidelity: Fidelity, looks: Iterable[Look] = ()) -> None:
        """`looks`: what was decided before, in the order of arrival."""
        self._fidelity = fidelity
        self._scores: dict[int, list[float]] = {rung: [] for rung in fidelity.rungs()}
        self._looks: dict[tuple[int, int], Look] = {}
        for look in looks:
            self.note(look)

    def arrive(
        self, number: int, budget: int, epoch: int, score: float | None, *, control: bool = False
    ) -> Look | None:
        """What the rung says of trial `number` after `epoch` of its run of `budget` epochs; None where there is none.

        A trial that comes to a rung again, after its worker failed, hears the same again and does not count twice.
        """
        rung = self._fidelity.rung_at(budget, epoch)
        if rung is None:
            return None
        if (number, rung) in self._looks:
            return self._looks[number, rung]
        finite = score if score is not None and math.isfinite(score) else None
        scores = self._scores[rung]
        of = len(scores) + 1
        better = len(scores) - bisect_right(scores, _worst_if_none(finite))
        goes_on = finite is not None and better < math.ceil(of / self._fidelity.reduction_factor)
        look = Look(number, rung, finite, better + 1, of, goes_on or (control and finite is not None), control)
        self.note(look)
        return look

    def note(self, look: Look) -> None:
        """Take up what was decided."""
        self._looks[look.number, look.rung] = look
        insort(self._scores[look.rung], _worst_if_none(look.score))


class RungScheduler(FIFOScheduler):
    """Runs trials in order, stops those that fall short at a rung and those that have diverged.

    The trial's number, not Ray's own id, names it everywhere: it is the same after a resume.
    """

    def __init__(self, rungs: Rungs, is_control: Callable[[int], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rungs, self._is_control = rungs, is_control
        self.looks: dict[int, Look] = {}
        """The last look of each trial."""
        self._waiting: dict[Trial, None] = {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial is to run, or to run again after a failure: it comes last."""
        self._waiting.pop(trial, None)
        self._waiting[trial] = None

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The first of those that wait. Ray's own asks every trial that there ever was, in every step of the search."""
        for trial in list(self._waiting):
            if trial.status == Trial.PENDING:
                return trial
            del self._waiting[trial]
        return None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide after each epoch."""
        number = trial.config[NUMBER]
        look = self._rungs.arrive(
            number, result["record/budget"], result["record/epoch"], result[SCORE], control=self._is_control(number)
        )
        if look is not None:
            self.looks[number] = look
        ends = result["record/diverged"] or (look is not None and not look.goes_on)
        return str(TrialScheduler.STOP if ends else TrialScheduler.CONTINUE)


def _worst_if_none(score: float | None) -> float:
    return -math.inf if score is None else score


def _shown(score: float | None) -> str:
    return "that is no number" if score is None else f"{score:.4f}"
