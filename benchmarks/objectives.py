"""How large a hypervolume does a search with several objectives find, for the epochs it spends?

Searches are replayed over the curves that `record_curves.py` left in `benchmarks/curves/`, as in `efficiency.py`: every
sampler is answered by the nearest recorded config that the search has not used. The hypervolume is that of the front in
`front.parquet`, from the fixed reference points of `plan.objectives`; beside it the part of what all recorded configs
together would cover that was found, and the same configs' hypervolume by seeds that no search sees.

    python -m benchmarks.objectives digits --objective validation_accuracy measure.nc1:min

Rungs of both kinds are tried, and none; by fronts, and by the validation accuracy alone. Samplers: chance; Optuna's
estimator over places by fronts, which is ours; its own multi-objective estimator, to which trials stopped at a rung are
pruned ones without values, or complete ones with those of the rung; and its NSGA-II, which takes no notice of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmarks.record_curves import FOLDER, RECIPES
from benchmarks.rivals.answering import answer
from benchmarks.rivals.judging import mean_of
from benchmarks.rivals.ours import replay, trials_for
from benchmarks.rivals.problem import TRUTH, VISIBLE, Problem
from tune_lpc.plan import Space, UserError, Value
from tune_lpc.plan.choosers import Given
from tune_lpc.plan.objectives import Objective, objectives_problems, several_objectives
from tune_lpc.results import Ledger
from tune_lpc.results.events import Status
from tune_lpc.results.pareto import hypervolume, scaled
from tune_lpc.results.ranking import front_found
from tune_lpc.results.trial import Trial
from tune_lpc.search.sampler import (
    Drawn,
    EstimatorSampler,
    LearningSampler,
    RandomSampler,
    Sampler,
    _Estimator,
    frozen,
    seed_of,
    vectors_of,
)

RECORDED = {"validation_accuracy": "scores", "validation_loss": "losses", "nc1": "nc1"}
"""What of a recorded run is the column of an objective."""
POPULATION = 8
"""Of NSGA-II; its usual 50 would all be drawn by chance."""


class OptunasSampler(LearningSampler):
    """Optuna's multi-objective estimator. as_complete: whether stopped trials have the values of their last rung."""

    def __init__(self, space: Space, *, as_complete: bool) -> None:
        super().__init__(space)
        self._as_complete = as_complete

    def _propose(self, place: int) -> Drawn:
        study = optuna.create_study(directions=directions_of(self._objectives))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = _Estimator(
                [self._seen(number) for number in sorted(self._trials)],
                1.0,
                seed=seed_of(self._space, place),
                n_startup_trials=self._space.random_starts,
                multivariate=True,
                group=True,
            )
        return self._space.draw(study.ask())

    def _seen(self, number: int) -> FrozenTrial:
        trial, vectors = self._trials[number], self._vectors.get(number, {})
        seen = frozen(self._space, trial.params, trial.number, TrialState.RUNNING)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            is_complete = trial.state is TrialState.COMPLETE or (self._as_complete and bool(vectors))
            seen.state = TrialState.COMPLETE if is_complete else TrialState.PRUNED
            seen.values = list(vectors[max(vectors)]) if is_complete else None
        return seen


class Genetic:
    """Optuna's NSGA-II, in a study of its own. A trial is told once: what it has come to when it first ends."""

    def __init__(self, space: Space) -> None:
        self._space, self._objectives = space, several_objectives(space.objectives)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed_of(space, 0))
        self._study = optuna.create_study(directions=directions_of(self._objectives), sampler=sampler)
        self._asked: dict[int, optuna.Trial] = {}

    def draw(self, place: int, given: Mapping[str, Value] | None, again: int = 0) -> Drawn:
        """See `Sampler`."""
        if place not in self._asked or again:
            self._asked[place] = self._study.ask()
        if given is None:
            return self._space.draw(self._asked[place])
        answer(self._asked[place], self._space, given)
        return dict(given)

    def learn(self, place: int, trial: Trial) -> None:
        """See `Sampler`."""
        is_told = self._study.get_trials(deepcopy=False)[place].state is not TrialState.RUNNING
        if is_told or trial.status is Status.INTERRUPTED:
            return
        values = vectors_of(trial).get(trial.full_budget)
        if values is not None:
            self._study.tell(self._asked[place], list(values))
        else:
            self._study.tell(self._asked[place], state=TrialState.PRUNED)


def directions_of(objectives: Sequence[Objective]) -> list[str]:
    """What Optuna calls them."""
    return ["maximize" if objective.direction == "max" else "minimize" for objective in objectives]


@dataclass(frozen=True)
class Way:
    """A way to search. rule: of the rungs, or "none". by_front: whether they compare all objectives."""

    name: str
    sampler: Callable[[Space], Sampler]
    rule: str
    by_front: bool = True


