"""Test what a search names, once, on images that no search sees: ``python -m tune_lpc.confirm DIR``."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import cast

import pandas as pd
from rich.console import Console

from tune_lpc.cli.confirmation import SEEDS, TIES, Confirmation, planned
from tune_lpc.cli.home import check_home
from tune_lpc.cli.options import TRUST_CODE, Parser, data_dir_problems, exit_status, numbers
from tune_lpc.cli.own_code import code_of_results
from tune_lpc.cli.paths import folders_given, path_given
from tune_lpc.cli.terminal import print_lines, terminal
from tune_lpc.plan import UserError
from tune_lpc.plan.errors import shown
from tune_lpc.plan.places import is_address
from tune_lpc.plan.processes import process_problems
from tune_lpc.plan.resources import ResourcesAsked
from tune_lpc.results import holds_run, load_run, write_run
from tune_lpc.results.confirmed import ALL, CONFIRM_FOLDER, OPENINGS, PLAN, TRAIN, export_confirmed, openings
from tune_lpc.results.folder import run_folders

MOST_SEEDS = 100


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 (a network failed), 2 (bad input), 130 or 143 (interrupted)."""
    began = time.monotonic()
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _command(options, shlex.join(["python", "-m", "tune_lpc.confirm", *arguments]), began))


