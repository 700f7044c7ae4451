"""Compare the named configs of confirmed searches on test data: ``python -m tune_lpc.compare DIR [DIR ...]``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tune_lpc import __version__
from tune_lpc.cli.options import Parser, exit_status
from tune_lpc.cli.paths import folders_given, path_given
from tune_lpc.cli.terminal import print_lines, terminal
from tune_lpc.pages.writing import COMPARISON_FILE, comparison_page
from tune_lpc.plan.errors import UserError
from tune_lpc.results.comparison import ALL_PAIRS, PLAIN, Comparison, compare
from tune_lpc.results.comparison_files import FILES, common_parent, write_comparison
from tune_lpc.results.comparison_text import TextTable, tables, verdicts
from tune_lpc.results.networks import ACCURACY

NO_FIGURE = 1
GAP = 1
"""Blanks between two columns."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 (no network has a test accuracy) or 2 (bad input)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _command(options, shlex.join(["python", "-m", "tune_lpc.compare", *arguments])))


def _parser() -> Parser:
    parser = Parser(
        prog="python -m tune_lpc.compare",
        description="Compare the configs that confirmed searches name, on test data: table, paired tests, optimism.",
    )
    parser.add_argument(
        "directories",
        metavar="DIR",
        type=path_given,
        nargs="+",
        help="folder of a confirmed search, or of the folders of several",
    )
    parser.add_argument(
        "--against",
        metavar="METHOD",
        help=f"the method that the others are tested against, or {ALL_PAIRS}: each against each (default: {PLAIN} "
        "where it is there, else the first)",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=path_given, help="where to write the files (default: what holds all the folders)"
    )
    return parser


def _command(options: argparse.Namespace, command: str) -> int:
    named = [*options.directories, *([] if options.out is None else [options.out])]
    if not all(name.strip() for name in named):
        raise UserError("a folder is empty, but must have a name")
    directories = folders_given(options.directories)
    comparison = compare(directories, options.against)
    out = common_parent(directories) if options.out is None else Path(options.out)
    pages = {COMPARISON_FILE: comparison_page(comparison, out)}
    write_comparison(comparison, out, {"command": command, "versions": {"tune_lpc": __version__}}, pages)
    _print(terminal(highlight=False), comparison)
    print(f"files in {out}: {', '.join([*FILES, *pages])}")
    accuracies = [comparison.figure(search.label, ACCURACY) for search in comparison.searches]
    return 0 if any(figure.estimate.count for figure in accuracies) else NO_FIGURE


def _print(console: Console, comparison: Comparison) -> None:
    for table in tables(comparison):
        console.print(table.title, style="bold", markup=False)
        for block in _blocks(table, console.width):
            console.print(_shown(block))
        console.print(table.legend, style="dim", markup=False)
        console.print()
    print_lines(console, [*verdicts(comparison), *comparison.notes])


def _shown(table: TextTable) -> Table:
    shown = Table(*map(escape, table.header), box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for row in table.rows:
        shown.add_row(*(Text("\n".join(filter(None, (cell.text, cell.interval)))) for cell in row))
    return shown


def _blocks(table: TextTable, width: int) -> Iterator[TextTable]:
    """The table in parts that fit into so many columns, each with those that tell what a row is of."""
    widths = [max(map(len, column)) for column in _columns(table)]
    keys = range(table.keys)
    places: list[int] = []
    for place in range(table.keys, len(table.header)):
        if places and sum(widths[each] + GAP for each in (*keys, *places, place)) - GAP > width:
            yield _part(table, [*keys, *places])
            places = []
        places.append(place)
    yield _part(table, [*keys, *places])


def _columns(table: TextTable) -> Iterator[Sequence[str]]:
    for place, name in enumerate(table.header):
        yield [name, *(text for row in table.rows for text in (row[place].text, row[place].interval))]


def _part(table: TextTable, places: Sequence[int]) -> TextTable:
    rows = [[row[place] for place in places] for row in table.rows]
    return replace(table, header=[table.header[place] for place in places], rows=rows)


if __name__ == "__main__":
    sys.exit(main())
