"""Where the next configs come from: Optuna's estimator over a `Space`, or random draws.

Each config is drawn by a generator of its own, seeded by the search's seed and the place of the config among all that
are drawn. So nothing but the trials themselves is needed to go on with a search: those that come next are those that
would have come.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tune_lpc.plan.choosers import Given, RandomChooser
from tune_lpc.plan.objectives import Values, several_objectives
from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space
from tune_lpc.results.events import Status
from tune_lpc.results.ledger import Trial
from tune_lpc.results.pareto import as_scores

Drawn = dict[str, Value]


class Sampler(Protocol):
    """Draws configs, and learns from the trials."""

    def draw(self, place: int, given: Mapping[str, Value] | None) -> Drawn:
        """The values of the config at `place`, from 0, among all that are drawn: those `given`, or new ones."""

    def learn(self, place: int, trial: Trial) -> None:
        """Take in how the first trial of the config at `place` stands. Saying the same twice changes nothing."""


class RandomSampler:
    """Draws evenly over the space, and learns nothing."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def draw(self, place: int, given: Mapping[str, Value] | None) -> Drawn:
        """See `Sampler`."""
        if given is not None:
            return dict(given)
        return self._space.draw(RandomChooser(random.Random(_seed(self._space.seed, place)).getrandbits(32)))

    def learn(self, place: int, trial: Trial) -> None:
        """Nothing."""


class EstimatorSampler:
    """The tree-structured Parzen estimator, conditions included.

    A trial stopped at a rung is to Optuna a pruned one, with its scores at the rungs; a diverged one is one without any
    score, the worst there is, so that it never counts as a result, yet the estimator sees where it lay and keeps away.
    One that a rung lets go on later is then what it has become: Optuna itself could be told of a trial only once.
    Of several objectives the estimator sees one score: the place among all by fronts, at each rung and at the end, as
    they are known when it draws. Optuna's own form for several makes nothing of pruned trials; benchmarks/objectives.py
    compares.

    concurrent: how many trials run at once; of several, those still running count as poor, so that the next ones go
    elsewhere.
    """

    def __init__(self, space: Space, concurrent: int = 1) -> None:
        self._space, self._concurrent = space, concurrent
        self._trials: dict[int, FrozenTrial] = {}
        self._objectives = several_objectives(space.objectives)
        self._vectors: dict[int, dict[int, Values]] = {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    @property
    def trials(self) -> Sequence[FrozenTrial]:
        """The configs as Optuna sees them, by place, which is `number` - 1 there."""
        if self._objectives:
            self._compare()
        return [self._trials[place] for place in sorted(self._trials)]

    def draw(self, place: int, given: Mapping[str, Value] | None) -> Drawn:
        """See `Sampler`."""
        if given is None:
            # A study of its own for each draw, as what is known of the trials may change: the sampler reads it here.
            study = optuna.create_study(direction="maximize")
            study.sampler = _sampler(self.trials, _seed(self._space.seed, place), self._concurrent)
            drawn = self._space.draw(study.ask())
        else:
            drawn = dict(given)
        self._note(place, drawn, TrialState.RUNNING)
        return drawn

    def learn(self, place: int, trial: Trial) -> None:
        """See `Sampler`."""
        drawn = self._trials[place].params
        looks = {} if trial.has_diverged else {rung: look.score for rung, look in sorted(trial.looks.items())}
        scores = {rung: score for rung, score in looks.items() if score is not None}
        if trial.status is Status.INTERRUPTED:
            self._note(place, drawn, TrialState.RUNNING, scores)
        elif trial.status is Status.COMPLETED and (trial.final_values is not None or not self._objectives):
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
        noted = _Distributions(drawn)
        values = self._space.draw(noted)
        trial = create_trial(
            state=state,
            value=value,
            params=values,
            distributions={name: noted.found[name] for name in values},
            intermediate_values=dict(scores or {}),
        )
        trial.number = place + 1  # not 0, the number of the one that is being drawn
        self._trials[place] = trial


SAMPLERS: dict[str, Callable[[Space, int], Sampler]] = {
    "tpe": EstimatorSampler,
    "random": lambda space, _: RandomSampler(space),
}
"""By name; each gets the space and how many trials run at once."""


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


class _Distributions(Given):
    """Takes the values of a config, and notes what Optuna calls the distribution of each."""

    def __init__(self, drawn: Mapping[str, Value]) -> None:
        super().__init__(drawn)
        self.found: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.found[name] = FloatDistribution(low, high, log=log)
        return super().suggest_float(name, low, high, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.found[name] = IntDistribution(low, high, log=log)
        return super().suggest_int(name, low, high, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        self.found[name] = CategoricalDistribution(cast(Sequence[Any], choices))
        return super().suggest_categorical(name, choices)


def _seed(seed: int, place: int) -> int:
    return (seed * 1_000_003 + place) % 2**32


def _sampler(trials: Sequence[FrozenTrial], seed: int, concurrent: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _Estimator(trials, seed=seed, multivariate=True, group=True, constant_liar=concurrent > 1)


class _Estimator(optuna.samplers.TPESampler):
    """The estimator over trials that the study does not hold."""

    def __init__(self, trials: Sequence[FrozenTrial], **options: Any) -> None:
        super().__init__(**options)
        self._told = trials

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return super().infer_relative_search_space(_holding(self._told, study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(_holding(self._told, study), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return super().sample_independent(_holding(self._told, study), trial, param_name, param_distribution)


class _Holding:
    """A study that holds other trials than it has been told of."""

    def __init__(self, trials: Sequence[FrozenTrial], study: optuna.Study) -> None:
        self._trials, self._study = trials, study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, deepcopy: bool, states: tuple[TrialState, ...], use_cache: bool) -> list[FrozenTrial]:
        """What a sampler asks a study for (Optuna 5)."""
        return [trial for trial in self._trials if trial.state in states]


def _holding(trials: Sequence[FrozenTrial], study: optuna.Study) -> optuna.Study:
    return cast(optuna.Study, _Holding(trials, study))
