"""Optuna's Gaussian process as a sampler of configs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from tune_lpc.plan.choosers import RandomChooser, draw_value
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
    effect has a value drawn at random, always the same one: from such the process learns that it makes no difference
    there, while one value for all would let it hope for the others for ever. And it is fitted to the normal scores of
    the qualities of all configs that have a result, stopped and diverged ones included: how low the lowest are plays
    no part.

    It can't weigh configs. So of those of earlier searches it sees only as many as their weight allows: half of them,
    and fewer the more results this search has, the best and, evenly, some of the others.
    Configs that still run are reckoned with: their place is taken.
    """

    def __init__(self, space: Space, earlier: Sequence[Observation] = ()) -> None:
        super().__init__(space, earlier)
        # Of a package that would make it faster, and is not here, it would tell in the midst of the live table.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._distributions = {name: distribution_of(dimension) for name, dimension in space.dimensions.items()}

    def _propose(self, place: int, seed: int) -> Drawn:
        own = self.trials
        count = round(earlier_weight(own) * len(self._earlier))
        kept = [self._earlier[place * len(self._earlier) // count] for place in range(count)]
        known = [*by_quality(own), *earlier_trials(self._space, kept)]
        study = optuna.create_study(direction="maximize")
        study.sampler = _Process(
            [self._completed(trial) for trial in known],
            {name: distribution for name, distribution in self._distributions.items() if not distribution.single()},
            seed=seed,
            n_startup_trials=self._space.random_starts,
            warn_independent_sampling=False,
        )
        return self._space.draw(study.ask())

    def _completed(self, trial: FrozenTrial) -> FrozenTrial:
        """A config with a value for every parameter, and the normal score of its quality."""
        chance = RandomChooser(seed_of(self._space, trial.number))
        values = {name: draw_value(name, dimension, chance) for name, dimension in self._space.dimensions.items()}
        value = None if trial.value is None else NormalDist().inv_cdf(trial.value)
        return frozen(self._space, {**values, **trial.params}, trial.number, trial.state, value)


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
