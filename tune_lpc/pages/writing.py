"""Writing the page of a run or of several, and the figures for papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vl_convert

from tune_lpc.pages.figure import Chart
from tune_lpc.pages.folder import read_run
from tune_lpc.pages.overview import names_of, overview_page, overview_sections
from tune_lpc.pages.page import charts_in, figures_of, page
from tune_lpc.results.comparison import Comparison
from tune_lpc.results.export import write_files

REPORT_FILE = "report.html"
OVERVIEW_FILE = "runs.html"
COMPARISON_FILE = "comparison.html"
FIGURES_FOLDER = "figures"
FORMATS = ("svg", "png", "pdf")
WIDTH = 620
"""Of a figure for a paper, in pixels."""
SCALE = 2.0
"""Pixels of a PNG for each of these."""
_STYLE: dict[str, Any] = {
    "background": "white",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e3e6ea", "labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": 500},
    "axisBand": {"grid": False},
    "legend": {"orient": "top", "labelFontSize": 12, "titleFontSize": 13},
}


def write_report(directory: Path, *, with_figures: bool = True, problems: Sequence[str] = ()) -> list[Path]:
    """Write report.html in the folder of a run, and each figure as SVG, PNG and PDF into `figures`; what was written.

    A run that is still going has a page, too, and so has one of which files are missing or damaged: of what is whole.
    problems: lines about its files that are known already.
    Raises UserError where there is nothing of a run, OSError when a file can't be written.
    """
    run = read_run(directory, problems)
    sections = figures_of(run)
    report = directory / REPORT_FILE
    write_files({report: page(run, sections)}, {})
    written = [report]
    if with_figures:
        written += _write_figures(directory / FIGURES_FOLDER, charts_in(sections))
    return written


def write_overview(directories: Sequence[Path], out: Path) -> Path:
    """Write runs.html into `out`, a page of several runs; its path.

    It leads to the page of each run. Raises UserError where a folder has nothing of a run, OSError as above.
    """
    runs = names_of([read_run(directory) for directory in directories])
    written = out / OVERVIEW_FILE
    write_files({written: overview_page(runs, overview_sections(runs), out, REPORT_FILE)}, {})
    return written


def comparison_page(comparison: Comparison, out: Path) -> str:
    """The page of the searches that are compared, to be written as comparison.html into `out`.

    It leads to the page of each. Raises UserError where a folder has nothing of a run.
    """
    runs = {search.label: read_run(search.directory) for search in comparison.searches}
    return overview_page(runs, overview_sections(runs, comparison), out, REPORT_FILE, comparison)


def _write_figures(folder: Path, charts: Sequence[Chart]) -> list[Path]:
    """Each chart in each format; those of an earlier page that are no more are removed."""
    folder.mkdir(exist_ok=True)
    made: dict[Path, str | bytes] = {}
    for chart in charts:
        spec = {**chart.chart.to_dict(), "width": WIDTH, "config": _STYLE}
        drawn = vl_convert.vegalite_to_svg(spec)
        made[folder / f"{chart.name}.svg"] = drawn
        made[folder / f"{chart.name}.png"] = vl_convert.svg_to_png(drawn, scale=SCALE)
        made[folder / f"{chart.name}.pdf"] = vl_convert.svg_to_pdf(drawn)
    write_files(made, {})
    for path in folder.iterdir():
        if path.suffix.removeprefix(".") in FORMATS and path not in made:
            path.unlink(missing_ok=True)
    return list(made)
