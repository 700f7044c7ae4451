"""One page of several runs: what each found and cost, beside each other, and what a comparison says of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tune_lpc.pages import comparison_figures, overview_figures, parts
from tune_lpc.pages.folder import Run
from tune_lpc.pages.overview_figures import Runs
from tune_lpc.pages.page import Section, rendered
from tune_lpc.pages.verdicts import Level, verdicts
from tune_lpc.pages.words import count, duration, interval, percent
from tune_lpc.results.comparison import Comparison
from tune_lpc.results.comparison_text import TextTable, tables
from tune_lpc.results.comparison_text import verdicts as sentences_of


@dataclass(frozen=True)
class Row:
    """A run in the table of runs. link: to its own page, '' where it has none. levels: how many verdicts of each.

    cells: what stands in each, and below it, '' for nothing.
    """

    name: str
    link: str
    state: str
    cells: Sequence[tuple[str, str]]
    levels: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Compared:
    """What a comparison says: sentences of its tests, its tables, and notes."""

    sentences: Sequence[str] = ()
    tables: Sequence[TextTable] = ()
    notes: Sequence[str] = field(default_factory=list)


HEADER = ("configs", "epochs", "time", "best score", "on test images")


def overview_sections(runs: Runs, comparison: Comparison | None = None) -> list[Section]:
    """The figures of the page."""
    first = overview_figures.bests(runs) if comparison is None else comparison_figures.accuracy(comparison)
    figures = [first, overview_figures.race(runs), overview_figures.spending(runs)]
    return [("Beside each other", [figure for figure in figures if figure is not None])]


def overview_page(
    runs: Runs, sections: Sequence[Section], folder: Path, report: str, comparison: Comparison | None = None
) -> str:
    """The HTML of the page of several runs. folder: where it will lie. report: name of the page of each run."""
    compared = Compared()
    if comparison is not None:
        compared = Compared(sentences_of(comparison), tables(comparison), comparison.notes)
    trials = sum(len(run.trials) for run in runs.values())
    epochs = sum(int(run.trials["epochs_trained"].fillna(0).sum()) for run in runs.values())
    hours = sum(run.times.hours for run in runs.values())
    facts = [("searches", f"{len(runs):,}"), ("trainings", f"{trials:,}"), ("epochs", f"{epochs:,}")]
    return rendered(
        "overview.html.j2",
        sections,
        title=f"{count(len(runs), 'search', 'searches')} · tune_lpc",
        name=count(len(runs), "search", "searches"),
        facts=[*facts, *([("time", duration(hours))] if hours else [])],
        header=HEADER,
        rows=[_row(name, run, folder, report) for name, run in runs.items()],
        compared=compared,
    )


def names_of(runs: Sequence[Run]) -> Runs:
    """The runs by the shortest kind of name that tells them apart: method, space and method, or folder."""
    kinds: list[Callable[[Run], str]] = [
        lambda run: str(run.about.get("method") or run.name),
        lambda run: run.name,
        lambda run: run.directory.name,
    ]
    spaces = {str(run.space.get("name")) for run in runs}
    for name_of in kinds[len(spaces) > 1 :]:
        found = {name_of(run): run for run in runs}
        if len(found) == len(runs):
            return found
    return {str(run.directory): run for run in runs}


def _row(name: str, run: Run, folder: Path, report: str) -> Row:
    best = None if run.best.empty or run.objectives else run.best.iloc[0]
    tested = run.confirmed[run.confirmed["rank"] == 1]["test_accuracy"].dropna().astype(float)
    spread = f" ± {100 * float(tested.std()):.2f}" if len(tested) > 1 else ""
    cells = (
        (f"{len(run.firsts):,}", ""),
        (f"{int(run.trials['epochs_trained'].fillna(0).sum()):,}", ""),
        (duration(run.times.hours) if run.times.hours else "not known", ""),
        ("several objectives" if run.objectives else "none", "")
        if best is None
        else (percent(float(best["score"])), interval(best["low"], best["high"])),
        (f"{100 * float(tested.mean()):.2f}{spread} %", count(len(tested), "network"))
        if len(tested)
        else ("not confirmed", ""),
    )
    levels = Counter(verdict.level for verdict in verdicts(run))
    path = run.directory / report
    link = quote(os.path.relpath(path, folder)) if path.is_file() else ""
    state = parts.state(run).partition(":")[0]
    return Row(
        name,
        link,
        state,
        cells,
        [(str(level), levels[level]) for level in Level if levels[level]],
    )
