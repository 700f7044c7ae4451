"""Whether the files of a search are whole: ``python -m tune_lpc.check DIR``."""

from __future__ import annotations

import argparse
import sys

from tune_lpc.cli.options import Parser, exit_status
from tune_lpc.cli.paths import folders_given, path_given
from tune_lpc.plan import UserError
from tune_lpc.results.checking import problems_of
from tune_lpc.results.folder import run_folders


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 when all is whole, 2 when not, or 130 (interrupted)."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _command(options))


def _parser() -> Parser:
    parser = Parser(prog="python -m tune_lpc.check", description="Check that the files of a search are whole.")
    parser.add_argument(
        "directories", metavar="DIR", type=path_given, nargs="+", help="folder of a search, or of several methods"
    )
    return parser


def _command(options: argparse.Namespace) -> int:
    problems: list[str] = []
    for directory in run_folders(folders_given(options.directories)):
        try:
            found = problems_of(directory)
        except UserError as error:
            problems += error.problems
            continue
        problems += [f"{directory}: {problem}" for problem in found]
        if not found:
            print(f"{directory}: all files are whole")
    if problems:
        raise UserError(problems)
    return 0


if __name__ == "__main__":
    sys.exit(main())
