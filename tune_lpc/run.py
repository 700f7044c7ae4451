"""Run a hyperparameter search: ``python -m tune_lpc.run SPACE``."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tune_lpc.commands import Parser, data_dir_problems, exit_status, numbers
from tune_lpc.results import Tables, folder_problems, summarise
from tune_lpc.spec import Space, UserError, load_space, shipped_names
from tune_lpc.spec.dimensions import describe_values
from tune_lpc.spec.methods import DEFAULT_METHOD, METHODS
from tune_lpc.spec.resources import ResourcesAsked, cpus_here


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 (no trial succeeded), 2 (bad input), 130 or 143 (interrupted)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _command(options, shlex.join(["python", "-m", "tune_lpc.run", *arguments])))


def _parser() -> Parser:
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
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default results/SPACE)")
    parser.add_argument("--trials", metavar="N", help="number of trials")
    parser.add_argument("--epochs", metavar="E", help="full budget of a trial")
    parser.add_argument("--data-dir", metavar="DIR", help="images on disk: Parquet files or class folders (see README)")
    parser.add_argument("--concurrent", metavar="N", help="trials at once (default: as many as fit)")
    parser.add_argument("--cpus-per-trial", metavar="C", help="CPUs of a trial (default 1)")
    parser.add_argument(
        "--gpus-per-trial", metavar="G", help="GPUs of a trial, 0.5 for two on one (default 1 if there are any)"
    )
    parser.add_argument("--seed", metavar="S", help="seed of the sampler and of every trial (default 0)")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        nargs="+",
        help="fix a parameter or change a setting",
    )
    parser.add_argument(
        "--method", metavar="NAME", nargs="+", default=[DEFAULT_METHOD], help="methods, each a search of its own"
    )
    parser.add_argument(
        "--measure",
        metavar="NAME",
        nargs="+",
        default=[],
        help="measures of trials that train their full budget, or all",
    )
    parser.add_argument("--address", metavar="ADDRESS", help="join a running Ray cluster instead of starting one here")
    return parser


def _command(options: argparse.Namespace, command: str) -> int:
    console = Console()
    for option, show in (("list", _print_list), ("list_methods", _print_methods), ("list_measures", _print_measures)):
        if getattr(options, option):
            show(console)
            return 0
    if options.space is None:
        raise UserError(f"give a search space, one of {', '.join(shipped_names())}, or a file (see --list)")
    spaces, asked = _checked(options)
    folders = _folders(options, spaces)
    data_dir = None if options.data_dir is None else Path(options.data_dir)
    # torch and Ray take seconds to import: only now, when the options are known to be right.
    from tune_lpc.training.metrics import measures_asked_for

    measures = tuple(measures_asked_for(options.measure))
    if options.dry_run:
        for space, folder in zip(spaces, folders, strict=True):
            _dry_run(console, space, asked, data_dir, folder, options.address)
        return 0
    from tune_lpc.search import Request, run_searches

    requests = [
        Request(space, folder, data_dir, asked, options.address, measures, command)
        for space, folder in zip(spaces, folders, strict=True)
    ]
    status = 0
    for request, outcome in run_searches(requests, console):
        _print_summary(console, outcome.tables, request.space, request.out)
        if outcome.message:
            print(outcome.message, file=sys.stderr)
        status = status or outcome.exit_status
    return status


def _checked(options: argparse.Namespace) -> tuple[list[Space], ResourcesAsked]:
    """A space a method with the options' changes, and the resources asked for; all problems of the options together."""
    kinds: dict[str, type[int | float]] = {"trials": int, "epochs": int, "seed": int}
    kinds |= {"concurrent": int, "cpus_per_trial": int, "gpus_per_trial": float}
    values, problems = numbers(options, kinds)
    asked = ResourcesAsked(values["concurrent"], values["cpus_per_trial"], values["gpus_per_trial"])
    problems += asked.problems()
    problems += data_dir_problems(options.data_dir)
    if options.out is not None and not options.out.strip():
        problems.append("--out is empty, but must name a folder")
    spaces = []
    try:
        space = load_space(options.space)
        changes = space.parse_changes(text for texts in options.set for text in texts)
        for name in ("trials", "epochs", "seed"):
            if values[name] is not None and name in changes:
                problems.append(f"{name} is given by --{name} and by --set; give it once")
            if values[name] is not None:
                changes[name] = values[name]
    except UserError as error:
        raise UserError(problems + error.problems) from error
    for method in dict.fromkeys(options.method):
        try:
            spaces.append(space.for_method(method).with_values(changes))
        except UserError as error:
            problems += error.problems
    if len(spaces) == len(set(options.method)) and (options.out is None or options.out.strip()):
        problems += [problem for folder in _folders(options, spaces) for problem in folder_problems(folder)]
    if problems:
        raise UserError(dict.fromkeys(problems))
    return spaces, asked


