"""Optuna's sampler behind Ray's Searcher."""

from __future__ import annotations

import copy
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from tune_lpc.plan.record import SCORE
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import Value

NUMBER = "number"
"""Key under which a sampled config carries the trial's number, in order of sampling from 0."""

_DIVERGED = "diverged"


@dataclass(frozen=True)
class KnownTrial:
    """A trial of an interrupted search, as the sampler needs it.

    status: completed, stopped or diverged; None for a trial that is to go on.
    rung_scores: by rung, rising. score: that of the full budget, for a completed trial.
    """

    number: int
    drawn: Mapping[str, Value]
    status: str | None
    rung_scores: Mapping[int, float]
    score: float | None = None


class SpaceSearch(Searcher):
    """The tree-structured Parzen estimator over a `Space`, conditions included.

    A trial stopped at a rung is told to Optuna as pruned, with its scores at the rungs, a diverged or failed one as
    failed; so a diverged one never counts as a result, yet the estimator sees where it lay and keeps away.

    Each trial is drawn by a generator of its own, seeded by the search's seed and the trial's number. So nothing but
    the trials themselves is needed to go on: `known`, those of an interrupted search, come first (the unfinished are
    suggested again, with their numbers), and the next ones are those that would have come without the interruption.
    """

    def __init__(self, space: Space, concurrent: int, known: Sequence[KnownTrial] = ()) -> None:
        super().__init__(metric=SCORE, mode="max")
        self._space, self._concurrent = space, concurrent
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize")
        self._waiting: deque[tuple[optuna.Trial, dict[str, Any]]] = deque()
        self._running: dict[str, optuna.Trial] = {}
        self._drawn = 0
        self._remember({trial.number: trial for trial in known})

    @property
    def study(self) -> optuna.Study:
        """The trials as Optuna knows them."""
        return self._study

    def _remember(self, known: Mapping[int, KnownTrial]) -> None:
        """Tell Optuna the trials of before, in order; one whose record is lost is drawn again."""
        for number in range(max(known, default=-1) + 1):
            past = known.get(number)
            if past is None:
                self._waiting.append(self._draw())
                continue
            trial, drawn = self._draw(past.drawn)
            for rung, score in past.rung_scores.items():
                trial.report(score, rung)
            if past.status is None:
                self._waiting.append((trial, drawn))
            elif past.status == "completed":
                self._study.tell(trial, past.score)
            else:
                self._tell_without_score(trial, diverged=past.status == "diverged")

    def _draw(self, given: Mapping[str, Value] | None = None) -> tuple[optuna.Trial, dict[str, Any]]:
        """The next trial: with the values `given`, those that the space begins with, or new ones."""
        number, self._drawn = self._drawn, self._drawn + 1
        if given is None and number < len(self._space.first):
            given = self._space.first[number]
        if given is None:
            self._study.sampler = _sampler(self._space.seed, number, self._concurrent)
        else:
            self._study.sampler = optuna.samplers.RandomSampler(seed=0)  # draws nothing, and costs nothing
            self._study.enqueue_trial(dict(given))
        trial = self._study.ask()
        return trial, {**self._space.draw(trial), NUMBER: number}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The config of the next trial."""
        trial, drawn = self._waiting.popleft() if self._waiting else self._draw()
        self._running[trial_id] = trial
        return drawn

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note the score where it counts, at a rung."""
        self._report(self._running[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna how the trial ended."""
        trial = self._running.pop(trial_id, None)
        if trial is None:
            return
        if error or not result or "record/epoch" not in result:
            self._study.tell(trial, state=TrialState.FAIL)
        elif result["record/diverged"]:
            self._tell_without_score(trial, diverged=True)
        elif result["record/epoch"] == self._space.epochs:
            self._study.tell(trial, result[SCORE])
        else:
            # Ray does not pass on the result with which a scheduler stops a trial.
            self._report(trial, result)
            self._tell_without_score(trial, diverged=False)

    def _report(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        rung = self._space.fidelity.rung_at(result["record/budget"], result["record/epoch"])
        if rung is None or result["record/diverged"]:
            return
        # After a failure of its worker a trial comes to a rung again; Optuna takes each step once.
        if rung not in self._study.get_trials(deepcopy=False)[trial.number].intermediate_values:
            trial.report(result[SCORE], rung)

    def _tell_without_score(self, trial: optuna.Trial, *, diverged: bool) -> None:
        trial.set_user_attr(_DIVERGED, diverged)
        self._study.tell(trial, state=TrialState.FAIL if diverged else TrialState.PRUNED)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal holds all that a resumed search needs."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""


def _sampler(seed: int, number: int, concurrent: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _AwayFromDiverged(
            seed=(seed * 1_000_003 + number) % 2**32,
            multivariate=True,
            group=True,
            constant_liar=concurrent > 1,  # trials still running count as poor, so that the next ones go elsewhere
        )


class _AwayFromDiverged(optuna.samplers.TPESampler):
    """The estimator, with the trials that diverged among the poor ones: Optuna's own passes over failed trials."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return super().infer_relative_search_space(_with_diverged(study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(_with_diverged(study), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return super().sample_independent(_with_diverged(study), trial, param_name, param_distribution)


class _WithDiverged:
    """A study in which the trials that diverged look like pruned ones without any score, the worst there are."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, deepcopy: bool, states: tuple[TrialState, ...], use_cache: bool) -> list[FrozenTrial]:
        """What the estimator asks a study for (Optuna 5)."""
        trials = self._study._get_trials(deepcopy=deepcopy, states=(*states, TrialState.FAIL), use_cache=use_cache)
        return [
            trial if trial.state != TrialState.FAIL else _as_worst(trial)
            for trial in trials
            if trial.state != TrialState.FAIL or trial.user_attrs.get(_DIVERGED)
        ]


def _with_diverged(study: optuna.Study) -> optuna.Study:
    return cast(optuna.Study, _WithDiverged(study))


def _as_worst(trial: FrozenTrial) -> FrozenTrial:
    changed = copy.copy(trial)
    changed.state, changed.intermediate_values = TrialState.PRUNED, {}
    return changed
