"""A page of what a search found: ``python -m tune_lpc.report DIR``."""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tune_lpc.cli.options import Parser, exit_status
from tune_lpc.cli.paths import folders_given, path_given
from tune_lpc.pages.folder import IMPORTANCE_FILE
from tune_lpc.pages.writing import FIGURES_FOLDER, write_overview, write_report
from tune_lpc.plan import UserError
from tune_lpc.results.comparison_files import common_parent
from tune_lpc.results.export import TRIALS_FILE
from tune_lpc.results.folder import run_folders
from tune_lpc.results.refreshing import refresh


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 2 (bad input) or 130 (interrupted)."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _command(options))


def report_lines(directory: Path) -> list[str]:
    """Write the page of a search that has just ended, whose tables are new; what is to be said of it.

    A page that can't be written is told, and does no harm to the search.
    """
    from tune_lpc.search.importance import write_importance

    try:
        write_importance(directory)
        report, *_ = write_report(directory, with_figures=False)
    except (UserError, OSError) as error:
        told = error.problems[0] if isinstance(error, UserError) else error.strerror or error
        return [f"no page could be written ({told}); later: python -m tune_lpc.report {shlex.quote(str(directory))}"]
    return [f"page: {report} (opens in any browser, offline)"]


def _parser() -> Parser:
    parser = Parser(
        prog="python -m tune_lpc.report",
        description="Write a page of what a search found, also while it runs: report.html, which opens offline.",
    )
    parser.add_argument(
        "directories", metavar="DIR", type=path_given, nargs="+", help="folder of a search, or of several methods"
    )
    parser.add_argument("--no-figures", action="store_true", help="leave out the figures as SVG, PNG and PDF")
    return parser


def _command(options: argparse.Namespace) -> int:
    problems: list[str] = []
    made: list[Path] = []
    for directory in run_folders(folders_given(options.directories)):
        try:
            report, *figures = write_report(
                directory, with_figures=not options.no_figures, problems=_refreshed(directory)
            )
        except UserError as error:
            problems += error.problems
            continue
        except OSError as error:
            problems.append(f"the page of {directory} can't be written ({error.strerror or error}); free space")
            continue
        made.append(directory)
        print(f"page: {report}")
        if figures:
            print(f"figures for papers: {directory / FIGURES_FOLDER} ({len(figures)} files)")
    if len(made) > 1:
        problems += _overview(made)
    if problems:
        raise UserError(problems)
    return 0


def _overview(directories: Sequence[Path]) -> list[str]:
    """Write the page of several runs; why it could not be."""
    try:
        print(f"page of all: {write_overview(directories, common_parent(directories))}")
    except UserError as error:
        return error.problems
    except OSError as error:
        return [f"the page of all can't be written ({error.strerror or error}); free space, or check the folder"]
    return []


def _refreshed(directory: Path) -> list[str]:
    """Bring the tables up to the journal, and importance.parquet up to them; what is wrong with the files."""
    found = refresh(directory)
    tables, importance = directory / TRIALS_FILE, directory / IMPORTANCE_FILE
    is_old = tables.is_file() and not (importance.is_file() and importance.stat().st_mtime >= tables.stat().st_mtime)
    if is_old and importlib.util.find_spec("optuna") is not None:
        from tune_lpc.search.importance import write_importance

        try:
            write_importance(directory)
        except UserError as error:
            found += error.problems
    return found


if __name__ == "__main__":
    sys.exit(main())
