"""What a figure is: a question, its answer in computed words, and charts; and what all charts share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

# After Okabe and Ito, for those who see colours otherwise; each stands out by 3 to 1 from a white and a dark ground.
BLUE, GREY, ORANGE, GREEN = "#2b8cd0", "#87909a", "#d9661f", "#0f9a74"
FATES = {"completed": BLUE, "stopped": GREY, "diverged": ORANGE, "failed": "#bf6a9b", "interrupted": "#b98712"}
MOST_POINTS = 1200
"""Points of a scatter; of more the best and a sample are shown."""
HEIGHT = 260
SMALL_HEIGHT = 170


@dataclass(frozen=True)
class Chart:
    """A chart of a figure. title: empty where the figure has a single one. name: of its files."""

    name: str
    chart: alt.Chart | alt.LayerChart
    title: str = ""
    description: str = ""


@dataclass(frozen=True)
class Figure:
    """A question, its answer, and what shows it; without charts where there is nothing to draw."""

    name: str
    question: str
    answer: str
    charts: Sequence[Chart] = ()


def data(rows: Iterable[Mapping[str, Any]]) -> alt.InlineData:
    """Rows as the data of a chart: plain numbers and texts, None for what is not finite."""
    return alt.InlineData(values=[{name: _plain(value) for name, value in row.items()} for row in rows])


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA:
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        # Six digits are more than an eye can see, and half the size of the page.
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return str(value)


def thinned(table: pd.DataFrame, score: str, most: int = MOST_POINTS) -> pd.DataFrame:
    """The rows, of too many the best quarter of `most` and a sample of the others, always the same."""
    if len(table) <= most:
        return table
    best = table.sort_values(score, ascending=False).head(most // 4)
    others = table.drop(best.index).sample(most - len(best), random_state=0)
    return pd.concat([best, others]).sort_index()


def shown_of(shown: int, there: int) -> str:
    """A sentence where not all are shown."""
    return f" {shown:,} of {there:,} are drawn: the best, and a sample of the others." if shown < there else ""


def robust_domain(values: Sequence[float], *, share: float = 0.02) -> tuple[tuple[float, float] | None, int]:
    """A range that holds all values but far outliers, and how many lie outside; None without values.

    What lies further from the quartiles than three times their distance is an outlier, so one diverged score does not
    flatten all others.
    """
    known = np.asarray([value for value in values if math.isfinite(value)], dtype=float)
    if not len(known):
        return None, 0
    low, high = np.quantile(known, [0.25, 0.75])
    reach = 3 * max(high - low, 1e-12)
    inside = known[(known >= low - reach) & (known <= high + reach)]
    bottom, top = float(inside.min()), float(inside.max())
    margin = share * (top - bottom) or 0.01 * max(abs(top), 1e-3)
    return (bottom - margin, top + margin), int(len(known) - len(inside))


def score_axis(values: Sequence[float], field: str, title: str = "validation accuracy") -> tuple[alt.Y, int]:
    """A vertical axis for scores, and how many of them lie outside of it."""
    domain, outside = robust_domain(values)
    scale = alt.Scale(domain=list(domain), clamp=True, zero=False) if domain else alt.Scale(zero=False)
    return alt.Y(f"{field}:Q", title=title, scale=scale), outside


def lasted(hours: float) -> str:
    """A time in words, in the unit that fits."""
    seconds = hours * 3600
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{hours:.1f} h"


def outside_told(outside: int) -> str:
    """A sentence where values lie outside of an axis."""
    return f" {outside:,} far outside {'lie' if outside > 1 else 'lies'} at the edge of the axis." if outside else ""


def fate_colour(rows: Iterable[Mapping[str, Any]], *, legend: bool = True) -> alt.Color:
    """The colours of the fates of trials, those that there are among the rows in the legend."""
    there = {str(row["status"]) for row in rows}
    domain = [fate for fate in FATES if fate in there]
    scale = alt.Scale(domain=domain, range=[FATES[fate] for fate in domain])
    return alt.Color("status:N", title=None, scale=scale, legend=alt.Legend() if legend else None)