WAYS = (
    Way("random search", RandomSampler, "none"),
    Way("NSGA-II", Genetic, "none"),
    Way("Optuna's estimator", lambda space: OptunasSampler(space, as_complete=False), "none"),
    Way("estimator over places", EstimatorSampler, "none"),
    Way("random", RandomSampler, "stop"),
    Way("NSGA-II", Genetic, "stop"),
    Way("Optuna's estimator, stopped pruned", lambda space: OptunasSampler(space, as_complete=False), "stop"),
    Way("Optuna's estimator, stopped complete", lambda space: OptunasSampler(space, as_complete=True), "stop"),
    Way("estimator over places", EstimatorSampler, "stop"),
    Way("estimator over the accuracy", EstimatorSampler, "stop", by_front=False),
    Way("random", RandomSampler, "promote"),
    Way("Optuna's estimator, stopped pruned", lambda space: OptunasSampler(space, as_complete=False), "promote"),
    Way("Optuna's estimator, stopped complete", lambda space: OptunasSampler(space, as_complete=True), "promote"),
    Way("estimator over places", EstimatorSampler, "promote"),
    Way("estimator over the accuracy", EstimatorSampler, "promote", by_front=False),
)


@dataclass(frozen=True)
class Found:
    """What a search found: the hypervolume of its front as it sees it, and by seeds that it does not see."""

    seen: float
    true: float
    front: int


def search(problem: Problem, way: Way, objectives: Sequence[str], number: int, budget: int) -> Found:
    """One search of a way within so many epochs, each config with one seed."""
    changes = {"fidelity_mode": "full"} if way.rule == "none" else {"rung_rule": way.rule}
    space = dataclasses.replace(problem.space, seeds=1, **changes)  # type: ignore[arg-type]
    settings = {**space.settings, "seed": number}
    trials = trials_for(space, budget, len(problem.configs))
    space = dataclasses.replace(space, trials=trials, settings=settings, objectives=tuple(objectives))
    if not way.by_front:
        space = dataclasses.replace(space, objectives=("validation_accuracy",))
    ledger = replay(problem, space, number, budget, sampler=way.sampler(space))
    return found_by(ledger, problem, several_objectives(objectives))


def found_by(ledger: Ledger, problem: Problem, objectives: tuple[Objective, ...]) -> Found:
    """What the trials that a search has trained make of a front."""
    for trial in ledger.trials.values():  # a search by one objective did not look at the others
        trial.objectives = objectives
    ledger.objectives = objectives
    front = front_found(ledger, "")
    by_number = {trial.number: trial for trial in ledger.trials.values()}
    configs = [problem.config_of(problem.space.draw(Given(by_number[number].config))) for number in front.front]
    true = [volume(problem, configs, seed, objectives) for seed in TRUTH]
    return Found(front.hypervolume, float(np.mean(true)), len(configs))


def volume(problem: Problem, configs: Sequence[int], seed: int, objectives: Sequence[Objective]) -> float:
    """The hypervolume of configs by what was recorded of one seed; a run that diverged covers nothing."""
    runs = [problem.runs[config, seed, 0] for config in configs]
    columns = [RECORDED[str(objective.column)] for objective in objectives]
    values = [tuple(float(getattr(run, column)[-1]) for column in columns) for run in runs if run.diverged is None]
    return hypervolume(scaled([row for row in values if np.isfinite(row).all()], objectives))


def print_table(problem: Problem, options: argparse.Namespace) -> None:
    """A row a way, a column a budget."""
    objectives = several_objectives(options.objective)
    every = [100 * volume(problem, problem.configs, seed, objectives) for seed in (*VISIBLE, *TRUTH)]
    print(f"{problem.name}: {', '.join(map(str, objectives))}; 100 times the hypervolume, {options.searches} searches "
          f"each; all {len(problem.configs)} configs: {np.mean(every[:3]):.2f} by the seeds that searches see, "
          f"{np.mean(every[3:]):.2f} by the others")  # fmt: skip
    heads = [f"{budget:g} trainings | over random | true | front" for budget in options.budgets]
    print(f"| rungs | sampler | {' | '.join(heads)} |")
    print("|---" * (2 + 4 * len(heads)) + "|")
    random: dict[float, np.ndarray] = {}
    for way in WAYS:
        cells = []
        for budget in options.budgets:
            epochs = round(budget * problem.epochs)
            found = [search(problem, way, options.objective, number, epochs) for number in range(options.searches)]
            seen = np.array([each.seen for each in found])
            gain = mean_of(seen - random.setdefault(budget, seen))
            true = mean_of(np.array([each.true for each in found]))
            front = np.mean([each.front for each in found])
            over = "" if way is WAYS[0] else gain.text(signed=True)
            cells.append(f"{mean_of(seen).text()} | {over} | {true.text()} | {front:.1f}")
        rungs = way.rule if way.rule == "none" or way.by_front else f"{way.rule}, by accuracy"
        print(f"| {rungs} | {way.name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=RECIPES)
    parser.add_argument("--objective", nargs="+", default=["validation_accuracy", "measure.nc1:min"])
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--budgets", type=float, nargs="+", default=[4, 8, 16, 32], help="in full trainings")
    parser.add_argument("--curves", type=Path, default=FOLDER)
    options = parser.parse_args()
    objectives = several_objectives(options.objective)
    problems = objectives_problems(options.objective)
    if problems or any(objective.column not in RECORDED for objective in objectives):
        raise UserError(problems or f"only {', '.join(RECORDED)} are recorded")
    print_table(Problem(options.set, options.curves), options)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
