"""Run a hyperparameter search: ``python -m tune_lpc.run SPACE``."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from tune_lpc.cli.asked import FAILURES, STUCK_AFTER, STUCK_LIMITS, checked
from tune_lpc.cli.dry_run import describe_search
from tune_lpc.cli.folders import folders_of
from tune_lpc.cli.home import check_home
from tune_lpc.cli.options import TRUST_CODE, Parser, exit_status
from tune_lpc.cli.own_code import remember
from tune_lpc.cli.paths import path_given
from tune_lpc.cli.terminal import print_lines, print_summary, terminal
from tune_lpc.plan import MODES, Space, UserError, load_space, shipped_names
from tune_lpc.plan.methods import DEFAULT_METHOD, METHODS
from tune_lpc.plan.objectives import MOST_OBJECTIVES, measures_of
from tune_lpc.plan.places import is_address
from tune_lpc.plan.record import SCORE
from tune_lpc.plan.search_settings import SAMPLERS
from tune_lpc.plan.trial import setting_default
from tune_lpc.results import holds_run

if TYPE_CHECKING:
    from tune_lpc.engine.request import Outcome, Request
    from tune_lpc.storage.uploading import Uploader

UNLESS = "unless the space sets another"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 (no trial succeeded), 2 (bad input), 130 or 143 (interrupted)."""
    began = time.monotonic()
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    return exit_status(lambda: _command(options, shlex.join(["python", "-m", "tune_lpc.run", *arguments]), began))


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        prog="python -m tune_lpc.run", description="Search the hyperparameters of a regularised classifier."
    )
    parser.add_argument(
        "space", nargs="?", metavar="SPACE", help="a shipped search space (see --list), or a file my_space.py"
    )
    parser.add_argument("--list", action="store_true", help="list the shipped search spaces and exit")
    parser.add_argument("--list-methods", action="store_true", help="explain the methods and exit")
    parser.add_argument("--list-measures", action="store_true", help="explain the measures and exit")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the space, rungs, resources and cost; start nothing"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=path_given,
        help="folder for the results, or s3://BUCKET/PATH (default results/SPACE; docs/storage.md)",
    )
    parser.add_argument(
        "--local-copy",
        metavar="DIR",
        type=path_given,
        help="with --out s3://…: folder for the journal and a copy of the results (default: below the cache folder)",
    )
    parser.add_argument(
        "--trials", metavar="N", help="number of trials (default: the space's, or as many as fit into a time given)"
    )
    parser.add_argument(
        "--hours",
        metavar="H",
        help="time of the search by the clock, all its sessions together: nothing begins that would not end by then",
    )
    parser.add_argument(
        "--gpu-hours", metavar="G", help="the same in GPU time of its epochs: of two trials on two GPUs both count"
    )
    parser.add_argument("--epochs", metavar="E", help="full budget of a trial (default: the space's)")
    parser.add_argument(
        "--fidelity",
        metavar="MODE",
        help=f"how early stopping looks at trials: {', '.join(MODES)} "
        f"(default {Space.fidelity_mode}, {UNLESS}; explained by --dry-run)",
    )
    parser.add_argument(
        "--first-rung-after",
        metavar="SHARE",
        help="with --fidelity truncated: no rung before every ramp is at this share of its end, above 0 and up to 1",
    )
    parser.add_argument(
        "--control-trials",
        metavar="K",
        help=f"trials never stopped, to see how well the rungs foretell the end (default {Space.control_trials})",
    )
    parser.add_argument(
        "--seeds",
        metavar="K",
        help=f"seeds with which the best are trained in the end, each a trial (default {Space.seeds}, {UNLESS})",
    )
    parser.add_argument(
        "--objective",
        metavar="NAME[:min|:max]",
        nargs="+",
        help=f"what to do well in, {SCORE} and up to {MOST_OBJECTIVES - 1} more: columns of an epoch or measure.NAME "
        f"(default {SCORE}, {UNLESS}; docs/objectives.md)",
    )
    parser.add_argument(
        "--sampler",
        metavar="NAME",
        help=f"what draws the configs: {', '.join(SAMPLERS)} (default {Space.sampler}, {UNLESS}; docs/samplers.md)",
    )
    parser.add_argument(
        "--warm-start",
        metavar="DIR",
        type=path_given,
        nargs="+",
        default=[],
        help="folders of earlier searches to learn from, also of another data set",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder, or begin it")
    parser.add_argument(
        "--max-failures",
        metavar="N",
        default=FAILURES,
        help=f"how often a trial goes on after its worker or node failed (default {FAILURES})",
    )
    parser.add_argument(
        "--stuck-after",
        metavar="MULTIPLE",
        default=STUCK_AFTER,
        help="restart a trial without an epoch in so many times the time expected "
        f"(default {STUCK_AFTER}, at least {STUCK_LIMITS[0]})",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        type=path_given,
        help="images on disk: Parquet files or class folders (docs/images.md)",
    )
    parser.add_argument("--concurrent", metavar="N", help="trials at once (default: as many as fit)")
    parser.add_argument("--cpus-per-trial", metavar="C", help="CPUs of a trial (default 1), or auto: measured")
    parser.add_argument(
        "--gpus-per-trial",
        metavar="G",
        help="GPUs of a trial, 0.5 for two on one, or auto (default 1 if there are any)",
    )
    parser.add_argument(
        "--processes-per-trial",
        metavar="N",
        help="processes that train a trial together (default: one a GPU of it; docs/several_processes.md)",
    )
    parser.add_argument(
        "--seed",
        metavar="S",
        help=f"seed of the sampler and of every trial (default {setting_default('seed')}, {UNLESS})",
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        nargs="+",
        help="fix a parameter or change a setting",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        nargs="+",
        default=[DEFAULT_METHOD],
        help=f"methods, each a search of its own (default {DEFAULT_METHOD})",
    )
    parser.add_argument(
        "--measure",
        metavar="NAME",
        nargs="+",
        default=[],
        help="measures of trials that train their full budget, or all",
    )
    parser.add_argument(
        "--optuna-storage",
        metavar="WHERE",
        default="file",
        help="where optuna-dashboard sees the trials: file, in the results; the address of a database, such as "
        "postgresql://USER:PASSWORD@HOST/NAME; or none (default file; docs/watching.md)",
    )
    parser.add_argument("--address", metavar="ADDRESS", help="join a running Ray cluster instead of starting one here")
    parser.add_argument(
        "--no-token", action="store_true", help="let a Ray that is started here run the code of whoever reaches it"
    )
    parser.add_argument("--trust-code", action="store_true", help=TRUST_CODE)
    return parser


def _command(options: argparse.Namespace, command: str, began: float) -> int:
    console = terminal()
    for option, show in (("list", _print_list), ("list_methods", _print_methods), ("list_measures", _print_measures)):
        if getattr(options, option):
            show(console)
            return 0
    status = 0
    for _, outcome in searches_of(options, command, began, console):
        if outcome.message:
            print(outcome.message, file=sys.stderr)
        status = max(status, outcome.exit_status)  # an interruption tells more than a search without a score
    return status


def searches_of(
    options: argparse.Namespace, command: str, began: float, console: Console, uploads: Uploader | None = None
) -> Generator[tuple[Request, Outcome]]:
    """Run the searches that the options ask for, one after another: each with how it ended, once it is summed up.

    options: those of the command line; `space` may be a Space, too. command: how all that can be asked for again.
    began: when, by `time.monotonic`. uploads: what uploads the folder `out`, the copy of results elsewhere.
    Raises UserError with all that is wrong, before anything is written.
    """
    if options.space is None:
        raise UserError(f"give a search space, one of {', '.join(shipped_names())}, or a file (see --list)")
    asked = checked(options)
    spaces, code, hours = asked.spaces, asked.code, asked.hours
    folders = folders_of(options, spaces)
    data_dir = None if options.data_dir is None else Path(options.data_dir)
    warm_start = tuple(map(Path, options.warm_start))
    check_home()
    if is_address(options.out) and not options.dry_run:
        from tune_lpc.cli.storage import searches_stored  # nothing of it where results go to a folder

        def search(folder: Path, uploads: Uploader) -> Generator[tuple[Request, Outcome]]:
            here = argparse.Namespace(**{**vars(options), "out": str(folder), "local_copy": None})
            return searches_of(here, command, began, console, uploads)

        yield from searches_stored(options.out, options.local_copy, console, search, resume=options.resume)
        return
    # torch and Ray take seconds to import: only now, when the options are known to be right.
    from tune_lpc.search.dashboard import check_storage, without_password
    from tune_lpc.training.measures import measures_asked_for

    check_storage(options.optuna_storage)
    command = without_password(command)
    measures = tuple(measures_asked_for([*options.measure, *measures_of(spaces[0].objectives)]))
    if options.dry_run:
        for space, folder in zip(spaces, folders, strict=True):
            # One that goes on has what it took over in its run.json, and the folders may be gone by now.
            earlier = () if options.resume and holds_run(folder) else warm_start
            out = options.out if is_address(options.out) else folder
            describe_search(console, space, asked.resources, data_dir, out, options.address, hours, earlier, code)
        return
    remember(code)
    for space in spaces:
        print_lines(console, space.notes)
    from tune_lpc.cli.live import Progress
    from tune_lpc.engine.request import Request
    from tune_lpc.engine.tuner import run_searches
    from tune_lpc.report import report_lines

    requests = [
        Request(
            space,
            folder,
            data_dir,
            asked.resources,
            options.address,
            measures,
            command,
            warm_start=warm_start,
            resume=options.resume,
            hours=hours,
            began=began,
            optuna_storage=options.optuna_storage,
            without_token=options.no_token,
            code=code,
            uploads=uploads,
            max_failures=asked.guards.max_failures,
            stuck_after=asked.guards.stuck_after,
        )
        for space, folder in zip(spaces, folders, strict=True)
    ]
    searches = run_searches(requests, console, lambda space, ledger, budget: Progress(space, console, ledger, budget))
    with closing(searches):  # and with them Ray
        for request, outcome in searches:
            if outcome.tables is not None:
                print_summary(console, outcome.tables, request.space, request.out)
                print_lines(console, report_lines(request.out))
            yield request, outcome


def _print_methods(console: Console) -> None:
    print_lines(console, [f"{method.name:<22} {method.text}" for method in METHODS.values()])


def _print_measures(console: Console) -> None:
    from tune_lpc.training.measures import MEASURES

    print_lines(console, [f"{name:<36} {measure.text} ({measure.source})" for name, measure in MEASURES.items()])


def _print_list(console: Console) -> None:
    for name in shipped_names():
        space = load_space(name)
        print_lines(console, [f"{name:<13} {space.about} ({space.trials} trials of up to {space.epochs} epochs)"])


if __name__ == "__main__":
    sys.exit(main())
