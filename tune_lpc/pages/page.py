"""One page of a run that needs nothing else: text, figures, script and styles in a single HTML file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import vl_convert

from tune_lpc.pages import cost_figures, parameter_figures, parts, progress_figures, ranking_figures
from tune_lpc.pages.figure import Chart, Figure
from tune_lpc.pages.folder import Run
from tune_lpc.pages.verdicts import verdicts

TEMPLATES = Path(__file__).parent / "templates"
Section = tuple[str, Sequence[Figure]]
FIGURES: Sequence[tuple[str, Sequence[Callable[[Run], Figure | None]]]] = (
    (
        "The search",
        (
            ranking_figures.places,
            ranking_figures.pareto_front,
            progress_figures.best_so_far,
            progress_figures.learning_curves,
        ),
    ),
    ("The best config", (progress_figures.best_over_time,)),
    ("The parameters", (parameter_figures.importance, parameter_figures.phase_map, parameter_figures.parameters)),
    ("What it cost", (cost_figures.costs, cost_figures.rung_ladder, cost_figures.timeline, cost_figures.failures)),
)


def figures_of(run: Run) -> list[Section]:
    """The figures of a page by section; none of a run without trials."""
    if run.trials.empty:
        return []
    sections = [(title, [figure for make in makers if (figure := make(run)) is not None]) for title, makers in FIGURES]
    return [(title, figures) for title, figures in sections if figures]


def page(run: Run, sections: Sequence[Section]) -> str:
    """The HTML of a run's page."""
    return rendered(
        "report.html.j2",
        sections,
        title=f"{run.name} · tune_lpc",
        name=run.name,
        state=parts.state(run),
        facts=parts.facts(run),
        verdicts=verdicts(run),
        best=parts.best_configs(run),
        measures=parts.measures(run),
        rows=as_json(parts.all_trials(run)),
        trials=len(run.trials),
        provenance=parts.provenance(run),
    )


def rendered(template: str, sections: Sequence[Section], **values: Any) -> str:
    """The HTML of a template with what every page has: figures, script and styles."""
    return (
        _environment()
        .get_template(template)
        .render(
            sections=sections,
            specs=as_json({chart.name: chart.chart.to_dict() for chart in charts_in(sections)}),
            library=_library() if any(True for _ in charts_in(sections)) else "",
            style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
            script=(TEMPLATES / "page.js").read_text(encoding="utf-8"),
            **values,
        )
    )


def charts_in(sections: Iterable[Section]) -> list[Chart]:
    """All charts, in order."""
    return [chart for _, figures in sections for figure in figures for chart in figure.charts]


def as_json(value: Any) -> str:
    """JSON for a script in a page: compact, and nothing in it ends the script."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


@cache
def _library() -> str:
    """The library that draws, about 0.9 MB; nothing in it may end the script that holds it."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tight"] = lambda text: str(text).replace(" %", "\N{NO-BREAK SPACE}%")
    return environment
