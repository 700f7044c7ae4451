"""Compare confirmed searches as a paper does: ``python -m tune_lpc.compare DIR DIR``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from tune_lpc.cli.options import Parser, exit_status
from tune_lpc.cli.terminal import Terminal, print_lines
from tune_lpc.plan import UserError
from tune_lpc.results.comparison import Comparison, compare
from tune_lpc.results.export import write_files
from tune_lpc.results.folder import run_folders
from tune_lpc.results.rendering import (
    latex,
    markdown,
    numbers_of_searches,
    numbers_of_tests,
    table_of_searches,
    table_of_tests,
    table_of_ties,
)

FILES = ("comparison.md", "comparison.tex", "comparison.parquet", "comparison_tests.parquet")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 2 (bad input) or 130 (interrupted)."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _command(options))


def _parser() -> Parser:
    parser = Parser(prog="python -m tune_lpc.compare", description="Compare searches that were confirmed.")
    parser.add_argument("directories", metavar="DIR", nargs="+", help="folder of a search, or of several methods")
    parser.add_argument("--against", metavar="NAME", help="test each method against this one (default: each pair)")
    parser.add_argument("--out", metavar="DIR", help="folder for the tables (default: that which holds the searches)")
    return parser


def _command(options: argparse.Namespace) -> int:
    directories = run_folders([Path(text) for text in options.directories])
    if len(directories) < 2:
        raise UserError(f"a comparison needs two searches or more, but got {directories[0]} alone; name another")
    out = Path(options.out) if options.out else _common(directories)
    comparison = compare(directories, options.against)
    _write(out, comparison)
    console = Terminal()
    for title, table in (
        ("test accuracy of what each search named", table_of_searches(comparison)),
        ("configs tied with the named one", table_of_ties(comparison)),
        ("paired tests", table_of_tests(comparison)),
    ):
        if not table.empty:
            console.print(_shown(title, table))
    print_lines(console, [f"note: {note}" for note in comparison.notes])
    print_lines(console, [f"files in {out}: {', '.join(FILES)}"])
    return 0


def _common(directories: list[Path]) -> Path:
    """The folder that holds all searches, where it is as near as it is for several methods; else the current one."""
    parents = {Path(os.path.realpath(directory)).parent for directory in directories}
    return next(iter(directories)).parent if len(parents) == 1 else Path()


def _write(out: Path, comparison: Comparison) -> None:
    tables = {
        "comparison.parquet": numbers_of_searches(comparison),
        "comparison_tests.parquet": numbers_of_tests(comparison),
    }
    texts = {"comparison.md": markdown(comparison), "comparison.tex": latex(comparison)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_files({out / name: text for name, text in texts.items()}, {out / name: t for name, t in tables.items()})
    except OSError as error:
        raise UserError(
            f"{out} can't be written ({error.strerror or error}); choose another folder with --out"
        ) from error


def _shown(title: str, table: pd.DataFrame) -> Table:
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in table:
        shown.add_column(str(name), overflow="fold")
    for row in table.itertuples(index=False):
        shown.add_row(*(Text(str(cell)) for cell in row))
    return shown


if __name__ == "__main__":
    sys.exit(main())