def _folders(options: argparse.Namespace, spaces: list[Space]) -> list[Path]:
    """Where the results of each search go: one in the folder itself, several each in one of its method's name."""
    out = Path("results") / spaces[0].name if options.out is None else Path(options.out)
    return [out] if len(spaces) == 1 else [out / str(space.fixed("method")) for space in spaces]


def _print_methods(console: Console) -> None:
    _print_lines(console, [f"{method.name:<22} {method.text}" for method in METHODS.values()])


def _print_measures(console: Console) -> None:
    from tune_lpc.training.metrics import MEASURES

    _print_lines(console, [f"{name:<36} {measure.text} ({measure.source})" for name, measure in MEASURES.items()])


def _print_list(console: Console) -> None:
    for name in shipped_names():
        space = load_space(name)
        _print_lines(console, [f"{name:<13} {space.about} ({space.trials} trials of up to {space.epochs} epochs)"])


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _dry_run(
    console: Console, space: Space, asked: ResourcesAsked, data_dir: Path | None, out: Path, address: str | None
) -> None:
    from tune_lpc.training.data import count_training_images
    from tune_lpc.training.device import gpus_here

    table = Table(
        "searched", "range", box=None, pad_edge=False, title=f"{space.name}: {space.about}", title_justify="left"
    )
    for name in space.dimensions:
        table.add_row(name, space.describe(name))
    console.print(table)
    fixed = ", ".join(f"{name}={value}" for name, value in space.settings.items())
    lines = [f"begins with: {describe_values(config)}" for config in space.first]
    lines += [f"fixed: {fixed}", f"space hash: {space.hash()}"]
    fidelity = space.fidelity
    rungs = ", ".join(map(str, fidelity.rungs()))
    looks = f"rungs at epochs {rungs}, where the best 1 in {fidelity.reduction_factor} go on"
    lines.append(f"trials: {space.trials} of up to {space.epochs} epochs; {looks if rungs else 'too short for rungs'}")
    lines += _ramp_notes(space)
    if address is None:
        resources, problems = asked.plan(cpus_here(), gpus_here())
        if resources is None:
            raise UserError(problems)
        lines.append(f"resources: {resources.describe()} ({cpus_here()} CPUs and {gpus_here()} GPUs here)")
    else:
        lines.append(f"resources: those of the Ray cluster at {address}")
    at_most, expected = space.trials * space.epochs, fidelity.expected_epochs(space.trials)
    cost = f"cost: about {expected:,} epochs, {at_most:,} if no trial is stopped early"
    images = count_training_images(space.dataset, data_dir)
    if images is not None:
        each = space.images_per_epoch(images)
        cost += f"; {each:,} training images an epoch, so about {expected * each:,} in all"
    lines.append(cost)
    lines.append(f"results: {out}")
    _print_lines(console, lines)


def _ramp_notes(space: Space) -> list[str]:
    """A warning when a rung may judge networks whose ramp is not yet up."""
    if space.possible("gamma_ramp") == ("off",):
        return []
    last = math.ceil(space.highest("gamma_ramp_length") * space.epochs)
    before = [str(rung) for rung in space.fidelity.rungs() if rung < last]
    if not before:
        return []
    judged = f"the rungs at {', '.join(before)} judge networks that are not yet fully regularised"
    return [f"note: gamma may ramp until epoch {last}, so {judged}"]


def _print_summary(console: Console, tables: Tables, space: Space, out: Path) -> None:
    summary = summarise(tables, searched=list(space.dimensions))
    if summary.best:
        console.print("best configs", style="bold")
    for row in summary.best:
        best = f"best epoch {row.best_epoch}: {row.best_score:.4f}"
        ended = f"{row.trial_id}, {row.status} at epoch {row.epochs} ({best})"
        console.print(f"{row.rank:>2}. validation accuracy {row.score:.4f}  {ended}", markup=False, soft_wrap=True)
        config = {name: value for name, value in row.config.items() if value is not None}
        console.print(Padding(Text(describe_values(config), style="dim"), (0, 0, 0, 4)))
    if summary.best and summary.best[0].status != "completed":
        console.print("(no trial has reached its full budget; these are ranked by how far they came)")
    elif summary.best:
        console.print(f"best validation accuracy: {summary.best[0].score:.4f}", highlight=False)
    ended = ", ".join(f"{count} {status}" for status, count in summary.counts.items() if count)
    saved = f"early stopping saved {summary.share_saved:.0%} of {summary.epochs_without_stopping:,}"
    lines = [
        f"{summary.trials} trials: {ended or 'none started'}",
        f"epochs trained: {summary.epochs_spent:,}; {saved}",
        *(f"damaged: {line}" for line in tables.damaged),
        f"files in {out}: trials.parquet, epochs.parquet (a row an epoch), best.parquet (ranked), run.json",
    ]
    if summary.best:
        lines.append(f"train the best config again: python -m tune_lpc.train {shlex.quote(str(out))} --rank 1")
    _print_lines(console, lines)


if __name__ == "__main__":
    sys.exit(main())
