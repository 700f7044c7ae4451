"""A whole search: check everything, start Ray, run Ray Tune, write the results, stop Ray."""

from __future__ import annotations

import contextlib
import gc
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ray import tune
from rich.console import Console

from tune_lpc.cli.live import Progress
from tune_lpc.engine.cluster import address_problems, cluster, scratch_folder, with_the_first_experiment_state_only
from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.engine.packing import choose_resources
from tune_lpc.engine.trainable import CHECKPOINT_FOLDER, Job, TrialTrainable
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.resources import Resources, ResourcesAsked, cpus_here
from tune_lpc.plan.space import Space
from tune_lpc.results import Journal, Tables, export
from tune_lpc.search.guards import Guard, Stuck
from tune_lpc.search.opening import OpenRun, open_run
from tune_lpc.search.provenance import describe_run
from tune_lpc.search.recorder import Recorder
from tune_lpc.search.resume import Past
from tune_lpc.search.rungs import Rungs, RungScheduler
from tune_lpc.search.searcher import NUMBER, SpaceSearch
from tune_lpc.training.device import gpus_here
from tune_lpc.training.prepare import Prepared, check_image_size, prepare


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    resume: go on with the run in `out`, or begin it where there is none.
    max_failures: how often a trial goes on from its last checkpoint after its worker or node failed.
    stuck_after: a trial without an epoch in so many times the time expected is restarted.
    warnings: told once the search is known to begin.
    """

    space: Space
    out: Path
    data_dir: Path | None = None
    resources: ResourcesAsked = field(default_factory=ResourcesAsked)
    address: str | None = None
    measures: tuple[str, ...] = ()
    command: str = ""
    resume: bool = False
    max_failures: int = 2
    stuck_after: float = 20.0
    warnings: tuple[str, ...] = ()

    @property
    def resume_command(self) -> str:
        """The command with which an interrupted search goes on."""
        # At its beginning: at the end it could be taken for a value of --set or --method.
        return self.command if self.resume else self.command.replace("tune_lpc.run", "tune_lpc.run --resume", 1)


@dataclass(frozen=True)
class Outcome:
    """How a search ended.

    tables: None when the files could not be written.
    exit_status: 0; 1 when no trial reached a score, or when the search or the writing of its files failed; 128 and the
        signal's number.
    """

    tables: Tables | None
    exit_status: int
    message: str


def run_searches(requests: Sequence[Request], console: Console) -> Iterator[tuple[Request, Outcome]]:
    """Run the searches that are asked for one after another, from checks to Parquet, yielding how each ended.

    They share data, resources and Ray; an interrupted one is the last. Raises UserError with every problem of all of
    them at once, before anything is written or started.
    """
    resources, prepared = _check(requests)
    for line in dict.fromkeys(line for request in requests for line in request.warnings):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"data: {prepared.describe()}", markup=False, highlight=False, soft_wrap=True)
    with Interrupt() as interrupt, ExitStack() as stack:
        runs = []
        for request in requests:
            runs.append(open_run(request.out, request.space, prepared, request.measures, resume=request.resume))
            stack.callback(runs[-1].close)
            if request.resume:
                _tell_what_is_there(runs[-1], console)
        if any(run.to_come for run in runs):
            stack.enter_context(cluster(requests[0].address, console))
            interrupt.take_over()
            if resources is None:
                one, to_come, again = requests[0], max(run.to_come for run in runs), any(run.past.run for run in runs)
                resources = choose_resources(one.resources, one.space, one.data_dir, to_come, console, again=again)
            console.print(f"trials: {resources.describe()}", markup=False, highlight=False, soft_wrap=True)
        for request, run in zip(requests, runs, strict=True):
            yield request, _run(request, run, resources, prepared, interrupt, console)
            if interrupt.requested is not None:
                return


def _tell_what_is_there(run: OpenRun, console: Console) -> None:
    if not run.past.run:
        line = f"nothing to go on with in {run.folder}: the search begins"
    else:
        kept = sum(trial.status is not None for trial in run.past.trials.values())
        line = f"going on in {run.folder}: {kept} trials are kept, {run.to_come} to come"
    for text in (*(f"left out: {problem}" for problem in run.left_out), line):
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _run(
    request: Request,
    run: OpenRun,
    resources: Resources | None,
    prepared: Prepared,
    interrupt: Interrupt,
    console: Console,
) -> Outcome:
    space, past = request.space, run.past
    scheduler = RungScheduler(Rungs(space.fidelity, past.looks), lambda number: past.is_control(number, space))
    with interrupt.graceful():
        try:
            if past.run:
                journal = run.go_on(request.command)
            else:
                assert resources is not None
                journal = run.begin(
                    describe_run(space, request.command, request.data_dir, prepared, resources, request.measures)
                )
        except OSError as error:
            problem = f"the run in {request.out} can't be written ({error.strerror or error})"
            return _outcome(request, interrupt, None, problem)
        if not journal.is_locked:
            console.print(f"note: {request.out} has no file locks, so see to it that no second search runs there")
        with Progress(space, console) as progress:
            recorder = Recorder(space, journal, scheduler, progress, interrupt, past)
            try:
                recorder.recall()
                if run.to_come and interrupt.requested is None:
                    assert resources is not None
                    _fit(request, past, resources, prepared, scheduler, recorder, interrupt)
            except BaseException as error:
                # Whatever ended the search, what was finished goes into the files.
                reason, failed = f"{type(error).__name__}: {error}", isinstance(error, Exception)
                _finish(request, journal, recorder, reason, failed=failed)
                raise
        finished = _finish(request, journal, recorder, interrupt.requested, failed=interrupt.failed)
        return _outcome(request, interrupt, *finished)


def _finish(
    request: Request, journal: Journal, recorder: Recorder, reason: str | None, *, failed: bool
) -> tuple[Tables | None, str]:
    """The tables, or None and why they could not be written.

    reason: why the search ended early, None when it did not. failed: whether that is a failure.
    """
    outcome = "finished" if reason is None else "failed" if failed else "interrupted"
    recorder.write("run_ended", outcome=outcome, reason=reason or "all trials ended")
    journal.close()
    gc.collect()  # Ray's trials refer to one another; the tables can use the memory that they took
    with contextlib.suppress(OSError):
        (request.out / CHECKPOINT_FOLDER).rmdir()  # stays where a trial may still go on
    try:
        return export(request.out), ""
    except (OSError, UserError) as error:
        return None, f"the Parquet files can't be written: {error}"


def _outcome(request: Request, interrupt: Interrupt, tables: Tables | None, problem: str) -> Outcome:
    go_on = f"go on with: {request.resume_command}"
    if interrupt.signal_number is not None:
        name = signal.Signals(interrupt.signal_number).name
        kept = problem or "what was finished is kept"
        return Outcome(tables, 128 + interrupt.signal_number, f"the search was interrupted ({name}); {kept}; {go_on}")
    if interrupt.requested is not None:
        return Outcome(tables, 1, f"the search ended early: {interrupt.requested}; mend it, then {go_on}")
    if tables is None:
        return Outcome(tables, 1, f"{problem}; nothing is lost: free space, then {go_on}")
    if tables.best.empty:
        reasons = tables.trials["reason"].value_counts().head(3).items()
        told = "; ".join(f"{count} times: {reason}" for reason, count in reasons)
        return Outcome(tables, 1, f"no trial reached a score ({told})")
    return Outcome(tables, 0, "")


def _fit(
    request: Request,
    past: Past,
    resources: Resources,
    prepared: Prepared,
    scheduler: RungScheduler,
    recorder: Recorder,
    interrupt: Interrupt,
) -> None:
    """Let Ray Tune run the trials that are to come."""
    space = request.space
    data_dir = request.data_dir.resolve() if request.data_dir else None
    job = Job(
        space,
        request.out.resolve(),
        data_dir,
        prepared.source.fingerprint,
        space.largest_group,
        resources.cpus_per_trial,
        request.measures,
    )
    trainable = tune.with_resources(
        tune.with_parameters(TrialTrainable, job=job),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    measures_come_next = _measures_come_next(request)
    guard = Guard(request.out, Stuck(request.stuck_after), recorder, measures_come_next)
    with scratch_folder() as storage, with_the_first_experiment_state_only():
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                num_samples=past.to_come(space),
                search_alg=SpaceSearch(space, resources.concurrent, past.known(space)),
                scheduler=scheduler,
                max_concurrent_trials=resources.concurrent,
                reuse_actors=True,
                trial_name_creator=lambda trial: f"{space.name}_{trial.config.get(NUMBER, trial.trial_id)}",
                trial_dirname_creator=lambda trial: f"{trial.config.get(NUMBER, trial.trial_id)}",
            ),
            run_config=tune.RunConfig(
                name="ray",
                # Not in the folder of the results: nobody reads it, and a full disk there must not end the search.
                storage_path=storage,
                verbose=0,
                stop=interrupt,
                callbacks=[recorder, guard],
                failure_config=tune.FailureConfig(max_failures=request.max_failures),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()


def _measures_come_next(request: Request) -> Callable[[int, int], bool]:
    epochs = request.space.epochs
    return lambda budget, epoch: bool(request.measures) and budget == epochs and epoch >= epochs - 1


# Checks


def _check(requests: Sequence[Request]) -> tuple[Resources | None, Prepared]:
    """Everything that can be known to be wrong before Ray starts, all at once. No resources where Ray must tell."""
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
    return None if one.resources.is_auto else resources, prepared
