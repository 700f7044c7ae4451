"""Where the next configs come from: what samplers are, chance, and Optuna's estimator over a `Space`.

Each config is drawn by a generator of its own, seeded by the search's seed and the place of the config among all that
are drawn. So nothing but the trials themselves is needed to go on with a search: those that come next are those that
would have come.
"""

from __future__ import annotations

import copy
import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.dimensions import Choice, Dimension, Float
from tune_lpc.plan.objectives import Values, several_objectives
from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space
from tune_lpc.results.events import Status
from tune_lpc.results.pareto import as_scores
from tune_lpc.results.trial import Trial
from tune_lpc.search.earlier import Observation
from tune_lpc.search.quality import WORST, Result, qualities

Drawn = dict[str, Value]
AGAIN = 8
"""Configs of earlier searches that are trained again, at most."""
GOOD = 0.75
"""The quality from which on they are."""
EARLIER_WEIGHT = 0.5
"""Of a config of an earlier search against one of this search, as long as this one has none."""
HALF_AFTER = 8
"""Results of its own after which a search halves the weight of the earlier ones."""


class Sampler(Protocol):
    """Draws configs, and learns from the trials."""

    def draw(self, place: int, given: Mapping[str, Value] | None, again: int = 0) -> Drawn:
        """The values of the config at `place`, from 0, among all that are drawn: those `given`, or new ones.

        again: how often it has been drawn before, since the search had what came of that already.
        """

    def learn(self, place: int, trial: Trial) -> None:
        """Take in how the first trial of the config at `place` stands. Saying the same twice changes nothing."""


