"""Optuna's TPE with each of its pruners, by Optuna's own code, at its defaults."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from benchmarks.rivals.answering import answer
from benchmarks.rivals.problem import Pool, Problem
from benchmarks.rivals.trace import Contestant, Named

NAMES = "names study.best_trial: the best last score of the trials that were trained fully"
PRUNERS: dict[str, tuple[str, Callable[[int], BasePruner]]] = {
    "none": ("no pruner", lambda _: NopPruner()),
    "median": ("MedianPruner()", lambda _: MedianPruner()),
    "hyperband": (
        "HyperbandPruner(min_resource=1, max_resource=epochs)",
        lambda epochs: HyperbandPruner(min_resource=1, max_resource=epochs),
    ),
    "halving": ("SuccessiveHalvingPruner()", lambda _: SuccessiveHalvingPruner()),
}


def contestants() -> list[Contestant]:
    """TPE with each pruner."""
    return [
        Contestant(
            f"optuna-{name}",
            f"TPESampler(), {about}, a report an epoch, from 1 on; {NAMES}",
            lambda problem, number, _, pruner=pruner: search(problem, number, pruner),  # type: ignore[misc]
            {"pruner": about, "optuna": optuna.__version__},
        )
        for name, (about, pruner) in PRUNERS.items()
    ]


def search(problem: Problem, number: int, pruner: Callable[[int], BasePruner]) -> Iterator[Named | None]:
    """The loop that Optuna's documentation shows: report each epoch, ask whether to prune."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            direction="maximize", sampler=sampler, pruner=pruner(problem.epochs), study_name=f"search {number}"
        )  # Hyperband's brackets depend on the name
    pool, configs = Pool(problem, number), dict[int, int]()
    named = None
    while (config := pool.take(problem.space.draw(trial := study.ask()))) is not None:
        answer(trial, problem.space, problem.values[config])
        configs[trial.number] = config
        run = pool.run(config)
        for epoch, score in enumerate(run.scores.tolist(), start=1):
            trial.report(score, epoch)
            is_last = epoch == len(run.scores)
            if run.diverged is not None and is_last:
                study.tell(trial, state=TrialState.FAIL)
            elif trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                is_last = True
            elif is_last:
                study.tell(trial, score)
                best = study.best_trial
                named = Named(configs[best.number], float(best.value or 0.0))
            yield named
            if is_last:
                break
