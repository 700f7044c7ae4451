"""Early stopping: asynchronous successive halving (ASHA; Li et al., MLSys 2020) on Ray's scheduler interface."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_lpc.spec.fidelity import Fidelity
from tune_lpc.spec.record import SCORE

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


class Rungs:
    """The scores seen at each rung, and the rule by which a trial goes on.

    A trial goes on when it is among the best of the scores that have come to the rung so far, its own included: the
    best 1 / reduction_factor of them, rounded up. So the first arrival always goes on; a tie with
    the last of the best goes on too.
    """

    def __init__(self, fidelity: Fidelity) -> None:
        self._reduction_factor = fidelity.reduction_factor
        self._scores: dict[int, dict[str, float]] = {rung: {} for rung in fidelity.rungs()}

    def reason_to_stop(self, trial_id: str, epoch: int, score: float) -> str | None:
        """Why a trial with this score ends after `epoch`, or None; notes the score when `epoch` is a rung.

        A score that is not a number is worse than any other, and ends the trial. A trial that comes to a rung again,
        after its worker failed, has been let through before and goes on.
        """
        if epoch not in self._scores or trial_id in self._scores[epoch]:
            return None
        scores = self._scores[epoch]
        scores[trial_id] = -math.inf if math.isnan(score) else score
        if math.isnan(score):
            return f"there is no {SCORE} at the rung of epoch {epoch}"
        go_on = math.ceil(len(scores) / self._reduction_factor)
        rank = 1 + sum(other > score for other in scores.values())
        if rank <= go_on:
            return None
        best = "best goes on" if go_on == 1 else f"best {go_on} go on"
        return f"{SCORE} {score:.4f} was number {rank} of {len(scores)} at the rung of epoch {epoch}, where the {best}"


class RungScheduler(FIFOScheduler):
    """Runs trials in order, stops those that fall short at a rung and those that have diverged."""

    def __init__(self, fidelity: Fidelity) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rungs = Rungs(fidelity)
        self.reasons: dict[str, str] = {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide after each epoch; the reason of a stop is kept under Ray's trial id."""
        reason = self._rungs.reason_to_stop(trial.trial_id, result["record/epoch"], result[SCORE])
        reason = result["record/diverged"] or reason
        if reason is None:
            return str(TrialScheduler.CONTINUE)
        self.reasons[trial.trial_id] = reason
        return str(TrialScheduler.STOP)
