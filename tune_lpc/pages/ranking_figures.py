"""Figures of the ranking: how sure the first places are, and what can be had together."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_lpc.pages.figure import (
    BLUE,
    GREEN,
    GREY,
    HEIGHT,
    ORANGE,
    SHARES,
    Chart,
    Figure,
    data,
    layered,
    robust_domain,
    whole_axis,
)
from tune_lpc.pages.folder import OBJECTIVE, Run
from tune_lpc.pages.words import count, percent

PLACES = 12
GROUPS = {"tied with rank 1": BLUE, "behind it": GREY}
FRONT_POINTS = 800


def places(run: Run) -> Figure | None:
    """The intervals of the first configs, and what test images said of them."""
    question = "How sure are the first places?"
    best = run.best.dropna(subset=["low", "high"])
    if best.empty or run.objectives:
        return None
    shown = best.head(PLACES)
    tested = run.confirmed.dropna(subset=["test_accuracy"])
    found = (
        tested.astype({"test_accuracy": float}).groupby("rank")["test_accuracy"].mean().to_dict() if len(tested) else {}
    )
    rows = [
        {
            "place": f"{int(row['rank'])}. trial {int(row['number'])}",
            "score": row["score"],
            "low": row["low"],
            "high": row["high"],
            "seeds": row["seeds"],
            "group": "tied with rank 1" if pd.notna(row["tied"]) and row["tied"] else "behind it",
            "test": found.get(int(row["rank"])),
        }
        for _, row in shown.iterrows()
    ]
    there = {row["group"] for row in rows}
    groups = {name: colour for name, colour in GROUPS.items() if name in there}
    ends = [float(value) for row in rows for value in (row["low"], row["high"], row["test"]) if value is not None]
    domain, _ = robust_domain(ends, limits=SHARES)
    scale = alt.Scale(domain=list(domain or SHARES), nice=False, clamp=True)
    axis = alt.Axis(format="~%" if max(ends) - min(ends) > 0.05 else ".1%", tickCount=5)
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("place:N", sort=None, title=None, axis=alt.Axis(labelLimit=110)),
        color=alt.Color(
            "group:N",
            title=None,
            scale=alt.Scale(domain=list(groups), range=list(groups.values())),
        ),
        tooltip=["place:N", "seeds:Q", *(alt.Tooltip(f"{name}:Q", format=".4f") for name in ("score", "low", "high"))],
    )
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="validation accuracy", scale=scale, axis=axis), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x="score:Q")
    layers: list[alt.Chart] = [bars, points]
    answer = _told(best, len(shown))
    if any(row["test"] is not None for row in rows):
        confirmed = [row for row in rows if row["test"] is not None]
        mark = alt.Chart(data(confirmed)).mark_point(shape="diamond", size=110, strokeWidth=2.5, color=ORANGE)
        layers.append(
            mark.encode(
                y=alt.Y("place:N", sort=None), x="test:Q", tooltip=["place:N", alt.Tooltip("test:Q", format=".4f")]
            )
        )
        answer += " The diamonds are mean accuracies on test images, of networks with fresh seeds."
    chart = layered(layers, 24 * len(rows) + 10)
    return Figure("places", question, answer, [Chart("places", chart)])


def _told(best: pd.DataFrame, shown: int) -> str:
    first = best.iloc[0]
    tied = int(best["tied"].fillna(False).astype(bool).sum())
    between = f"between {percent(float(first['low']))} and {percent(float(first['high']))}"
    told = f"Rank 1 lies {between} (95 %, from the luck of seeds and of images)"
    others = f"; {count(tied - 1, 'other config')} can't be told from it" if tied > 1 else "; no other is tied with it"
    return f"{told}{others}." + (f" The first {shown} of {len(best):,} are drawn." if shown < len(best) else "")


def pareto_front(run: Run) -> Figure | None:
    """The configs by two objectives, those on the front joined; and what the front covers over time."""
    names = [name for name in run.objectives if f"{OBJECTIVE}{name}" in run.best]
    if len(names) < 2:
        return None
    table = run.best.dropna(subset=[f"{OBJECTIVE}{name}" for name in names])
    if table.empty:
        return Figure("front", "What can be had together?", "No config has a value of each objective.")
    on_front = table["front"].fillna(0) == 1
    shown = pd.concat([table[on_front], table[~on_front].head(FRONT_POINTS)])
    charts = [
        Chart(
            f"front_{other.removeprefix('measure.')}",
            _front_chart(shown, names[0], other, joined=len(names) == 2),
            f"{names[0]} and {other}",
        )
        for other in names[1:]
    ]
    if len(run.front):
        grown = [{"epochs": e, "volume": v} for e, v in zip(run.front["epochs"], run.front["hypervolume"], strict=True)]
        volume = (
            alt.Chart(data(grown[:: max(1, len(grown) // 400)] + grown[-1:]))
            .mark_line(interpolate="step-after", color=GREEN, point={"size": 20, "color": GREEN})
            .encode(
                x=alt.X("epochs:Q", **whole_axis("epochs trained by all trials", zero=True)),
                y=alt.Y("volume:Q", title="hypervolume, 0 to 1", scale=alt.Scale(zero=False)),
                tooltip=["epochs:Q", alt.Tooltip("volume:Q", format=".4f")],
            )
            .properties(height=HEIGHT)
        )
        charts.append(Chart("hypervolume", volume, "what the front covers, over time"))
    number = int(on_front.sum())
    covered = f" The front covers {float(run.front['hypervolume'].iloc[-1]):.3f} of 1." if len(run.front) else ""
    answer = f"{number:,} of {count(len(table), 'config')} are on the front: none of them is better in all objectives."
    return Figure("front", "What can be had together?", answer + covered, charts)


def _front_chart(table: pd.DataFrame, one: str, other: str, *, joined: bool) -> alt.LayerChart:
    """Two objectives. Neither axis has to hold a far outlier. joined: whether a line leads along the front."""
    columns = f"{OBJECTIVE}{one}", f"{OBJECTIVE}{other}"
    rows = [
        {"one": a, "other": b, "front": "on the front" if f == 1 else "behind it", "rank": r}
        for a, b, f, r in zip(*(table[c] for c in columns), table["front"].fillna(0), table["rank"], strict=True)
    ]
    scales = []
    for column in columns:
        values = table[column].astype(float)
        log = bool((values > 0).all()) and float(values.max()) > 100 * float(values.min())
        domain, _ = (None, 0) if log else robust_domain(values)
        limits = alt.Undefined if domain is None else list(domain)
        scales.append(alt.Scale(type="log" if log else "linear", zero=False, nice=False, domain=limits, clamp=True))
    axis = alt.Axis(format="~g", tickCount=5)
    points = alt.Chart(data(rows)).encode(
        x=alt.X("one:Q", title=one, scale=scales[0], axis=axis),
        y=alt.Y("other:Q", title=other, scale=scales[1], axis=axis),
        color=alt.Color(
            "front:N", title=None, scale=alt.Scale(domain=["on the front", "behind it"], range=[BLUE, GREY])
        ),
        tooltip=["rank:Q", alt.Tooltip("one:Q", title=one), alt.Tooltip("other:Q", title=other)],
    )
    layers: list[alt.Chart] = [points.mark_point(filled=True, size=50)]
    if joined:
        front = alt.Chart(data(row for row in rows if row["front"] == "on the front"))
        line = front.mark_line(color=BLUE, strokeWidth=1.5)
        layers.insert(0, line.encode(x="one:Q", y="other:Q", order="one:Q"))
    return layered(layers, HEIGHT)
