"""Writing the page of a run, and its figures for papers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import vl_convert

from tune_lpc.pages.figure import Chart
from tune_lpc.pages.folder import read_run
from tune_lpc.pages.page import charts_in, figures_of, page, page_of_comparison
from tune_lpc.results.comparison import Comparison
from tune_lpc.results.export import write_files

REPORT_FILE = "report.html"
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
    "legend": {"orient": "top", "labelFontSize": 12, "titleFontSize": 13},
}


def write_report(directory: Path, *, with_figures: bool = True) -> list[Path]:
    """Write report.html in the folder of a run, and each figure as SVG, PNG and PDF into `figures`; what was written.

    A run that is still going has a page, too, and so has one of which files are missing or damaged: of what is whole.
    Raises UserError where there is nothing of a run, OSError when a file can't be written.
    """
    run = read_run(directory)
    sections = figures_of(run)
    report = directory / REPORT_FILE
    write_files({report: page(run, sections)}, {})
    written = [report]
    if with_figures:
        written += _write_figures(directory / FIGURES_FOLDER, charts_in(sections))
    return written


def write_comparison_page(comparison: Comparison, out: Path) -> Path:
    """Write the page of a comparison into a folder; its path. Raises UserError and OSError as `write_report`."""
    runs = {search.label: read_run(search.directory) for search in comparison.searches}
    links = {}
    for label, run in runs.items():
        report = run.directory / REPORT_FILE
        if report.is_file():
            links[label] = quote(os.path.relpath(report, out))
    path = out / COMPARISON_FILE
    write_files({path: page_of_comparison(comparison, runs, links)}, {})
    return path


def _write_figures(folder: Path, charts: Sequence[Chart]) -> list[Path]:
    """Each chart in each format; those of an earlier page that are no more are removed."""
    folder.mkdir(exist_ok=True)
    made = {}
    for chart in charts:
        spec = {**chart.chart.to_dict(), "width": WIDTH, "config": _STYLE}
        made[folder / f"{chart.name}.svg"] = str(vl_convert.vegalite_to_svg(spec)).encode()
        made[folder / f"{chart.name}.png"] = vl_convert.vegalite_to_png(spec, scale=SCALE)
        made[folder / f"{chart.name}.pdf"] = vl_convert.vegalite_to_pdf(spec)
    write_files(made, {})
    for path in folder.iterdir():
        if path.suffix.removeprefix(".") in FORMATS and path not in made:
            path.unlink(missing_ok=True)
    return list(made)
