"""Early stopping: asynchronous successive halving (ASHA; Li et al., MLSys 2020) on Ray's scheduler interface."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_lpc.spec.fidelity import Fidelity
from tune_lpc.spec.record import SCORE

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


class Rungs:
    """The scores seen at each rung, and the rule by which a trial goes on.

    A trial goes on when its score is at or above the (1 - 1/reduction_factor) quantile of the scores that reached
    the rung before it. So the first arrival always goes on, and so does a tie with the cut-off.
    """

    def __init__(self, fidelity: Fidelity) -> None:
        self._quantile = 1 - 1 / fidelity.reduction_factor
        self._scores: dict[int, dict[str, float]] = {rung: {} for rung in fidelity.rungs()}

    def reason_to_stop(self, trial_id: str, epoch: int, score: float) -> str | None:
        """Why a trial with this score ends after `epoch`, or None; notes the score when `epoch` is a rung.

        A trial that comes to a rung again, after its worker failed, has been let through before and goes on.
        """
        if epoch not in self._scores or trial_id in self._scores[epoch]:
            return None
        before = list(self._scores[epoch].values())
        cutoff = float(np.quantile(before, self._quantile)) if before else -math.inf
        self._scores[epoch][trial_id] = score
        if score >= cutoff:
            return None
        return f"{SCORE} {score:.4f} was below the cut-off {cutoff:.4f} at the rung of epoch {epoch}"


class RungScheduler(FIFOScheduler):
    """Runs trials in order, stops those that fall short at a rung and those that have diverged."""

    def __init__(self, fidelity: Fidelity) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rungs = Rungs(fidelity)
        self.reasons: dict[str, str] = {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide after each epoch; the reason of a stop is kept under Ray's trial id."""
        score = result[SCORE]
        # A score that does not exist is worse than any other; left to a comparison it would never be stopped.
        reason = self._rungs.reason_to_stop(
            trial.trial_id, result["record/epoch"], -math.inf if math.isnan(score) else score
        )
        if result["record/diverged"]:
            reason = result["record/diverged"]
        if reason is None:
            return str(TrialScheduler.CONTINUE)
        self.reasons[trial.trial_id] = reason
        return str(TrialScheduler.STOP)
