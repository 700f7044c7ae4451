"""A whole search: check everything, start Ray, run Ray Tune, write the results, stop Ray."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import ray
from ray import tune
from rich.console import Console

from tune_lpc.results import (
    JOURNAL_FILE,
    Journal,
    Tables,
    export,
    write_run,
)
from tune_lpc.search.interrupt import Interrupt
from tune_lpc.search.progress import Progress
from tune_lpc.search.provenance import describe_run
from tune_lpc.search.recorder import Recorder
from tune_lpc.search.rungs import RungScheduler
from tune_lpc.search.searcher import SpaceSearch
from tune_lpc.search.trainable import Job, TrialTrainable
from tune_lpc.spec.choosers import RandomChooser
from tune_lpc.spec.errors import Interrupted, UserError
from tune_lpc.spec.resources import Resources, ResourcesAsked, cpus_here
from tune_lpc.spec.space import Space
from tune_lpc.training.device import gpus_here
from tune_lpc.training.prepare import Prepared, check_image_size, prepare

MAX_FAILURES = 2
"""How often a trial goes on from its last checkpoint after its worker failed."""
CHECKPOINTS_PER_TRIAL = 5
ADDRESS_SECONDS = 10.0
RAY_FOLDER = "ray"

_RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # How long an actor in the middle of an epoch is waited for when a search is interrupted.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    space: Space
    out: Path
    data_dir: Path | None = None
    resources: ResourcesAsked = field(default_factory=ResourcesAsked)
    address: str | None = None
    measures: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a search ended.

    exit_status: 0; 1 when no trial reached a score or the journal failed; 128 and the signal's number.
    """

    tables: Tables
    exit_status: int
    message: str


def run_searches(requests: Sequence[Request], console: Console) -> Iterator[tuple[Request, Outcome]]:
    """Run the searches that are asked for one after another, from checks to Parquet, yielding how each ended.

    They share data, resources and Ray; an interrupted one is the last. Raises UserError with every problem of all of
    them at once, before anything is written or started.
    """
    resources, prepared = _check(requests)
    console.print(f"data: {prepared.describe()}", markup=False, highlight=False, soft_wrap=True)
    with Interrupt() as interrupt, _ray(requests[0].address, console):
        interrupt.take_over()
        if resources is None:
            totals = ray.cluster_resources()
            resources = _resources(requests[0].resources, totals.get("CPU", 0.0), totals.get("GPU", 0.0))
        console.print(f"trials: {resources.describe()}", markup=False, highlight=False, soft_wrap=True)
        for request in requests:
            yield request, _run(request, resources, prepared, interrupt, console)
            if interrupt.requested is not None:
                return


def _run(request: Request, resources: Resources, prepared: Prepared, interrupt: Interrupt, console: Console) -> Outcome:
    space, out = request.space, request.out
    run = describe_run(space, request.command, request.data_dir, prepared, resources, request.measures)
    try:
        out.mkdir(parents=True, exist_ok=True)
        journal = Journal(out / JOURNAL_FILE, new=True)
        write_run(out, run)
    except FileExistsError as error:
        raise UserError(f"another search has just begun in {out}; choose another folder with --out") from error
    journal.append("run_started", run=run)
    scheduler = RungScheduler(space.fidelity)
    with Progress(space, console) as progress:
        recorder = Recorder(space, journal, scheduler, progress, interrupt)
        tuner = _tuner(request, resources, prepared, scheduler, recorder, interrupt)
        try:
            with interrupt.graceful():
                tuner.fit()
        except BaseException as error:
            # Whatever ended the search, what was finished goes into the files.
            _finish(out, journal, recorder, f"{type(error).__name__}: {error}")
            raise
    tables = _finish(out, journal, recorder, interrupt.requested)
    if interrupt.requested is None:
        shutil.rmtree(out / RAY_FOLDER, ignore_errors=True)
    return _outcome(tables, recorder.failure, interrupt.signal_number)


def _finish(out: Path, journal: Journal, recorder: Recorder, reason: str | None) -> Tables:
    recorder.write("run_ended", outcome="interrupted" if reason else "finished", reason=reason or "all trials ended")
    journal.close()
    return export(out)