def _parser() -> Parser:
    parser = Parser(
        prog="python -m tune_lpc.confirm",
        description="Train the named config of each search with fresh seeds, and test each network once.",
    )
    parser.add_argument(
        "directories", metavar="DIR", type=path_given, nargs="+", help="folder of a search, or of several methods"
    )
    parser.add_argument(
        "--top",
        metavar="M",
        help=f"confirm the M best configs (default: the named one, and at most {TIES} that are tied with it)",
    )
    parser.add_argument("--seeds", metavar="K", help=f"networks of each config, each of a fresh seed (default {SEEDS})")
    parser.add_argument(
        "--measure", metavar="NAME", nargs="+", help="measures on the test images, or all (see tune_lpc.run)"
    )
    parser.add_argument(
        "--train-on",
        metavar="WHICH",
        help=f"{TRAIN}: the images that the search trains on (default); {ALL}: its validation images too",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the confirmation in the folder, or begin it")
    parser.add_argument("--export", metavar="FORMAT", help="onnx: write the networks for other runtimes, too")
    parser.add_argument(
        "--data-dir", metavar="DIR", type=path_given, help="images on disk (default: where the search had them)"
    )
    parser.add_argument("--address", metavar="ADDRESS", help="join a running Ray cluster instead of starting one here")
    parser.add_argument(
        "--no-token", action="store_true", help="let a Ray that is started here run the code of whoever reaches it"
    )
    parser.add_argument("--concurrent", metavar="N", help="networks at once (default: as many as fit)")
    parser.add_argument("--cpus-per-trial", metavar="C", help="CPUs of a network (default 1)")
    parser.add_argument("--gpus-per-trial", metavar="G", help="GPUs of a network (default 1 if there are any)")
    parser.add_argument(
        "--processes-per-trial", metavar="N", help="processes that train a network together (default: one a GPU of it)"
    )
    parser.add_argument("--trust-code", action="store_true", help=TRUST_CODE)
    return parser


def _command(options: argparse.Namespace, command: str, began: float) -> int:
    console = terminal()
    kinds: dict[str, type[int | float]] = {"top": int, "seeds": int, "concurrent": int, "cpus_per_trial": int}
    values, problems = numbers(options, {**kinds, "gpus_per_trial": float, "processes_per_trial": int})
    problems += [
        f"--{name} is {shown(values[name])}, but must be a whole number from 1 to {MOST_SEEDS}"
        for name in ("top", "seeds")
        if values[name] is not None and not 1 <= values[name] <= MOST_SEEDS
    ]
    if options.train_on not in (None, TRAIN, ALL):
        problems.append(f"--train-on is {shown(options.train_on)}, but must be {TRAIN} or {ALL}")
    if options.export not in (None, "onnx"):
        problems.append(f"--export is {shown(options.export)}, but must be onnx")
    resources = ResourcesAsked(*(values[field.name] for field in dataclasses.fields(ResourcesAsked)))
    problems += resources.problems() + data_dir_problems(options.data_dir)
    asked = {"top": values["top"], "seeds": values["seeds"], "train_on": options.train_on, "measures": options.measure}
    stored = [text for text in options.directories if is_address(text)]
    found: list[Confirmation] = []
    for directory in run_folders(folders_given(options.directories)):
        try:
            found.append(planned(directory, asked, resume=options.resume))
        except UserError as error:
            problems += error.problems
    if not resources.problems():
        problems += [problem for one in found for problem in process_problems(one.space, resources.processes)]
    if stored and not options.resume:
        problems += [
            f"the results at {' '.join(stored)} hold a confirmation already; go on with it with --resume, or confirm a "
            f"copy of the folder again: {one.directory}"
            for one in found
            if holds_run(one.folder)
        ]
    if problems:
        raise UserError(dict.fromkeys(problems))
    status = _confirm(found, options, resources, command, began, console)
    if stored:
        from tune_lpc.cli.storage import upload_again

        upload_again(stored, console)
    return status


def _confirm(
    found: Sequence[Confirmation],
    options: argparse.Namespace,
    resources: ResourcesAsked,
    command: str,
    began: float,
    console: Console,
) -> int:
    check_home()
    # torch and Ray take seconds to import: only now, when the options are known to be right.
    from tune_lpc.cli.live import Progress
    from tune_lpc.engine.request import Request
    from tune_lpc.engine.tuner import run_searches
    from tune_lpc.final.evaluation import FinalEvaluation
    from tune_lpc.final.onnx_export import check_onnx, export_onnx
    from tune_lpc.final.test_images import check_test_images

    problems = []
    data_dirs, codes = {}, {}
    for one in found:
        text = options.data_dir or one.run["data"]["data_dir"]
        data_dirs[one.directory] = Path(text).resolve() if text else None  # workers run elsewhere
        try:
            codes[one.directory] = code_of_results(one.directory, one.run, trust=options.trust_code)
            check_test_images(one.specs[0], data_dirs[one.directory])
            if options.export:
                check_onnx()
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(dict.fromkeys(problems))
    status = 0
    for data in dict.fromkeys(_data(one) for one in found):
        group = [one for one in found if _data(one) == data]
        moved = [] if options.resume else [_moved_away(one) for one in group if holds_run(one.folder)]
        requests = {}
        for one in group:
            print_lines(console, _told_before(one))
            data_dir = data_dirs[one.directory]
            evaluate = FinalEvaluation(one.folder.resolve(), one.files, tuple(one.plan["measures"]), data_dir)
            requests[one.folder] = Request(
                one.space,
                one.folder,
                data_dir,
                resources,
                options.address,
                command=command,
                resume=options.resume,
                fingerprint=one.run["data"]["fingerprint"],
                trains_on_all=one.plan["train_on"] == ALL,
                evaluate=evaluate,
                about={PLAN: one.plan},
                without_token=options.no_token,
                code=codes[one.directory],
                began=began,
            )
        by_folder = {one.folder: one for one in group}
        try:
            for request, outcome in run_searches(
                list(requests.values()),
                console,
                lambda space, ledger, budget: Progress(space, console, ledger, budget, competes=False),
            ):
                one = by_folder[request.out]
                status = max(status, outcome.exit_status, _finish(one, console))
                if outcome.message:
                    print(outcome.message, file=sys.stderr)
        except UserError:
            for place, kept in moved:
                if not place.exists():
                    kept.rename(place)  # nothing began, so nothing is changed
            raise
        if status >= 128:
            return status
    for one in found if options.export else ():
        for file in one.files.values():
            path = one.folder / f"{file}.safetensors"
            if path.is_file():
                print_lines(console, [f"exported: {export_onnx(path)}"])
    return status


def _data(one: Confirmation) -> tuple[object, ...]:
    """What the images and their use follow from: searches that share it share one Ray."""
    spec = one.specs[0]
    sizes = (spec.image_size, spec.hold_out, spec.train_size, spec.validation_size, spec.validation_share)
    first = one.plan["networks"][0]["split"]
    return one.run["data"]["data_dir"], one.run["data"]["fingerprint"], one.plan["train_on"], first, *sizes


def _moved_away(one: Confirmation) -> tuple[Path, Path]:
    """Make room for a new confirmation: where the one before lay, and where it lies now."""
    number = next(n for n in count(1) if not (one.directory / f"{CONFIRM_FOLDER}-{n}").exists())
    kept = one.directory / f"{CONFIRM_FOLDER}-{number}"
    one.folder.rename(kept)
    return one.folder, kept


def _told_before(one: Confirmation) -> list[str]:
    plan = one.plan
    ranks = list(dict.fromkeys(network["rank"] for network in plan["networks"]))
    seeds = [network["seed"] for network in plan["networks"] if network["rank"] == ranks[0]]
    lines = [
        f"confirm {one.directory}: rank {', '.join(map(str, ranks))}, {len(seeds)} fresh seeds from {seeds[0]} on: "
        f"{len(plan['networks'])} networks of {one.specs[0].epochs} epochs, each tested once"
    ]
    if plan["train_on"] == ALL:
        lines.append(
            f"trained on {plan['train_images']:,} images, those that chose the config included: another regime than "
            "that of the search"
        )
    if plan["opened_before"]:
        last = openings(one.directory)
        when = f", last by a confirmation of {last[-1]['started']}" if last else ""
        lines.append(
            f"note: test images were opened for this search before, {plan['opened_before']} times{when}; if anything "
            "was chosen by what they said, this is no clean confirmation"
        )
    return lines


def _finish(one: Confirmation, console: Console) -> int:
    """Write the table, note the openings, and print what came out; 1 where a network has no test, else 0."""
    table, damaged = export_confirmed(one.directory)
    run = load_run(one.directory)
    write_run(one.directory, {**run, OPENINGS: openings(one.directory)})
    print_lines(console, [f"damaged: {line}" for line in damaged])
    for rank, rows in table.groupby("rank", sort=True):
        print_lines(console, [_verdict(cast(int, rank), rows)])
    lacking = int(table["test_accuracy"].isna().sum())
    if lacking:
        print_lines(console, [f"{lacking} of {len(table)} networks have no test: see status and reason"])
    where = shlex.quote(str(one.directory))
    print_lines(
        console,
        [
            f"files in {one.directory}: confirm.parquet (a row a network), {CONFIRM_FOLDER}/networks/",
            f"compare with others: python -m tune_lpc.compare {where} OTHER …",
        ],
    )
    return 1 if lacking else 0


def _verdict(rank: int, rows: pd.DataFrame) -> str:
    """What the networks of a config came to, against what the search announced."""
    tested = [float(value) for value in rows["test_accuracy"].dropna()]
    if not tested:
        return f"rank {rank}: no network was tested"
    mean = statistics.mean(tested)
    spread = f" ± {statistics.stdev(tested):.4f}" if len(tested) > 1 else ""
    announced = float(rows["announced"].iloc[0])
    low, high = rows["announced_low"].iloc[0], rows["announced_high"].iloc[0]
    between = "" if pd.isna(low) or pd.isna(high) else f" ({low:.4f} to {high:.4f})"
    gap = 100 * (announced - mean)
    return (
        f"rank {rank}: test accuracy {mean:.4f}{spread} ({len(tested)} network{'s' if len(tested) > 1 else ''}); the "
        f"search announced {announced:.4f}{between}, {abs(gap):.2f} points {'more' if gap >= 0 else 'less'}"
    )


if __name__ == "__main__":
    sys.exit(main())