class RandomSampler:
    """Draws evenly over the space, and learns nothing."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def draw(self, place: int, given: Mapping[str, Value] | None, again: int = 0) -> Drawn:
        """See `Sampler`."""
        if given is not None:
            return dict(given)
        return self._space.draw(RandomChooser(random.Random(seed_of(self._space, place, again)).getrandbits(32)))

    def learn(self, place: int, trial: Trial) -> None:
        """Nothing."""


class LearningSampler(ABC):
    """A sampler that learns: it keeps the configs that were drawn as Optuna's samplers would see them.

    A trial stopped at a rung is to Optuna a pruned one, with its scores at the rungs; a diverged one is one without any
    score, the worst there is, so that it never counts as a result, yet the sampler sees where it lay and keeps away.
    One that a rung lets go on later is then what it has become: Optuna itself could be told of a trial only once.
    Of several objectives it sees one score: the place among all by fronts, at each rung and at the end, as they are
    known when it draws. What Optuna has for several makes nothing of pruned trials; benchmarks/objectives.py compares.

    earlier: configs of earlier searches, which count less than its own. After the configs of `first` come the best of
    them, `AGAIN` at most and none but the best quarter of its search: they are trained again here, what they lack drawn
    at random. In replays a search of few trials gained more by that than by what the samplers made of the rest
    (`benchmarks/warm_start.py`).
    """

    def __init__(self, space: Space, earlier: Sequence[Observation] = ()) -> None:
        self._space, self._earlier = space, sorted(earlier, key=lambda observation: -observation.quality)
        self._trials: dict[int, FrozenTrial] = {}
        good = [observation.values for observation in self._earlier if observation.quality >= GOOD]
        distinct = [values for number, values in enumerate(good) if values not in good[:number]]
        self._again = dict(enumerate(distinct[:AGAIN], start=len(space.first)))
        self._objectives = several_objectives(space.objectives)
        self._vectors: dict[int, dict[int, Values]] = {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    @property
    def trials(self) -> Sequence[FrozenTrial]:
        """The configs as Optuna sees them, by place, which is `number` - 1 there."""
        if self._objectives:
            self._compare()
        return [self._trials[place] for place in sorted(self._trials)]

    def draw(self, place: int, given: Mapping[str, Value] | None, again: int = 0) -> Drawn:
        """See `Sampler`."""
        self._trials.pop(place, None)  # what came of it before is no config of this search
        seed = seed_of(self._space, place, again)
        if given is not None:
            drawn = dict(given)
        elif place in self._again and not again:
            drawn = self._space.draw(_Preferring(self._again[place], seed))
        else:
            drawn = self._propose(place, seed)
        self._note(place, drawn, TrialState.RUNNING)
        return drawn

    @abstractmethod
    def _propose(self, place: int, seed: int) -> Drawn:
        """A new config."""

    def learn(self, place: int, trial: Trial) -> None:
        """See `Sampler`."""
        drawn = self._trials[place].params
        looks = {} if trial.has_diverged else {rung: look.score for rung, look in sorted(trial.looks.items())}
        scores = {rung: score for rung, score in looks.items() if score is not None}
        has_result = trial.final_score is not None and (trial.final_values is not None or not self._objectives)
        if trial.status is Status.INTERRUPTED:
            self._note(place, drawn, TrialState.RUNNING, scores)
        elif trial.status is Status.COMPLETED and has_result:
            self._note(place, drawn, TrialState.COMPLETE, scores, trial.final_score)
        elif trial.status is Status.STOPPED:
            self._note(place, drawn, TrialState.PRUNED, scores)
        elif trial.status is Status.FAILED:
            self._note(place, drawn, TrialState.FAIL)
        else:
            self._note(place, drawn, TrialState.PRUNED)
        if self._objectives:
            self._vectors[place] = vectors_of(trial)

    def _compare(self) -> None:
        """Give each config in place of scores what its objectives come to among all, at each rung and at the end."""
        by_budget: dict[int, dict[int, Values]] = {}
        for place, vectors in self._vectors.items():
            for epochs, values in vectors.items():
                by_budget.setdefault(epochs, {})[place] = values
        scores = {epochs: as_scores(vectors, self._objectives) for epochs, vectors in by_budget.items()}
        for place, trial in self._trials.items():
            for rung in list(trial.intermediate_values):
                score = scores.get(rung, {}).get(place)
                if score is None:
                    del trial.intermediate_values[rung]
                else:
                    trial.intermediate_values[rung] = score
            if trial.state is TrialState.COMPLETE:
                trial.value = scores[self._space.epochs][place]

    def _note(
        self,
        place: int,
        drawn: Mapping[str, Value],
        state: TrialState,
        scores: Mapping[int, float] | None = None,
        value: float | None = None,
    ) -> None:
        # Not 0, the number of the one that is being drawn.
        self._trials[place] = frozen(self._space, drawn, place + 1, state, value, scores)


class _Preferring(RandomChooser):
    """Takes the values that there are, and draws the others at random."""

    def __init__(self, values: Mapping[str, Value], seed: int) -> None:
        super().__init__(seed)
        self._values = values

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if name in self._values:
            return cast(float, self._values[name])
        return super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if name in self._values:
            return cast(int, self._values[name])
        return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        return self._values[name] if name in self._values else super().suggest_categorical(name, choices)


class EstimatorSampler(LearningSampler):
    """The tree-structured Parzen estimator, conditions included.

    Parameters that are always drawn together are modelled together; so one that the earlier searches did not have, or
    that had no effect there, is modelled apart, by those configs alone that have it. Of two configs the better one is
    the one of the higher quality (see `qualities`), of this search or of an earlier one; a config of an earlier search
    weighs `EARLIER_WEIGHT`, and less the more results this search has: half of that after `HALF_AFTER` results.

    concurrent: how many trials run at once; of several, those still running count as poor, so that the next ones go
    elsewhere.
    """

    def __init__(self, space: Space, concurrent: int = 1, earlier: Sequence[Observation] = ()) -> None:
        super().__init__(space, earlier)
        self._concurrent = concurrent

    def _propose(self, place: int, seed: int) -> Drawn:
        # A study of its own for each draw, as what is known of the trials may change: the sampler reads it here.
        study = optuna.create_study(direction="maximize")
        own = self.trials
        known = [*by_quality(own), *earlier_trials(self._space, self._earlier)] if self._earlier else own
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = _Estimator(
                known,
                earlier_weight(own),
                seed=seed,
                n_startup_trials=self._space.random_starts,
                multivariate=True,
                group=True,
                constant_liar=self._concurrent > 1,
            )
        return self._space.draw(study.ask())


def vectors_of(trial: Trial) -> dict[int, Values]:
    """The objectives of a trial where it has a value of each: by rung, and by the full budget after that."""
    if trial.has_diverged:
        return {}
    found = {
        rung: tuple(look.objectives[objective.name] for objective in trial.objectives)
        for rung, look in sorted(trial.looks.items())
        if look.objectives
    }
    final = trial.final_values
    return found if final is None else {**found, trial.full_budget: final}


# How Optuna sees a config


def frozen(
    space: Space,
    values: Mapping[str, Value],
    number: int,
    state: TrialState,
    value: float | None = None,
    scores: Mapping[int, float] | None = None,
) -> FrozenTrial:
    """A config as Optuna sees it. values: of the dimensions that it has. value: its score. scores: those at rungs."""
    trial = create_trial(
        state=state,
        value=value,
        params=dict(values),
        distributions={name: distribution_of(space.dimensions[name]) for name in values},
        intermediate_values=dict(scores or {}),
    )
    trial.number = number
    return trial


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """What Optuna calls a dimension."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution(cast(Sequence[Any], dimension.options))
    if isinstance(dimension, Float):
        return FloatDistribution(dimension.low, dimension.last, log=dimension.log, step=dimension.step)
    return IntDistribution(dimension.low, dimension.last, log=dimension.log, step=dimension.step)


