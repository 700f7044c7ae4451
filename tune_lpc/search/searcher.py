"""Optuna's sampler behind Ray's Searcher."""

from __future__ import annotations

import math
import warnings
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search.optuna import OptunaSearch

from tune_lpc.spec.record import SCORE
from tune_lpc.spec.space import Space

NUMBER = "number"
"""Key under which a sampled config carries the trial's number, in order of sampling from 0."""


class SpaceSearch(OptunaSearch):
    """The tree-structured Parzen estimator over a `Space`, conditions included.

    Ray's own OptunaSearch tells Optuna that a trial stopped at a rung is complete, with its early score as if it were
    final. Here such a trial is told as pruned, with its scores so far, and a diverged or failed one as failed.
    """

    def __init__(self, space: Space, concurrent: int) -> None:
        self._numbers = 0
        self._reported: dict[str, int] = {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=space.seed,
                multivariate=True,
                group=True,
                constant_liar=concurrent > 1,  # trials still running count as poor, so that the next ones go elsewhere
            )
        super().__init__(space=self._draw, metric=SCORE, mode="max", sampler=sampler)
        self._tuned_space = space
        assert self._ot_study is not None
        for config in space.first:
            self._ot_study.enqueue_trial(dict(config))

    def _draw(self, chooser: Any) -> dict[str, Any]:
        drawn = self._tuned_space.draw(chooser)
        number, self._numbers = self._numbers, self._numbers + 1
        return {**drawn, NUMBER: number}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note the score of an epoch."""
        epoch = result["record/epoch"]
        if epoch > self._reported.get(trial_id, 0):
            # After a failure of its worker a trial comes to epochs again; Optuna takes each step once.
            self._ot_trials[trial_id].report(result[SCORE], epoch)
            self._reported[trial_id] = epoch

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna how the trial ended."""
        if trial_id in self._completed_trials:
            return
        self._completed_trials.add(trial_id)
        study, trial = self._ot_study, self._ot_trials[trial_id]
        assert study is not None
        if error or not result or math.isnan(result[SCORE]) or result["record/diverged"]:
            study.tell(trial, state=TrialState.FAIL)
        elif result["record/epoch"] < self._tuned_space.epochs:
            # Ray does not pass on the result with which a scheduler stops a trial.
            self.on_trial_result(trial_id, result)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, result[SCORE])
