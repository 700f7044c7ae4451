"""Whether the driver of `ray_asha.py` decides as a real Tuner does."""

from __future__ import annotations

import logging
import tempfile
import time
from typing import Any

import ray
from ray import tune

from benchmarks.rivals.problem import Problem, Run, Values
from benchmarks.rivals.ray_asha import METRIC, Source, drive, parts_of, settings_of

Trained = list[tuple[dict[str, Any], int]]
"""Configs in the order in which they were drawn, each with the epochs that it got."""


def disagreements(problem: Problem, trials: int = 40) -> list[str]:
    """Run the same search both ways; a line for each trial about which they disagree.

    A proposal has the curve of the nearest recorded config, used before or not, and is told as it is: the workers of a
    Tuner know nothing of each other.
    """
    pairs = zip(driven(problem, trials), tuned(problem, trials), strict=True)
    return [
        f"trial {number}: driver {ours}, Tuner {theirs}"
        for number, (ours, theirs) in enumerate(pairs)
        if ours != theirs
    ]


def driven(problem: Problem, trials: int) -> Trained:
    """With the driver."""
    proposals: list[Values] = []
    trained: Trained = []

    def take(values: Values) -> int | None:
        proposals.append(values)
        return len(proposals) - 1 if len(proposals) <= trials else None

    def curve(number: int) -> Run:
        trained.append((dict(proposals[number]), 0))
        return nearest(problem, proposals[number])

    for _ in drive(problem.space, Source(take, proposals.__getitem__, curve), 0, **settings_of(problem.epochs, {})):
        config, epochs = trained[-1]
        trained[-1] = config, epochs + 1
    return trained


def tuned(problem: Problem, trials: int) -> Trained:
    """With a real Tuner of one slot."""

    def train(config: dict[str, Any]) -> None:
        time.sleep(1.0)  # as training would take its time, and the Tuner draws the next trial meanwhile
        for score in nearest(problem, config).scores.tolist():
            tune.report({METRIC: score})

    scheduler, searcher = parts_of(problem.space, 0, settings_of(problem.epochs, {}))
    asked = tune.TuneConfig(scheduler=scheduler, search_alg=searcher, num_samples=trials, reuse_actors=True)
    ray.init(num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = tune.RunConfig(storage_path=folder, verbose=0)
            results = tune.Tuner(tune.with_resources(train, {"cpu": 1}), tune_config=asked, run_config=run).fit()
    finally:
        ray.shutdown()
    return [
        (result.config or {}, (result.metrics or {})["training_iteration"])
        for result in (results[number] for number in range(len(results)))
    ]


def nearest(problem: Problem, values: Values) -> Run:
    """The run of the config that is nearest."""
    return problem.runs[problem.configs[int(problem.distances(values).argmin())], 0, 0]
