"""Where the next configs come from: Optuna's estimator over a `Space`, or random draws.

Each trial is drawn by a generator of its own, seeded by the search's seed and the trial's number. So nothing but the
trials themselves is needed to go on with a search: those that come next are those that would have come.
"""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import Value
from tune_lpc.results.events import Status
from tune_lpc.results.ledger import Trial

_DIVERGED = "diverged"
Drawn = dict[str, Value]


class Sampler(Protocol):
    """Draws configs, and learns from the trials."""

    def draw(self, number: int, given: Mapping[str, Value] | None) -> Drawn:
        """The values of trial `number`: those `given`, or new ones. Numbers come in order, none is left out."""

    def learn(self, trial: Trial) -> None:
        """Take in what is new of a trial: its scores at rungs, its end. Saying the same twice changes nothing."""


class RandomSampler:
    """Draws evenly over the space, and learns nothing."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def draw(self, number: int, given: Mapping[str, Value] | None) -> Drawn:
        """See `Sampler`."""
        if given is not None:
            return dict(given)
        return self._space.draw(RandomChooser(random.Random(_seed(self._space.seed, number)).getrandbits(32)))

    def learn(self, trial: Trial) -> None:
        """Nothing."""


class EstimatorSampler:
    """The tree-structured Parzen estimator, conditions included.

    A trial stopped at a rung is told to Optuna as pruned, with its scores at the rungs, a diverged or failed one as
    failed; so a diverged one never counts as a result, yet the estimator sees where it lay and keeps away.

    concurrent: how many trials run at once; of several, those still running count as poor, so that the next ones go
    elsewhere.
    """

    def __init__(self, space: Space, concurrent: int = 1) -> None:
        self._space, self._concurrent = space, concurrent
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize")
        self._running: dict[int, optuna.Trial] = {}
        self._rungs_told: dict[int, set[int]] = {}

    @property
    def study(self) -> optuna.Study:
        """The trials as Optuna knows them, each under the number that it has here."""
        return self._study

    def draw(self, number: int, given: Mapping[str, Value] | None) -> Drawn:
        """See `Sampler`."""
        if given is None:
            self._study.sampler = _sampler(_seed(self._space.seed, number), self._concurrent)
        else:
            self._study.sampler = optuna.samplers.RandomSampler(seed=0)  # draws nothing, and costs nothing
            self._study.enqueue_trial(dict(given))
        trial = self._study.ask()
        if trial.number != number:
            raise ValueError(f"trial {number} is drawn as the study's trial {trial.number}; draw numbers in order")
        self._running[number] = trial
        return self._space.draw(trial)

    def learn(self, trial: Trial) -> None:
        """See `Sampler`."""
        running = self._running.get(trial.number)
        if running is None:
            return
        told = self._rungs_told.setdefault(trial.number, set())
        for rung in sorted(trial.looks.keys() - told):
            told.add(rung)
            if (score := trial.looks[rung].score) is not None and not trial.has_diverged:
                running.report(score, rung)
        if trial.status is Status.INTERRUPTED:
            return
        del self._running[trial.number], self._rungs_told[trial.number]
        if trial.status is Status.COMPLETED:
            self._study.tell(running, trial.runs[trial.full_budget].score(trial.full_budget))
            return
        running.set_user_attr(_DIVERGED, trial.status is Status.DIVERGED)
        self._study.tell(running, state=TrialState.PRUNED if trial.status is Status.STOPPED else TrialState.FAIL)


SAMPLERS: dict[str, Callable[[Space, int], Sampler]] = {
    "tpe": EstimatorSampler,
    "random": lambda space, _: RandomSampler(space),
}
"""By name; each gets the space and how many trials run at once."""


def _seed(seed: int, number: int) -> int:
    return (seed * 1_000_003 + number) % 2**32


def _sampler(seed: int, concurrent: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _AwayFromDiverged(seed=seed, multivariate=True, group=True, constant_liar=concurrent > 1)


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
