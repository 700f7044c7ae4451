"""Optuna's Gaussian process as a sampler of configs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from tune_lpc.plan.dimensions import Choice, Int
from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space
from tune_lpc.search.earlier import Observation
from tune_lpc.search.sampler import (
    Drawn,
    LearningSampler,
    by_quality,
    distribution_of,
    earlier_trials,
    earlier_weight,
    frozen,
    holding,
    seed_of,
)


class GaussianSampler(LearningSampler):
    """A Gaussian process with a Matern kernel, whose next config is that of the highest expected improvement.

    Optuna's process knows neither conditions nor rungs: it would model those parameters alone that every config has (5
    of the 11 of `digits`), and those trials alone that have trained their full budget. So here a parameter without an
    effect stands at the middle of its range, or at its prior; and the process is fitted to the normal scores of the
    qualities of all configs that have a result, stopped and diverged ones included, where one that diverged lies as
    far from the median as the best, however low its score.

    It can't weigh configs. So of those of earlier searches it sees only as many as their weight allows: half of them,
    and fewer the more results this search has, the best and, evenly, some of the others.
    Configs that still run are reckoned with: their place is taken.
    """

    def __init__(self, space: Space, earlier: Sequence[Observation] = ()) -> None:
        super().__init__(space, earlier)
        self._distributions = {name: distribution_of(dimension) for name, dimension in space.dimensions.items()}
        self._middle = {name: _middle(space, name) for name in space.dimensions}

    def _propose(self, place: int) -> Drawn:
        own = self.trials
        count = round(earlier_weight(own) * len(self._earlier))
        kept = [self._earlier[place * len(self._earlier) // count] for place in range(count)]
        known = [*by_quality(own), *earlier_trials(self._space, kept)]
        study = optuna.create_study(direction="maximize")
        study.sampler = _Process(
            [self._completed(trial) for trial in known],
            {name: distribution for name, distribution in self._distributions.items() if not distribution.single()},
            seed=seed_of(self._space, place),
            n_startup_trials=self._space.random_starts,
            warn_independent_sampling=False,
        )
        return self._space.draw(study.ask())

    def _completed(self, trial: FrozenTrial) -> FrozenTrial:
        """A config with a value for every parameter, and the normal score of its quality."""
        value = None if trial.value is None else NormalDist().inv_cdf(trial.value)
        return frozen(self._space, {**self._middle, **trial.params}, trial.number, trial.state, value)


def _middle(space: Space, name: str) -> Value:
    """What stands for a parameter without an effect: its prior, or the middle of its range, or its first option."""
    dimension = space.dimensions[name]
    if dimension.prior is not None:
        return dimension.prior
    if isinstance(dimension, Choice):
        return dimension.options[0]
    middle = math.sqrt(dimension.low * dimension.high) if dimension.log else (dimension.low + dimension.high) / 2
    return round(middle) if isinstance(dimension, Int) else middle


class _Process(optuna.samplers.GPSampler):
    """The process over trials that the study does not hold, and over all parameters of the space."""

    def __init__(self, trials: Sequence[FrozenTrial], searched: dict[str, BaseDistribution], **options: Any) -> None:
        super().__init__(**options)
        self._told, self._searched = trials, searched

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(sorted(self._searched.items()))

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(holding(self._told, study), trial, search_space)