def seed_of(space: Space, place: int, again: int = 0) -> int:
    """The seed of the generator that draws the config at a place, for the first time or again."""
    # Far apart, so that what is drawn again at one place is not what the next one draws.
    return (space.seed * 1_000_003 + place + again * 0x9E3779B1) % 2**32


def result_of(trial: FrozenTrial) -> Result | None:
    """What a config has come to; None of one that runs or failed."""
    if trial.state is TrialState.COMPLETE:
        return Result(True, 0, cast(float, trial.value))
    if trial.state is not TrialState.PRUNED:
        return None
    rung = max(trial.intermediate_values, default=None)
    return WORST if rung is None else Result(False, rung, trial.intermediate_values[rung])


def known_qualities(trials: Sequence[FrozenTrial]) -> dict[int, float]:
    """The qualities of the configs that have a result, by number."""
    results = {trial.number: result for trial in trials if (result := result_of(trial)) is not None}
    return dict(zip(results, qualities(list(results.values())), strict=True))


def by_quality(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The same configs, those that have a result as if they had been trained, with their qualities as scores."""
    known = known_qualities(trials)
    found = []
    for trial in trials:
        found.append(copy.copy(trial))
        if trial.number in known:
            found[-1].state, found[-1].value = TrialState.COMPLETE, known[trial.number]
    return found


def earlier_trials(space: Space, earlier: Sequence[Observation]) -> list[FrozenTrial]:
    """Configs of earlier searches, trained, with their qualities as scores and numbers below 0."""
    return [
        frozen(space, observation.values, -1 - place, TrialState.COMPLETE, observation.quality)
        for place, observation in enumerate(earlier)
    ]


def earlier_weight(trials: Sequence[FrozenTrial]) -> float:
    """What a config of an earlier search weighs against one of `trials`, those of this search."""
    return EARLIER_WEIGHT * HALF_AFTER / (HALF_AFTER + len(known_qualities(trials)))


# Optuna's estimator


class _Estimator(optuna.samplers.TPESampler):
    """The estimator over trials that the study does not hold; those with a number below 0 weigh `earlier_weight`."""

    def __init__(self, trials: Sequence[FrozenTrial], earlier_weight: float, **options: Any) -> None:
        super().__init__(**options)
        self._told, self._earlier_weight = trials, earlier_weight

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return super().infer_relative_search_space(holding(self._told, study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(holding(self._told, study), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return super().sample_independent(holding(self._told, study), trial, param_name, param_distribution)

    def _build_parzen_estimator(
        self,
        study: optuna.Study,
        search_space: dict[str, BaseDistribution],
        trials: list[FrozenTrial],
        handle_below: bool,
    ) -> Any:
        """The density of some trials, each with its weight (Optuna 5)."""
        if all(trial.number >= 0 for trial in trials):
            return super()._build_parzen_estimator(study, search_space, trials, handle_below)
        observations = self._get_internal_repr(trials, search_space, study)
        numbers = [trial.number for trial in trials if search_space.keys() <= trial.params.keys()]
        own = iter(self._parzen_estimator_parameters.weights(sum(number >= 0 for number in numbers)))
        weights = np.array([self._earlier_weight if number < 0 else next(own) for number in numbers])
        return self._parzen_estimator_cls(observations, search_space, self._parzen_estimator_parameters, weights)


class _Holding:
    """A study that holds other trials than it has been told of."""

    def __init__(self, trials: Sequence[FrozenTrial], study: optuna.Study) -> None:
        self._trials, self._study = trials, study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, deepcopy: bool, states: tuple[TrialState, ...], use_cache: bool) -> list[FrozenTrial]:
        """What a sampler asks a study for (Optuna 5)."""
        return [trial for trial in self._trials if trial.state in states]


def holding(trials: Sequence[FrozenTrial], study: optuna.Study) -> optuna.Study:
    return cast(optuna.Study, _Holding(trials, study))
