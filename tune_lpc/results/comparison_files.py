"""The files of a comparison: comparison.md, comparison.tex, and its tables as Parquet, all of them or none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tune_lpc.plan.errors import UserError
from tune_lpc.results.compared import Compared
from tune_lpc.results.comparison import Comparison, Figure, PairTest
from tune_lpc.results.comparison_markup import latex, markdown
from tune_lpc.results.export import write_files
from tune_lpc.results.networks import ACCURACY
from tune_lpc.results.schema import comparison_schema, comparison_tests_schema

MARKDOWN_FILE = "comparison.md"
LATEX_FILE = "comparison.tex"
FIGURES_FILE = "comparison.parquet"
TESTS_FILE = "comparison_tests.parquet"
FILES = (MARKDOWN_FILE, LATEX_FILE, FIGURES_FILE, TESTS_FILE)


def common_parent(directories: Sequence[Path]) -> Path:
    """Where the files go when nobody says: the folder that holds all the searches; of a single one its own.

    Raises UserError where that is the root of all folders.
    """
    common = Path(os.path.commonpath([os.path.realpath(directory) for directory in directories]))
    if common == Path(common.anchor):
        raise UserError(f"the searches have no folder in common but {common}; say where to write with --out")
    return common


def write_comparison(
    comparison: Comparison, out: Path, by: Mapping[str, Any], pages: Mapping[str, str] | None = None
) -> None:
    """Write the four files into `out`, which is made where it is not there.

    by: what made them, such as command and versions, for the metadata of the Parquet files. pages: further texts, by
    the name of the file, that are written with them.
    Raises UserError when they can't be written; then those of before stay.
    """
    made = {**by, "compared": [_facts(search) for search in comparison.searches]}
    texts = {MARKDOWN_FILE: markdown(comparison), LATEX_FILE: latex(comparison), **(pages or {})}
    written = {
        out / FIGURES_FILE: figures_table(comparison, made),
        out / TESTS_FILE: pair_tests_table(comparison, made),
    }
    is_new = False
    try:
        is_new = not out.exists()
        out.mkdir(parents=True, exist_ok=True)
        write_files({out / name: text for name, text in texts.items()}, written)
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        if is_new:
            with contextlib.suppress(OSError, ValueError):
                out.rmdir()
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{str(out)!r} can't be written ({reason}); choose another folder with --out") from error


def figures_table(comparison: Comparison, made: Mapping[str, Any] | None = None) -> pa.Table:
    """A row a config and measure, those of named configs first."""
    rows = [_figure_row(comparison, figure) for figure in comparison.figures]
    return pa.Table.from_pylist(rows, schema=comparison_schema(made))


def pair_tests_table(comparison: Comparison, made: Mapping[str, Any] | None = None) -> pa.Table:
    """A row a measure and pair of named configs."""
    return pa.Table.from_pylist(list(map(_test_row, comparison.tests)), schema=comparison_tests_schema(made))


def _figure_row(comparison: Comparison, figure: Figure) -> dict[str, Any]:
    search = next(search for search in comparison.searches if search.label == figure.label)
    found, budget = figure.estimate, search.budget
    row = {
        "label": figure.label,
        "method": search.method,
        "space": search.networks[0].space,
        "directory": str(search.directory),
        "rank": figure.rank,
        "measure": figure.measure,
        "networks": figure.networks,
        "values": found.count,
        "mean": found.mean,
        "deviation": found.deviation,
        "median": found.median,
        "geometric": found.logarithmic,
        "middle": found.middle,
        "spread": found.spread,
        "low": found.low,
        "high": found.high,
        "reason": found.reason,
        "trials": budget.trials,
        "further_seeds": budget.further_seeds,
        "epochs_trained": budget.epochs,
        "hours": budget.hours,
    }
    if figure.measure == ACCURACY:
        each = next(each for each in comparison.optimism if (each.label, each.rank) == (figure.label, figure.rank))
        row |= {"announced": each.announced, "announced_low": each.low, "announced_high": each.high}
        row |= {"optimism": each.excess.mean, "optimism_low": each.excess.low, "optimism_high": each.excess.high}
    return row


def _test_row(test: PairTest) -> dict[str, Any]:
    found = test.result
    return {
        "measure": test.measure,
        "label": test.label,
        "against": test.against,
        "pairs": found.pairs,
        "geometric": found.logarithmic,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "t": found.t,
        "p": found.p,
        "tests": test.tests,
        "p_holm": test.p_holm,
        "differs": None if test.p_holm is None else test.differs,
        "cohen_d": found.cohen_d,
        "hedges_g": found.hedges_g,
        "unequal_budget": test.unequal,
        "reason": found.reason,
    }


def _facts(search: Compared) -> dict[str, Any]:
    """By what a search is known again."""
    names = ("command", "space_hash", "split_hash", "data.fingerprint", "versions.tune_lpc")
    return {"label": search.label, "directory": str(search.directory), **{name: search.fact(name) for name in names}}
