"""What a search costs beside its training: our driver against raw Ray Tune with the same sampler, loggers off.

Trials of a trivial trainable, 10 reports each, two at once, actors reused, no early stopping. Each run has a process of
its own; the two kinds take turns. `sampler` is the time within suggest and on_trial_complete, the same in both;
`rest per trial` is what the wall time leaves: Ray, and on our side the journal, the terminal, the guards.

    python benchmarks/driver.py [--trials 500 1000] [--rounds 2] [--only ours]

Seen on 2026-11-22 (2-core AMD EPYC, quiet, one round):

| trials | driver | seconds | sampler, s | rest per trial, ms | peak memory, MiB | ratio to raw |
|---|---|---|---|---|---|---|
| 1000 | raw | 43.1 | 19.3 | 23.7 | 797 | 1.00 |
| 1000 | ours | 29.8 | 17.7 | 12.1 | 809 | 0.69 |
| 5000 | ours | 481.0 | 352.0 | 25.8 | 1073 | not run |

Ours is faster as it writes no state of Ray's experiment and no statistics of metrics. 740 MiB are imports.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPORTS = 10
CONCURRENT = 2


def main() -> int:
    """Compare both, or (with --one, in a process of its own) run one."""
    parser = argparse.ArgumentParser(description="Our driver against raw Ray Tune.")
    parser.add_argument("--trials", type=int, nargs="+", default=[500, 1000])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=("ours", "raw"))
    parser.add_argument("--one", choices=("ours", "raw"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(options.one, options.trials[0])
        return 0
    kinds = [options.only] if options.only else ["raw", "ours"]
    print("| trials | driver | seconds | sampler, s | rest per trial, ms | peak memory, MiB | ratio to raw |")
    print("|---|---|---|---|---|---|---|")
    for trials in options.trials:
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind in kinds:
                runs[kind].append(in_own_process(kind, trials))
        seconds = {kind: statistics.median(run["seconds"] for run in runs[kind]) for kind in kinds}
        for kind in kinds:
            sampler = statistics.median(run["sampler"] for run in runs[kind])
            memory = max(run["memory"] for run in runs[kind])
            rest = (seconds[kind] - sampler) / trials * 1000
            ratio = f"{seconds[kind] / seconds['raw']:.2f}" if "raw" in seconds else ""
            print(
                f"| {trials} | {kind} | {seconds[kind]:.1f} | {sampler:.1f} | {rest:.1f} | {memory:.0f} | {ratio} |",
                flush=True,
            )
    return 0


def in_own_process(kind: str, trials: int) -> dict[str, float]:
    """The figures of one run."""
    command = [sys.executable, __file__, "--one", kind, "--trials", str(trials)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run_one(kind: str, trials: int) -> None:
    """Run a search and print its figures as JSON."""
    warnings.simplefilter("ignore")
    sampler, seconds = (ours if kind == "ours" else raw)(trials)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "sampler": sampler, "memory": memory}))


def timed(kind: type, *names: str) -> list[float]:
    """Have calls of these methods add their time to the list that is returned."""
    spent: list[float] = []

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                spent.append(time.perf_counter() - start)

        return call

    for name in names:
        setattr(kind, name, wrap(getattr(kind, name)))
    return spent


def score_of(number: int) -> float:
    """A made-up validation accuracy."""
    return 0.5 + 0.4 * ((number * 2654435761) % 1000) / 1000


def space_of(trials: int) -> Any:
    """The space of both: the shipped one of digits, each trial trained to its end."""
    from tune_lpc.spec import load_space

    return load_space("digits").with_values({"trials": trials, "epochs": REPORTS, "fidelity_mode": "full"})


class Draw:
    """Draws numbered configs; Ray saves it with its searcher."""

    def __init__(self, space: Any) -> None:
        self.space, self.drawn = space, 0

    def __call__(self, trial: Any) -> dict[str, Any]:
        self.drawn += 1
        return {**self.space.draw(trial), "number": self.drawn - 1}


def ours(trials: int) -> tuple[float, float]:
    """Time in the sampler and in all, in seconds, of a search of ours whose trials don't train."""
    from ray import tune
    from rich.console import Console

    from tune_lpc.search import Request, run_searches, tuner
    from tune_lpc.search.searcher import NUMBER, SpaceSearch
    from tune_lpc.spec.record import EpochRecord
    from tune_lpc.spec.resources import ResourcesAsked

    values = dict.fromkeys((field.name for field in EpochRecord.__dataclass_fields__.values()), 0.5)

    class Trivial(tune.Trainable):
        def setup(self, config: dict[str, Any], job: Any = None) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.number, self.epoch = new_config[NUMBER], 0
            return True

        def step(self) -> dict[str, Any]:
            self.epoch += 1
            score = score_of(self.number)
            record = {**values, "budget": REPORTS, "epoch": self.epoch, "validation_accuracy": score, "diverged": None}
            result = {"validation_accuracy": score, "record": record, "done": self.epoch == REPORTS}
            if self.epoch == 1:
                result["placed"] = {"host": "here", "pid": os.getpid(), "continued_from": None, "left_out": []}
            return result

    tuner.TrialTrainable = Trivial
    spent = timed(SpaceSearch, "suggest", "on_trial_complete")
    wall: list[float] = timed(tune.Tuner, "fit")
    with tempfile.TemporaryDirectory() as folder:
        request = Request(space_of(trials), Path(folder) / "run", resources=ResourcesAsked(concurrent=CONCURRENT))
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device, not a path
            ((_, outcome),) = run_searches([request], Console(file=nowhere))
        assert outcome.exit_status == 0, outcome.message
        assert len(outcome.tables.epochs) == trials * REPORTS
    return sum(spent), sum(wall)


def raw(trials: int) -> tuple[float, float]:
    """The same of Ray Tune alone, with its own OptunaSearch over the same space."""
    import optuna
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    from tune_lpc.search import cluster

    for name, value in cluster._RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    space = space_of(trials)

    class Trivial(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.number, self.epoch = new_config["number"], 0
            return True

        def step(self) -> dict[str, Any]:
            self.epoch += 1
            return {"validation_accuracy": score_of(self.number), "done": self.epoch == REPORTS}

    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, constant_liar=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = OptunaSearch(space=Draw(space), metric="validation_accuracy", mode="max", sampler=sampler)
    spent = timed(OptunaSearch, "suggest", "on_trial_complete")
    ray.init(log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(Trivial, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                num_samples=trials, search_alg=search, max_concurrent_trials=CONCURRENT, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        start = time.perf_counter()
        results = tuner.fit()
        seconds = time.perf_counter() - start
        assert len(results) == trials
    ray.shutdown()
    return sum(spent), seconds


if __name__ == "__main__":
    sys.exit(main())
