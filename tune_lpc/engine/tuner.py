"""Whole searches: check everything, start Ray, run Ray Tune under a director, write the results, stop Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial

import ray
from ray import tune
from rich.console import Console

from tune_lpc.engine.address import address_problems, host_and_port
from tune_lpc.engine.callback import DirectorCallback, EndOfSearch, UnusedCheckpoints
from tune_lpc.engine.cluster import (
    cluster,
    head_of_cluster,
    scratch_folder,
    with_the_first_experiment_state_only,
)
from tune_lpc.engine.ending import end_without_head, finish, outcome_of, tell, unfinished
from tune_lpc.engine.hours import budget_of, has_time, lines_of_time, why_over
from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.engine.joining import joining_problems
from tune_lpc.engine.journalling import View, WaitingLog
from tune_lpc.engine.lifeline import HeadLost, Lifeline, lifeline
from tune_lpc.engine.metrics import published_meanwhile
from tune_lpc.engine.output import RaysOutput, rays_output
from tune_lpc.engine.place import Place, find_place, leaves_precision, refuse_other_precision
from tune_lpc.engine.report import NUMBER
from tune_lpc.engine.request import Outcome, Request
from tune_lpc.engine.scheduler import DirectorScheduler, DirectorSearcher
from tune_lpc.engine.study import followed_by_study
from tune_lpc.engine.tables import tables_meanwhile
from tune_lpc.engine.token import token_problems
from tune_lpc.engine.trainable import CHECKPOINT_FOLDER, Job, TrialTrainable, checkpoint_folder
from tune_lpc.engine.unfit import without_unfit_nodes
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.objectives import measures_of
from tune_lpc.plan.resources import Resources, cpus_here
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.results import Journal, Ledger
from tune_lpc.results.events import RunEnded
from tune_lpc.search.director import Director
from tune_lpc.search.opening import Identity, OpenRun, open_run
from tune_lpc.search.provenance import describe_run, describe_session
from tune_lpc.search.samplers import sampler_of
from tune_lpc.search.time_budget import TimeBudget
from tune_lpc.search.watch import PREPARING, Watch
from tune_lpc.training.checkpoints import Checkpoints
from tune_lpc.training.data import check_hold_out
from tune_lpc.training.device import best_device, gpus_here, resolved_precision
from tune_lpc.training.persistence import check_backend
from tune_lpc.training.prepare import Prepared, check_brought, check_image_size, prepare

ViewOf = Callable[[Space, Ledger, TimeBudget], AbstractContextManager[View]]
"""What shows a search to people, given what is searched, what has happened so far, and the time that there is."""
DECODING_SECONDS = 1e-3
"""For an image that a node must decode first, while here it may lie in the cache."""


@dataclass(frozen=True)
class _Checked:
    """What is known before Ray starts. resources: None where Ray must tell. seconds: what preparing the data took."""

    prepared: Prepared
    resources: Resources | None
    seconds: float


def run_searches(requests: Sequence[Request], console: Console, view_of: ViewOf) -> Generator[tuple[Request, Outcome]]:
    """Run the searches that are asked for one after another, from checks to Parquet, yielding how each ended.

    They share data, resources and Ray; an interrupted one is the last. Raises UserError with every problem of all of
    them at once, before anything is written or started.
    """
    checked = _check(requests)
    tell(console, f"data: {checked.prepared.describe()}")
    if requests[0].code:
        tell(console, requests[0].code.describe())
    with Interrupt() as interrupt, ExitStack() as stack:
        runs = []
        for request in requests:
            runs.append(open_run(request.out, _identity(request, checked.prepared), resume=request.resume))
            stack.callback(runs[-1].close)
            if request.resume:
                _tell_what_is_there(runs[-1], console)
            for earlier in runs[-1].earlier:
                tell(console, earlier.describe())
        place, folder, output = Place(checked.resources), None, None
        if any(run.to_come and has_time(request, run) for request, run in zip(requests, runs, strict=True)):
            output = stack.enter_context(rays_output())
            folder = stack.enter_context(cluster(requests[0].address, console, without_token=requests[0].without_token))
            interrupt.take_over()
            place = find_place(requests[0], runs, checked.resources, console)
            for run in runs:
                refuse_other_precision(run, place)
            assert place.resources is not None
            if problems := requests[0].hours.gpu_problems(place.resources.gpus_per_trial):
                raise UserError(problems)
        for number, (request, run) in enumerate(zip(requests, runs, strict=True), start=1):
            if len(requests) > 1:
                method = request.space.fixed("method")
                tell(console, f"search {number} of {len(requests)}: method {method}, results in {request.out}")
            began = request.began if number == 1 else time.monotonic()
            outcome = _run(request, run, place, checked, interrupt, console, view_of, began, output)
            if outcome.exit_status == 1 and folder is not None and (logs := folder.keep_logs()) is not None:
                tell(console, f"Ray's logs are kept in {logs}")
            yield request, outcome
            if interrupt.requested is not None or outcome.lost is not None:
                return


# Before a search


def _check(requests: Sequence[Request]) -> _Checked:
    """Everything that can be known to be wrong before Ray starts, all at once."""
    one = requests[0]
    problems: list[str] = []
    resources = None
    if one.address is None:
        resources, found = one.resources.plan(cpus_here(), gpus_here())
        problems += found
        problems += [] if resources is None else one.hours.gpu_problems(resources.gpus_per_trial)
    unreachable = address_problems(one.address)
    if not ray.is_initialized():
        if not unreachable and one.address not in (None, "local"):
            unreachable = joining_problems(host_and_port(one.address))
        problems += token_problems(one.address, without=one.without_token)
    problems += unreachable
    groups = [request.space.largest_group for request in requests if request.space.largest_group is not None]
    prepared = None
    start = time.monotonic()
    try:
        # What decides the data is the same in every trial of every search.
        spec = one.space.trial(one.space.first[0] if one.space.first else one.space.draw(RandomChooser(0)))
        if "hold_out" in one.space.settings:
            check_hold_out(spec.dataset, one.data_dir, spec.hold_out)
        prepared = prepare(spec, one.data_dir, max(groups, default=None), one.code)
        for network in sorted({str(network) for request in requests for network in request.space.possible("network")}):
            check_image_size(network, prepared)
        check_brought([request.space for request in requests], prepared, one.resources.processes)
    except UserError as error:
        problems += error.problems
    problems += _backend_problems(requests)
    if prepared is not None:
        problems += _other_images(requests, prepared)
    if problems or prepared is None:
        raise UserError(problems)
    return _Checked(prepared, None if one.resources.is_auto else resources, time.monotonic() - start)


def _other_images(requests: Sequence[Request], prepared: Prepared) -> list[str]:
    """The requests that need other images than those that are there."""
    return [
        f"the images of {request.space.dataset} differ from those of the search in {request.out.parent}; give its data "
        "with --data-dir"
        for request in requests
        if request.fingerprint not in (None, prepared.source.fingerprint)
    ]


def _backend_problems(requests: Sequence[Request]) -> list[str]:
    """Why the persistence can't be computed here as asked for; on another machine's cluster the workers must tell."""
    found = []
    for request in requests:
        name = _backend(request.space)
        if request.address in (None, "local") and name is not None:
            try:
                check_backend(name, best_device())
            except UserError as error:
                found += error.problems
    return list(dict.fromkeys(found))


def _backend(space: Space) -> str | None:
    """What computes the persistence; None where no trial needs it."""
    return str(space.fixed("persistence_backend")) if space.topological_is_possible else None


def _identity(request: Request, prepared: Prepared) -> Identity:
    return Identity(
        request.space,
        prepared.source.fingerprint,
        prepared.split.hash,
        request.measures,
        request.warm_start,
        request.resources.processes,
        request.code.digests,
    )


def _tell_what_is_there(run: OpenRun, console: Console) -> None:
    if run.is_new:
        line = f"nothing to go on with in {run.folder}: the search begins"
    else:
        kept = sum(not trial.is_to_go_on for trial in run.ledger.trials.values())
        to_come = "more" if run.space.trials == AS_MANY_AS_FIT else run.to_come
        line = f"going on in {run.folder}: {kept} trials are kept, {to_come} to come"
    for text in (*(f"left out: {problem}" for problem in run.left_out), line):
        tell(console, text)


# A search


def _run(
    request: Request,
    run: OpenRun,
    place: Place,
    checked: _Checked,
    interrupt: Interrupt,
    console: Console,
    view_of: ViewOf,
    began: float,
    output: RaysOutput | None,
) -> Outcome:
    with interrupt.graceful():
        try:
            journal = _begin_or_go_on(request, run, place, checked, time.monotonic() - began)
        except OSError as error:
            problem = f"the run in {request.out} can't be written ({error.strerror or error})"
            return outcome_of(request, interrupt, None, None, problem)
        if output is not None:
            output.keep_in(request.out)
        if not journal.is_locked:
            tell(console, f"note: {request.out} has no file locks, so see to it that no second search runs there")
        budget = budget_of(request, run, place, began)
        budget.asked(time.monotonic())
        with view_of(request.space, run.ledger, budget) as view:
            log = WaitingLog(journal, view, interrupt)
            end_here = partial(end_without_head, request, interrupt, log, console)
            lost = None
            director = _director(request, run, place, log, view, budget)
            decoding = DECODING_SECONDS * len(checked.prepared.labels)
            director.watch.expect(PREPARING, max(checked.seconds, decoding))
            try:
                director.settle()
                if director.to_come and interrupt.requested is None:
                    assert place.resources is not None  # Ray was started, as trials are to come
                    follow = followed_by_study(request, director, lambda line: tell(console, line))
                    tables = tables_meanwhile(request.out, view.say_once)
                    metrics = published_meanwhile(request, director, view.say_once)
                    watched = lifeline(head_of_cluster(), end_here, view.say, lambda: interrupt.requested is not None)
                    with follow, tables, metrics, watched as line:
                        _fit(request, director, place.resources, checked.prepared, log, view, interrupt, line)
            except HeadLost as reason:
                lost = reason
            except BaseException as error:
                # Whatever ended the search, what was finished goes into the files.
                outcome = "failed" if isinstance(error, Exception) else "interrupted"
                finish(request, log, RunEnded(outcome, f"{type(error).__name__}: {error}"))
                raise
        early = lost.reason if lost else director.ends_early or unfinished(director)
        if interrupt.requested is not None:
            end = RunEnded("interrupted", interrupt.requested)
        elif early is not None:
            end = RunEnded("failed", early)
        else:
            end = RunEnded("finished", why_over(director))
            for told in lines_of_time(request, director):
                tell(console, told)
        ended = outcome_of(request, interrupt, early, *finish(request, log, end, director.waiting), lost)
        if output is not None and output.path is not None:
            tell(console, f"what Ray itself had to say: {output.path}")
        return ended


def _begin_or_go_on(request: Request, run: OpenRun, place: Place, checked: _Checked, startup_seconds: float) -> Journal:
    """The journal, once it says that the search begins or goes on. Raises OSError when nothing can be written."""
    session = describe_session(place.resources, request.hours, startup_seconds)
    if not run.is_new:
        journal = run.go_on(request.command, session)
        _tidy_checkpoints(run)
        return journal
    precision = place.precision(request.space)
    about = describe_run(
        request.space,
        request.command,
        request.data_dir,
        checked.prepared,
        request.measures,
        precision,
        session,
        run.earlier,
    )
    own = {"code": request.code.digests} if request.code else {}
    return run.begin({**about, **own, **request.about}, request.code)


def _tidy_checkpoints(run: OpenRun) -> None:
    """Remove the checkpoints that nobody will need."""
    runs, waiting = run.space.fidelity.runs(), run.waiting
    numbers = set()
    for trial in run.ledger.trials.values():
        numbers.add(trial.number)
        checkpoints = Checkpoints(checkpoint_folder(run.folder, trial.number))
        if trial.is_to_go_on or trial.number in waiting:
            # A checkpoint may be an epoch ahead of the journal, as it is written first. One further ahead, after
            # damage to the journal, would leave epochs without a record.
            checkpoints.forget_after(run.space.fidelity.after(trial.position(runs)))
        else:
            checkpoints.remove()
    for folder in (run.folder / CHECKPOINT_FOLDER).glob("*"):
        if folder.name.isdigit() and int(folder.name) not in numbers:
            Checkpoints(folder).remove()


def _director(
    request: Request, run: OpenRun, place: Place, log: WaitingLog, view: View, budget: TimeBudget
) -> Director:
    in_bfloat16 = run.ledger.run.get("precision") == "bfloat16"

    def precision(spec: TrialSpec) -> str:
        return resolved_precision(spec.precision, spec.network, in_bfloat16)

    concurrent = place.resources.concurrent if place.resources is not None else 1
    director = Director(
        request.space,
        run.ledger,
        log,
        sampler_of(request.space, concurrent, [seen for earlier in run.earlier for seen in earlier.observations]),
        precision=precision,
        watch=Watch(request.stuck_after),
        watched=(view.show,),
        budget=budget,
    )
    director.watched_by(UnusedCheckpoints(request.out, lambda: director.waiting))
    return director


def _job(request: Request, director: Director, resources: Resources, prepared: Prepared) -> Job:
    space = request.space
    objectives = tuple(measures_of(space.objectives))
    return Job(
        request.out.resolve(),
        request.data_dir.resolve() if request.data_dir else None,
        tuple(space.fidelity.runs()),
        prepared.source.fingerprint,
        space.largest_group,
        resources.threads,
        needs_bfloat16=leaves_precision(space) and director.ledger.run.get("precision") == "bfloat16",
        persistence_backend=_backend(space),
        measures=request.measures,
        rungs=frozenset(space.fidelity.rung_positions() if space.rung_rule == "promote" else ()),
        objectives=dict.fromkeys(space.fidelity.rung_positions(), objectives),
        trains_on_all=request.trains_on_all,
        evaluate=request.evaluate,
        space=space.name,
        code=request.code,
        processes=resources.processes_per_trial,
    )


def _fit(
    request: Request,
    director: Director,
    resources: Resources,
    prepared: Prepared,
    log: WaitingLog,
    view: View,
    interrupt: Interrupt,
    line: Lifeline | None,
) -> None:
    """Let Ray Tune run the trials that are to come."""
    space = request.space
    job = _job(request, director, resources, prepared)
    trainable = tune.with_resources(
        tune.with_parameters(TrialTrainable, job=job),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    fit_nodes = without_unfit_nodes(request.address, job, view.say_once)
    with scratch_folder() as storage, with_the_first_experiment_state_only(), fit_nodes:
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                num_samples=-1,  # the searcher says when there is none to come
                search_alg=DirectorSearcher(director),
                scheduler=DirectorScheduler(director, view),
                max_concurrent_trials=resources.concurrent,
                reuse_actors=True,
                trial_name_creator=lambda trial: f"{space.name}_{trial.config.get(NUMBER, trial.trial_id)}",
                # A trial that a rung lets go on later is another one to Ray.
                trial_dirname_creator=lambda trial: f"{trial.config.get(NUMBER, '')}-{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                name="ray",
                # Not in the folder of the results: nobody reads it, and a full disk there must not end the search.
                storage_path=storage,
                verbose=0,
                progress_reporter=tune.CLIReporter(),  # silent, where Ray's for notebooks puts an empty output
                stop=EndOfSearch(interrupt, director, line, lambda: request.uploads.lost if request.uploads else ""),
                callbacks=[DirectorCallback(director, log, view, request.out, interrupt.take_over)],
                failure_config=tune.FailureConfig(max_failures=request.max_failures),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