def _outcome(tables: Tables, failure: str | None, signal_number: int | None) -> Outcome:
    if failure is not None:
        return Outcome(tables, 1, f"the search ended early: {failure}")
    if signal_number is not None:
        name = signal.Signals(signal_number).name
        return Outcome(tables, 128 + signal_number, f"the search was interrupted ({name}); what was finished is kept")
    if tables.best.empty:
        reasons = tables.trials["reason"].value_counts().head(3).items()
        told = "; ".join(f"{count} times: {reason}" for reason, count in reasons)
        return Outcome(tables, 1, f"no trial reached a score ({told})")
    return Outcome(tables, 0, "")


def _tuner(
    request: Request,
    resources: Resources,
    prepared: Prepared,
    scheduler: RungScheduler,
    recorder: Recorder,
    interrupt: Interrupt,
) -> tune.Tuner:
    space = request.space
    data_dir = request.data_dir.resolve() if request.data_dir else None
    job = Job(
        space, data_dir, prepared.source.fingerprint, space.largest_group, resources.cpus_per_trial, request.measures
    )
    trainable = tune.with_resources(
        tune.with_parameters(TrialTrainable, job=job),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            num_samples=space.trials,
            search_alg=SpaceSearch(space, resources.concurrent),
            scheduler=scheduler,
            max_concurrent_trials=resources.concurrent,
            reuse_actors=True,
            trial_name_creator=lambda trial: f"{space.name}_{trial.config.get('number', trial.trial_id)}",
            trial_dirname_creator=lambda trial: f"{trial.config.get('number', trial.trial_id)}",
        ),
        run_config=tune.RunConfig(
            name=RAY_FOLDER,
            storage_path=str(request.out.resolve()),
            verbose=0,
            stop=interrupt,
            callbacks=[recorder],
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=max(1, space.epochs // CHECKPOINTS_PER_TRIAL), checkpoint_at_end=False
            ),
        ),
    )


# Checks


def _check(requests: Sequence[Request]) -> tuple[Resources | None, Prepared]:
    """Everything that can be known to be wrong before Ray starts, all at once."""
    one = requests[0]
    problems: list[str] = []
    resources = None
    if one.address is None:
        resources, found = one.resources.plan(cpus_here(), gpus_here())
        problems += found
    problems += address_problems(one.address)
    groups = [request.space.largest_group for request in requests if request.space.largest_group is not None]
    prepared = None
    try:
        # What decides the data is the same in every trial of every search.
        spec = one.space.trial(one.space.draw(RandomChooser(0)))
        prepared = prepare(spec, one.data_dir, max(groups, default=None))
        for network in sorted({str(network) for request in requests for network in request.space.possible("network")}):
            check_image_size(network, prepared)
    except UserError as error:
        problems += error.problems
    if problems or prepared is None:
        raise UserError(problems)
    return resources, prepared


def _resources(asked: ResourcesAsked, cpus: float, gpus: float) -> Resources:
    resources, problems = asked.plan(cpus, gpus)
    if resources is None:
        raise UserError(problems)
    return resources


# Ray


def address_problems(address: str | None) -> list[str]:
    """Why no Ray can be joined at `address`; Ray itself would try for minutes where nothing listens."""
    host, colon, port = (address or "auto").removeprefix("ray://").rpartition(":")
    if address in (None, "auto", "local"):
        return []
    if not colon or not port.isdigit():
        return [f"--address is {address!r}, but must be auto, HOST:PORT or ray://HOST:PORT"]
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ADDRESS_SECONDS):
            return []
    except (OSError, OverflowError) as error:
        return [f"nothing can be joined at --address {address} ({error}); is Ray running there?"]


@contextmanager
def _ray(address: str | None, console: Console) -> Iterator[None]:
    """A Ray cluster: the one at `address`, the one that this process already uses, or a local one, always stopped."""
    for name, value in _RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield
        return
    console.print("starting Ray …" if address is None else f"joining Ray at {address} …", highlight=False)
    try:
        context = ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, include_dashboard=True
        )
    except Interrupted:
        ray.shutdown()
        raise
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"no Ray cluster could be {'joined at ' + address if address else 'started'}: {_first_line(error)}"
        ) from error
    try:
        if context.dashboard_url:
            console.print(f"dashboard: http://{context.dashboard_url}", highlight=False)
        yield
    finally:
        ray.shutdown()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
