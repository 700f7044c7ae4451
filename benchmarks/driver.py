"""What a search costs beside its training: our driver against raw Ray Tune with the same sampler, loggers off.

Trials of a trivial trainable, 10 reports each, two at once, actors reused, no early stopping. Each run has a process of
its own; the two kinds take turns. `start` lasts until the first report. `sampler` is the time within the sampler:
drawing, and learning how trials ended. `rest per trial` is what the wall time leaves: Ray, and on our side the journal,
the terminal, the guards. `CPU` is the part of it that the driver's main thread computed: the rest without the waiting,
so other work on the machine is not in it. `growth` is the rest per trial against that of the fewest trials, in wall
time and in CPU.

    python benchmarks/driver.py [--trials 500 1000] [--rounds 2] [--only ours] [--sampler random]

All seen with version 0.1.0, before the director. On 2026-11-24 (2-core Intel Xeon with AMX, quiet, one round):

| trials | driver | seconds | start, s | sampler, s | rest per trial, ms | CPU, ms | growth | peak, MiB | ratio to raw |
|---|---|---|---|---|---|---|---|---|---|
| 1000 | raw | 34.8 | 1.2 | 19.4 | 14.2 | 9.1 | 1.00, CPU 1.00 | 794 | 1.00 |
| 1000 | ours | 37.8 | 2.5 | 20.1 | 15.2 | 10.1 | 1.00, CPU 1.00 | 837 | 1.08 |

Seen on 2026-11-25 (2-core AMD EPYC, Zen 4; 1,000 trials in two rounds, quiet; 500 and 5,000 in one, with some
minutes of other work beside 5,000):

| trials | driver | seconds | start, s | sampler, s | rest per trial, ms | CPU, ms | growth | peak, MiB | ratio to raw |
|---|---|---|---|---|---|---|---|---|---|
| 1000 | raw | 57.2 | 1.7 | 27.5 | 27.9 | 12.3 | 1.00, CPU 1.00 | 776 | 1.00 |
| 1000 | ours | 65.5 | 3.6 | 30.2 | 31.8 | 14.6 | 1.00, CPU 1.00 | 753 | 1.15 |
| 500 | ours | 27.8 | 3.1 | 9.6 | 30.3 | 13.4 | 1.00, CPU 1.00 | 731 | |
| 5000 | ours | 729.3 | 3.3 | 538.3 | 37.5 | 15.5 | 1.24, CPU 1.16 | 884 | |

Seen on 2026-11-23 (2-core Intel Xeon at 2.3 GHz, one round, beside other work, which spoils the wall times):

| trials | driver | seconds | start, s | sampler, s | rest per trial, ms | CPU, ms | growth | peak, MiB | ratio to raw |
|---|---|---|---|---|---|---|---|---|---|
| 500 | raw | 37.0 | 3.5 | 11.6 | 43.8 | 13.9 | 1.00, CPU 1.00 | 760 | 1.00 |
| 500 | ours | 39.7 | 3.4 | 11.3 | 50.1 | 15.3 | 1.00, CPU 1.00 | 749 | 1.07 |
| 1000 | raw | 53.6 | 1.6 | 31.3 | 20.6 | 13.1 | 0.47, CPU 0.94 | 797 | 1.00 |
| 1000 | ours | 87.6 | 3.4 | 35.8 | 48.4 | 16.3 | 0.97, CPU 1.07 | 773 | 1.63 |
| 500 | ours | 41.2 | 7.1 | 12.6 | 43.0 | 17.3 | 1.00, CPU 1.00 | 749 | |
| 5000 | ours | 818.5 | 3.7 | 558.8 | 51.2 | 16.6 | 1.19, CPU 0.96 | 904 | |

On 2026-11-22 (2-core AMD EPYC, quiet, one round, before the cost per trial was made flat):

| trials | driver | seconds | sampler, s | rest per trial, ms | peak memory, MiB | ratio to raw |
|---|---|---|---|---|---|---|
| 1000 | raw | 43.1 | 19.3 | 23.7 | 797 | 1.00 |
| 1000 | ours | 29.8 | 17.7 | 12.1 | 809 | 0.69 |
| 5000 | ours | 481.0 | 352.0 | 25.8 | 1073 | not run |

740 MiB are imports.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
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
    parser.add_argument("--sampler", choices=("tpe", "random"), default="tpe", help="random: shows growth cheaply")
    parser.add_argument("--one", choices=("ours", "raw"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(options.one, options.trials[0], options.sampler)
        return 0
    kinds = [options.only] if options.only else ["raw", "ours"]
    columns = "trials|driver|seconds|start, s|sampler, s|rest per trial, ms|CPU, ms|growth|peak, MiB|ratio to raw"
    print(f"| {columns.replace('|', ' | ')} |\n{'|---' * (columns.count('|') + 1)}|", flush=True)
    fewest: dict[str, dict[str, float]] = {}
    for trials in sorted(options.trials):
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind in kinds:
                runs[kind].append(in_own_process(kind, trials, options.sampler))
        seen = {
            kind: {name: statistics.median(run[name] for run in runs[kind]) for name in runs[kind][0]} for kind in kinds
        }
        for kind, now in seen.items():
            rest = (now["seconds"] - now["start"] - now["sampler"]) / trials * 1000
            cpu = now["cpu"] / trials * 1000
            first = fewest.setdefault(kind, {"rest": rest, "cpu": cpu})
            growth = f"{rest / first['rest']:.2f}, CPU {cpu / first['cpu']:.2f}"
            memory = max(run["memory"] for run in runs[kind])
            ratio = f"{now['seconds'] / seen['raw']['seconds']:.2f}" if "raw" in seen else ""
            times = " | ".join(f"{each:.1f}" for each in (now["seconds"], now["start"], now["sampler"], rest, cpu))
            print(f"| {trials} | {kind} | {times} | {growth} | {memory:.0f} | {ratio} |", flush=True)
    return 0


def in_own_process(kind: str, trials: int, sampler: str) -> dict[str, float]:
    """The figures of one run."""
    command = [sys.executable, __file__, "--one", kind, "--trials", str(trials), "--sampler", sampler]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run_one(kind: str, trials: int, sampler: str) -> None:
    """Run a search and print its figures as JSON."""
    warnings.simplefilter("ignore")
    spent = (ours if kind == "ours" else raw)(trials, sampler)
    fit, first = spent.fit, spent.reported
    figures = {
        "seconds": fit.seconds,
        "start": first.first_seconds - fit.first_seconds,
        "sampler": sum(each.seconds for each in spent.sampling),
        "cpu": fit.cpu - (first.first_cpu - fit.first_cpu) - sum(each.cpu for each in spent.sampling),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


@dataclass
class Spent:
    """What the calls of a method took in all, and when the first began: by the clock, and in CPU of the main thread."""

    seconds: float = 0.0
    cpu: float = 0.0
    first_seconds: float = math.nan
    first_cpu: float = math.nan


@dataclass
class Timed:
    """Of a search: the whole of it, the sampler's methods, and what hears of a report, the first of which ends the
    start.
    """

    fit: Spent
    sampling: tuple[Spent, Spent]
    reported: Spent


def timed(kind: type, name: str) -> Spent:
    """Have the calls of this method add their time to what is returned."""
    spent, method = Spent(), getattr(kind, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        begun, computed = time.perf_counter(), time.thread_time()
        if math.isnan(spent.first_seconds):
            spent.first_seconds, spent.first_cpu = begun, computed
        try:
            return method(*args, **kwargs)
        finally:
            spent.seconds += time.perf_counter() - begun
            spent.cpu += time.thread_time() - computed

    setattr(kind, name, call)
    return spent


def score_of(number: int) -> float:
    """A made-up validation accuracy."""
    return 0.5 + 0.4 * ((number * 2654435761) % 1000) / 1000


def space_of(trials: int) -> Any:
    """The space of both: the shipped one of digits, each trial trained to its end."""
    from tune_lpc.plan import load_space

    return load_space("digits").with_values({"trials": trials, "epochs": REPORTS, "fidelity_mode": "full"})


class Draw:
    """Draws numbered configs; Ray saves it with its searcher."""

    def __init__(self, space: Any) -> None:
        self.space, self.drawn = space, 0

    def __call__(self, trial: Any) -> dict[str, Any]:
        self.drawn += 1
        return {**self.space.draw(trial), "number": self.drawn - 1}


def ours(trials: int, sampler: str) -> Timed:
    """A search of ours whose trials don't train."""
    from ray import tune
    from rich.console import Console

    from tune_lpc.cli.live import Progress
    from tune_lpc.engine import tuner
    from tune_lpc.engine.report import NUMBER, REPORT, Report
    from tune_lpc.engine.request import Request
    from tune_lpc.engine.scheduler import DirectorScheduler
    from tune_lpc.plan.record import EpochRecord
    from tune_lpc.plan.resources import ResourcesAsked
    from tune_lpc.results.events import TrialPlaced, trial_id_of
    from tune_lpc.search.sampler import EstimatorSampler, RandomSampler

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
            placed = TrialPlaced(trial_id_of(self.number), "here", os.getpid()) if self.epoch == 1 else None
            return {REPORT: Report(record, placed)}

    tuner.TrialTrainable = Trivial
    kind = EstimatorSampler if sampler == "tpe" else RandomSampler
    fit, sampling = timed(tune.Tuner, "fit"), (timed(kind, "draw"), timed(kind, "learn"))
    reported = timed(DirectorScheduler, "on_trial_result")
    with tempfile.TemporaryDirectory() as folder:
        resources = ResourcesAsked(concurrent=CONCURRENT)
        request = Request(space_of(trials), Path(folder) / "run", resources=resources, sampler=sampler)
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device, not a path
            console = Console(file=nowhere)
            searches = tuner.run_searches([request], console, lambda space, ledger, _: Progress(space, console, ledger))
            ((_, outcome),) = searches
        assert outcome.exit_status == 0, outcome.message
        assert len(outcome.tables.epochs) == trials * REPORTS
    return Timed(fit, sampling, reported)


def raw(trials: int, sampler: str) -> Timed:
    """The same of Ray Tune alone, with its own OptunaSearch over the same space."""
    import optuna
    import ray
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler
    from ray.tune.search.optuna import OptunaSearch

    from tune_lpc.engine import cluster

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

    own: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=0)
    if sampler == "tpe":
        own = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, constant_liar=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = OptunaSearch(space=Draw(space), metric="validation_accuracy", mode="max", sampler=own)
    fit, sampling = timed(tune.Tuner, "fit"), (timed(OptunaSearch, "suggest"), timed(OptunaSearch, "on_trial_complete"))
    reported = timed(FIFOScheduler, "on_trial_result")
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
        assert len(tuner.fit()) == trials
    ray.shutdown()
    return Timed(fit, sampling, reported)


if __name__ == "__main__":
    sys.exit(main())
