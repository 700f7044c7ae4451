"""Ray Tune's ASHAScheduler with its OptunaSearch, by Ray's own classes, driven without Ray's processes.

The driver does what Ray's TuneController does with one slot: it asks for the next trial as soon as one has started, so
a proposal knows nothing of the trial that runs; a report goes to the scheduler first, and to the searcher unless the
trial stops; a trial that is stopped is complete for both. `ray_check.py` runs the same search in a real
Tuner.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
import ray
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.rivals.answering import answer
from benchmarks.rivals.problem import Pool, Problem, Run, Values
from benchmarks.rivals.trace import Contestant, Named
from tune_lpc.plan import Space

METRIC = "score"
NAMES = "names get_best_result(): the best last score of all trials, however short"
VARIANTS: dict[str, dict[str, int]] = {"ray-asha": {}, "ray-asha-late": {"reduction_factor": 3}}
"""With Ray's defaults (a first rung at epoch 1, factor 4), and with a later first rung, epochs / 9, and factor 3."""


@dataclass(frozen=True)
class _Trial:
    """What a scheduler knows of a trial."""

    trial_id: str


@dataclass(frozen=True)
class Source:
    """Where a driver gets its curves. take: the config for a proposal, None when there are no more.

    told: the values that the searcher is to hold for it. curve: its run.
    """

    take: Callable[[Values], int | None]
    told: Callable[[int], Values]
    curve: Callable[[int], Run]


def contestants() -> list[Contestant]:
    """ASHA with Optuna, with an early and a late first rung."""

    def contestant(name: str, changes: Mapping[str, int]) -> Contestant:
        def search(problem: Problem, number: int, _: int) -> Iterator[Named | None]:
            pool = Pool(problem, number)
            source = Source(pool.take, problem.values.__getitem__, pool.run)
            return drive(problem.space, source, number, **settings_of(problem.epochs, changes))

        shown = ", reduction_factor=3, grace_period=epochs/9" if changes else ""
        about = f"ASHAScheduler(max_t=epochs{shown}) with OptunaSearch(), one slot; {NAMES}"
        return Contestant(name, about, search, {"changes": shown, "ray": ray.__version__, "optuna": optuna.__version__})

    return [contestant(name, changes) for name, changes in VARIANTS.items()]


def settings_of(epochs: int, changes: Mapping[str, int]) -> dict[str, int]:
    """What the scheduler is made with."""
    late = {"grace_period": max(1, round(epochs / 9))} if changes else {}
    return {"max_t": epochs, **changes, **late}


def drive(space: Space, source: Source, seed: int, **scheduling: int) -> Iterator[Named | None]:
    """A search, as a real Tuner with one slot would run it."""
    scheduler, searcher = parts_of(space, seed, scheduling)
    best: Named | None = None
    trial_ids = (f"{number:05d}" for number in range(10**5))

    def propose() -> tuple[_Trial, int | None]:
        trial = _Trial(next(trial_ids))
        config = source.take(searcher.suggest(trial.trial_id) or {})
        if config is not None:
            answer(searcher._ot_trials[trial.trial_id], space, source.told(config))
            scheduler.on_trial_add(None, trial)
        return trial, config

    trial, config = propose()
    while config is not None:
        following = propose()
        run = source.curve(config)
        for epoch, score in enumerate(run.scores.tolist(), start=1):
            result = {"training_iteration": epoch, METRIC: score}
            if run.diverged is not None and epoch == len(run.scores):  # the training function raises
                scheduler.on_trial_error(None, trial)
                searcher.on_trial_complete(trial.trial_id, error=True)
                yield best
                break
            now = Named(config, score)
            stops = scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP
            if stops:
                scheduler.on_trial_complete(None, trial, result)
                searcher.on_trial_complete(trial.trial_id, result)
            else:
                searcher.on_trial_result(trial.trial_id, result)
            named = now if best is None or score > best.score else best
            yield named
            if stops:
                best = named
                break
        trial, config = following


def parts_of(space: Space, seed: int, scheduling: Mapping[str, int]) -> tuple[Any, Any]:
    """The scheduler and the searcher."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    scheduler = ASHAScheduler(metric=METRIC, mode="max", **scheduling)  # type: ignore[arg-type]
    searcher = OptunaSearch(space.draw, metric=METRIC, mode="max", seed=seed)
    return scheduler, searcher
