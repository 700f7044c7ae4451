"""One page of a run that needs nothing else: text, figures, script and styles in a single HTML file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import vl_convert

from tune_lpc.pages import comparison_figures, config_figures, search_figures
from tune_lpc.pages.figure import Chart, Figure, lasted
from tune_lpc.pages.folder import SCORE_COLUMN, Run, as_json
from tune_lpc.pages.verdicts import verdicts
from tune_lpc.plan.dimensions import describe_values
from tune_lpc.results.comparison import Comparison
from tune_lpc.results.comparison_text import tables
from tune_lpc.results.comparison_text import verdicts as comparison_verdicts

TEMPLATES = Path(__file__).parent / "templates"
SHOWN_CONFIGS = 5
FIGURES: Sequence[tuple[str, Sequence[Callable[[Run], Figure | None]]]] = (
    (
        "The search",
        (search_figures.best_so_far, search_figures.pareto_front, search_figures.learning_curves),
    ),
    ("The best config", (config_figures.best_over_time,)),
    ("The parameters", (config_figures.importance, config_figures.phase_map, config_figures.parameters)),
    (
        "What it cost",
        (search_figures.costs, search_figures.rung_ladder, search_figures.timeline, search_figures.failures),
    ),
)


def figures_of(run: Run) -> list[tuple[str, list[Figure]]]:
    """The figures of a page by section; none of a run without trials."""
    if run.trials.empty:
        return []
    sections = [(title, [figure for make in makers if (figure := make(run)) is not None]) for title, makers in FIGURES]
    return [(title, figures) for title, figures in sections if figures]


def page_of_comparison(comparison: Comparison, runs: Mapping[str, Run], links: Mapping[str, str]) -> str:
    """The HTML of several searches beside one another. runs: by label. links: to the page of each, where it has one."""
    figures = [comparison_figures.accuracy(comparison), comparison_figures.progress(runs)]
    sections = [("In pictures", figures)]
    return _template("comparison.html.j2").render(
        title="Comparison · tune_lpc",
        names=[(search.label, links.get(search.label)) for search in comparison.searches],
        verdicts=comparison_verdicts(comparison),
        tables=tables(comparison),
        notes=comparison.notes,
        sections=sections,
        specs=as_json({chart.name: chart.chart.to_dict() for chart in charts_in(sections)}),
        table=as_json({"columns": []}),
        script=_vega(),
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        own_script=(TEMPLATES / "page.js").read_text(encoding="utf-8"),
    )


def page(run: Run, sections: Sequence[tuple[str, Sequence[Figure]]]) -> str:
    """The HTML of a run's page."""
    return _template("report.html.j2").render(
        title=f"{run.name} · tune_lpc",
        name=run.name,
        facts=_facts(run),
        verdicts=verdicts(run),
        best=_best(run),
        sections=sections,
        specs=as_json({chart.name: chart.chart.to_dict() for chart in charts_in(sections)}),
        table=as_json(_table(run)),
        trials=len(run.trials),
        provenance=_provenance(run),
        script=_vega(),
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        own_script=(TEMPLATES / "page.js").read_text(encoding="utf-8"),
    )


def charts_in(sections: Iterable[tuple[str, Sequence[Figure]]]) -> list[Chart]:
    """All charts, in order."""
    return [chart for _, figures in sections for figure in figures for chart in figure.charts]


@cache
def _vega() -> str:
    """The library that draws, about 0.9 MB; nothing in it may end the script that holds it."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)


# What the page says in figures


def _facts(run: Run) -> list[tuple[str, str]]:
    """The figures in the head of the page."""
    trials = run.trials
    if trials.empty:
        return [("trials", "0")]
    epochs = int(trials["epochs_trained"].sum())
    facts = [("configs", f"{len(run.firsts):,}"), ("trainings", f"{len(trials):,}"), ("epochs", f"{epochs:,}")]
    if "config.epochs" in trials:
        full = int(trials["config.epochs"].fillna(0).sum())
        if full > epochs:
            facts.append(("epochs saved", f"{1 - epochs / full:.0%}"))
    if run.moments:
        facts.append(("by the clock", lasted(max(moment.hours for moment in run.moments))))
    if "seconds" in trials:
        facts.append(("of training", lasted(float(trials["seconds"].fillna(0).sum()) / 3600)))
    return facts


def _best(run: Run) -> list[dict[str, str]]:
    """The first of the ranking in words."""
    rows = []
    for _, row in run.best.head(SHOWN_CONFIGS).iterrows():
        between = ""
        if pd.notna(row["low"]) and pd.notna(row["high"]):
            between = f"{100 * float(row['low']):.2f} to {100 * float(row['high']):.2f}"
        values = {name: row.get(f"config.{name}") for name in run.searched}
        rows.append(
            {
                "rank": str(int(row["rank"])),
                "score": f"{100 * float(row['score']):.2f}",
                "between": between,
                "seeds": str(int(row["seeds"])),
                "tied": "" if pd.isna(row["tied"]) or not row["tied"] else "yes",
                "trial": str(int(row["number"])),
                "status": str(row["status"]),
                "values": describe_values({n: _value(v) for n, v in values.items() if v is not None and pd.notna(v)}),
            }
        )
    return rows


def _value(value: Any) -> Any:
    """A value of a table as plain Python."""
    return value.item() if hasattr(value, "item") else value


def _table(run: Run) -> dict[str, Any]:
    """The trials for the table that sorts and filters: columns by name, compact."""
    trials = run.trials
    names = ["number", "status", SCORE_COLUMN, "epochs", "repeat_of", *(f"config.{name}" for name in run.searched)]
    names = [name for name in names if name in trials]
    titles = {"number": "trial", SCORE_COLUMN: "last score", "repeat_of": "seed of"}
    columns = []
    for name in names:
        values = [None if pd.isna(value) else _short(_value(value)) for value in trials[name]]
        columns.append({"name": titles.get(name, name.removeprefix("config.")), "values": values})
    return {"columns": columns}


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _provenance(run: Run) -> list[tuple[str, str]]:
    """Command, versions and hashes."""
    about = run.about
    if not about:
        return []
    data, git = about.get("data") or {}, about.get("git") or {}
    versions = about.get("versions") or {}
    hardware = about.get("hardware") or {}
    rows = [
        ("command", str(about.get("command", ""))),
        ("started", str(about.get("started", ""))),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("git commit", f"{git.get('commit', 'none')}{' (changed)' if git.get('dirty') else ''}"),
        ("hardware", ", ".join(f"{name}: {value}" for name, value in hardware.items())),
        ("space", f"{run.space.get('name', '')}, SHA-256 {about.get('space_hash', '')}"),
        ("data", f"{data.get('source', '')}, SHA-256 {data.get('fingerprint', '')}"),
        ("split", f"SHA-256 {about.get('split_hash', '')}"),
        ("seeds", ", ".join(f"{name} {value}" for name, value in (about.get("seeds") or {}).items())),
        ("precision", str(about.get("precision", ""))),
    ]
    for session in about.get("sessions", ()):
        rows.append(
            (f"session {session.get('session', '')}", f"{session.get('started', '')}: {session.get('command', '')}")
        )
    opened = about.get("test_openings", ())
    if opened:
        rows.append(("test images opened", f"{sum(int(one.get('openings', 0)) for one in opened)} times"))
    return [(name, value) for name, value in rows if value]
