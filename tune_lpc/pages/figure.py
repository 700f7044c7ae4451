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
BLUE, GREY, ORANGE, GREEN, VIOLET, OCHRE = "#2b8cd0", "#87909a", "#d9661f", "#0f9a74", "#bf6a9b", "#b98712"
FATES = {"completed": BLUE, "stopped": GREY, "diverged": ORANGE, "failed": VIOLET, "interrupted": OCHRE}
MOST_POINTS = 1200
"""Points of a scatter; of more the best and a sample are shown."""
HEIGHT = 260
SMALL_HEIGHT = 170
SHARES = (0.0, 1.0)
"""The limits of an accuracy."""
AChart = alt.Chart | alt.LayerChart


@dataclass(frozen=True)
class Chart:
    """A chart of a figure. name: of its files. title: empty where the figure has a single one."""

    name: str
    chart: AChart
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """A question, its answer, and what shows it; without charts where there is nothing to draw.

    key: what the colours mean, told once for several charts; empty where the chart itself tells it. counts: what is
    counted, in words, and how often, drawn as bars beside texts that are too long for a chart.
    """

    name: str
    question: str
    answer: str
    charts: Sequence[Chart] = ()
    key: Sequence[tuple[str, str]] = ()
    counts: Sequence[tuple[str, int]] = ()


def data(rows: Iterable[Mapping[str, Any]]) -> alt.InlineData:
    """Rows as the data of a chart: plain numbers and texts, None for what is not finite."""
    return alt.InlineData(values=[{name: plain(value) for name, value in row.items()} for row in rows])


def plain(value: Any) -> Any:
    """A value of a table as JSON has it: numbers to six digits, None for what is not finite."""
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


def thinned(table: pd.DataFrame, score: str, most: int = MOST_POINTS, keep: int | None = None) -> pd.DataFrame:
    """The rows, of too many the best quarter of `most` and a sample of the others, always the same.

    keep: number of a trial that is shown in any case.
    """
    if len(table) <= most:
        return table
    best = table.sort_values(score, ascending=False).head(most // 4)
    best = best if keep is None else table[table.index.isin(best.index) | (table["number"] == keep)]
    others = table.drop(best.index).sample(most - len(best), random_state=0)
    return pd.concat([best, others]).sort_index()


def shown_of(shown: int, there: int) -> str:
    """A sentence where not all are shown."""
    return f" {shown:,} of {there:,} are drawn: the best, and a sample of the others." if shown < there else ""


def robust_domain(
    values: Iterable[float], *, share: float = 0.04, limits: tuple[float, float] = (-math.inf, math.inf)
) -> tuple[tuple[float, float] | None, int]:
    """A range that holds all values but far outliers, and how many lie outside; None without values.

    What lies further from the quartiles than three times their distance is an outlier, so one diverged score does not
    flatten all others. The range never goes beyond the limits.
    """
    known = np.asarray([float(value) for value in values if pd.notna(value)], dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return None, 0
    low, high = np.quantile(known, [0.25, 0.75])
    reach = 3 * max(high - low, 1e-12)
    inside = known[(known >= low - reach) & (known <= high + reach)]
    bottom, top = float(inside.min()), float(inside.max())
    margin = share * (top - bottom) or 0.01 * max(abs(top), 1e-3)
    domain = max(bottom - margin, limits[0]), min(top + margin, limits[1])
    # A value at the limit of an accuracy would be cut in half by the frame, but no axis should promise 101 %.
    return domain, int(len(known) - len(inside))


def score_axis(values: Iterable[float], field: str, title: str = "validation accuracy") -> tuple[alt.Y, int]:
    """A vertical axis for accuracies, and how many of them lie outside of it; those are drawn at its edge."""
    domain, outside = robust_domain(values, limits=SHARES)
    scale = alt.Scale(domain=list(domain or SHARES), clamp=True, zero=False, nice=False)
    return alt.Y(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(tickCount=6)), outside


def outside_told(outside: int, what: str = "") -> str:
    """A sentence where values lie outside of an axis."""
    told = f" {what}" if what else ""
    return (
        f" {outside:,}{told} far outside {'lie' if outside > 1 else 'lies'} at the edge of the axis." if outside else ""
    )


def whole_axis(title: str, *, limits: tuple[float, float] | None = None, zero: bool = False) -> Mapping[str, Any]:
    """Title, scale and marks of an axis of whole numbers: none between them, and no more than fit a phone."""
    scale = alt.Scale(nice=False, zero=zero) if limits is None else alt.Scale(nice=False, domain=list(limits))
    return {"title": title, "scale": scale, "axis": alt.Axis(format=",d", tickMinStep=1, tickCount=6)}


def number_axis(dimension: Mapping[str, Any], title: str | None = None) -> Mapping[str, Any]:
    """Title, scale and marks of an axis for a searched number, over its whole range."""
    scale = alt.Scale(
        type="log" if dimension.get("log") and dimension["low"] > 0 else "linear",
        domain=[dimension["low"], dimension["high"]],
        nice=False,
        clamp=True,
    )
    return {"title": title, "scale": scale, "axis": alt.Axis(format="~g", tickCount=4)}


def layered(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    """Charts drawn over each other, so many pixels high."""
    return alt.LayerChart(layer=list(layers), height=height)


def fate_colour(rows: Iterable[Mapping[str, Any]]) -> alt.Color:
    """The colours of the fates of trials, those that there are among the rows in the legend."""
    there = fates_of(rows)
    scale = alt.Scale(domain=there, range=[FATES[fate] for fate in there])
    return alt.Color("status:N", title=None, scale=scale)


def fates_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The fates that there are among the rows, in their usual order."""
    there = {str(row["status"]) for row in rows}
    return [fate for fate in FATES if fate in there]


def jitter(number: int) -> float:
    """A place between 0 and 1 for points that would lie on each other, always the same for the same trial."""
    return round((number * 0.6180339887) % 1, 3)


APART = alt.Scale(domain=[-0.6, 1.6])
"""The scale of such places: they fill the middle of their band."""
