"""Figures of the searched space: which setting matters, what each made of the score, gamma against learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from tune_lpc.pages.figure import (
    APART,
    BLUE,
    FATES,
    GREY,
    HEIGHT,
    ORANGE,
    SHARES,
    SMALL_HEIGHT,
    Chart,
    Figure,
    data,
    fate_colour,
    fates_of,
    jitter,
    layered,
    number_axis,
    outside_told,
    robust_domain,
    score_axis,
    shown_of,
    thinned,
)
from tune_lpc.pages.folder import CONFIG, SCORE_COLUMN, Run
from tune_lpc.pages.words import count, short

POINTS_OF_PARAMETER = 400
MOST_PARAMETERS = 24
PHASE_POINTS = 900
LOST = ("diverged", "failed")
FEWEST_FOR_CORRELATION = 8
FEWEST_FOR_PHASES = 8
RING = "rank 1"
CROSS = "M-1,-1L1,1M-1,1L1,-1"


def parameters(run: Run) -> Figure:
    """Each searched parameter against the score; diverged trials at the foot, which have none."""
    question = "What did each parameter make of the score?"
    table = run.firsts[run.firsts[SCORE_COLUMN].notna() | (run.firsts["status"] == "diverged")]
    names = run.searched[:MOST_PARAMETERS]
    if not names or table.empty:
        return Figure("parameters", question, "No trial has a score." if names else "Nothing was searched.")
    best = None if run.best.empty else int(run.best.iloc[0]["number"])
    shown = thinned(table, SCORE_COLUMN, POINTS_OF_PARAMETER, best)
    y, outside = score_axis(shown[SCORE_COLUMN], "score", "accuracy")
    foot = (robust_domain(shown[SCORE_COLUMN], limits=SHARES)[0] or SHARES)[0]
    charts, all_rows = list[Chart](), list[dict[str, Any]]()
    for name in names:
        rows = [
            {"value": value, "score": foot if pd.isna(score) else score, "status": status, "trial": number}
            for value, score, status, number in zip(
                *(shown[column] for column in (f"{CONFIG}{name}", SCORE_COLUMN, "status", "number")), strict=True
            )
            if pd.notna(value)
        ]
        if rows:
            charts.append(Chart(f"parameter_{name}", _against_score(run.dimensions[name], rows, y, best), name))
            all_rows += rows
    key = [(fate, FATES[fate]) for fate in fates_of(all_rows)] + ([(RING, ORANGE)] if best is not None else [])
    lost = int((shown["status"] == "diverged").sum())
    foot_told = " Diverged ones stand at the foot." if lost else ""
    answer = (
        f"{_correlation(run)} A point is a config at its last epoch, where a rung may have left it.{foot_told}"
        f"{shown_of(len(shown), len(table))}{outside_told(outside)}"
    )
    return Figure("parameters", question, answer, charts, key)


def _against_score(
    dimension: Mapping[str, Any], rows: list[dict[str, Any]], y: alt.Y, best: int | None
) -> alt.LayerChart:
    is_choice = dimension["type"] == "choice"
    if is_choice:
        for row in rows:
            row["place"] = jitter(row["trial"])
        order = [str(option) for option in dimension["options"]]
        where = {
            "x": alt.X("value:N", title=None, sort=order, axis=alt.Axis(labelAngle=0, labelLimit=70)),
            "xOffset": alt.XOffset("place:Q", scale=APART),
        }
    else:
        where = {"x": alt.X("value:Q", **number_axis(dimension))}
    kind = "N" if is_choice else "Q"
    tip = ["trial:Q", alt.Tooltip(f"value:{kind}"), alt.Tooltip("score:Q", format=".4f"), "status:N"]
    points = alt.Chart(data(rows)).mark_point(filled=True, size=30, opacity=0.65)
    layers = [points.encode(**where, y=y, color=fate_colour(rows), tooltip=tip)]
    named = [row for row in rows if row["trial"] == best]
    if named:
        ring = alt.Chart(data(named)).mark_point(size=170, strokeWidth=2.5, color=ORANGE, opacity=1)
        layers.append(ring.encode(**where, y=y))
    return layered(layers, SMALL_HEIGHT)


def _correlation(run: Run) -> str:
    """The number that goes most with the score among the trials that trained in full, in words."""
    full = run.firsts[run.firsts["status"] == "completed"]
    found = []
    for name, dimension in run.dimensions.items():
        if dimension["type"] == "choice":
            continue
        pair = full[[f"{CONFIG}{name}", SCORE_COLUMN]].dropna().astype(float)
        if len(pair) >= FEWEST_FOR_CORRELATION and (pair.nunique() > 2).all():
            value = float(pair.rank().corr().to_numpy()[0, 1])
            if math.isfinite(value):
                found.append((abs(value), value, name, len(pair)))
    if not found:
        return "Too few configs trained in full to say what goes with the score."
    _, value, name, pairs = max(found)
    more = "larger" if value > 0 else "smaller"
    told = (
        f"Among the {pairs:,} configs that trained in full and have one, a {more} {name} goes most with a better score"
    )
    return f"{told} (rank correlation {value:.2f})."


def importance(run: Run) -> Figure:
    """Which parameter matters, by PED-ANOVA."""
    question = "Which parameter matters?"
    table = run.importance.dropna(subset=["importance"])
    if table.empty:
        why = "there were too few scores" if len(run.importance) else "importance.parquet is missing"
        answer = (
            f"Not known here: {why}. That file is made at the end of a search, and by python -m tune_lpc.report "
            "where Optuna is installed."
        )
        return Figure("importance", question, answer)
    rows = [
        {"parameter": parameter, "importance": value, "of": trials, "count": number}
        for parameter, value, trials, number in zip(
            *(table[name] for name in ("parameter", "importance", "trials", "count")), strict=True
        )
    ]
    kinds = list(dict.fromkeys(str(row["of"]) for row in rows))
    leading = table[table["trials"] == kinds[0]].sort_values("importance", ascending=False)
    order = [
        *leading["parameter"],
        *(name for name in dict.fromkeys(table["parameter"]) if name not in set(leading["parameter"])),
    ]
    chart = (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            x=alt.X("importance:Q", title="share of it", axis=alt.Axis(format=".0%", tickCount=6)),
            y=alt.Y("parameter:N", sort=order, title=None, axis=alt.Axis(labelLimit=150)),
            yOffset=alt.YOffset("of:N", sort=kinds),
            color=alt.Color("of:N", title=None, scale=alt.Scale(domain=kinds, range=[BLUE, GREY])),
            tooltip=[
                "parameter:N",
                "of:N",
                alt.Tooltip("importance:Q", format=".1%"),
                alt.Tooltip("count:Q", title="trials"),
            ],
        )
        .properties(height=30 * len(order) + 20)
    )
    first = leading.iloc[0]
    answer = (
        f"{first['parameter']}, with {100 * float(first['importance']):.0f} % of what sets the best of the "
        f"{kinds[0]} trials apart from the others (PED-ANOVA; a setting counts where it has an effect)."
    )
    if len(kinds) > 1:
        second = table[table["trials"] == kinds[1]].sort_values("importance", ascending=False).iloc[0]
        answer += f" With stopped ones it is {second['parameter']}, with {100 * float(second['importance']):.0f} %."
    answer += " With few trials such shares are rough." if len(run.firsts) < 100 else ""
    return Figure(
        "importance", question, answer, [Chart("importance", chart)], list(zip(kinds, (BLUE, GREY), strict=False))
    )


def phase_map(run: Run) -> Figure | None:
    """Accuracy over gamma and learning rate, as the reviewers of latent point collapse asked for; and what was lost."""
    question = "Which gamma goes with which learning rate?"
    x, y = (f"{CONFIG}{name}" for name in ("gamma_end", "learning_rate"))
    if any(name not in run.dimensions for name in ("gamma_end", "learning_rate")):
        return None
    table = run.firsts.dropna(subset=[x, y])
    lost = table[table["status"].isin(LOST)]
    known = table[~table["status"].isin(LOST)].dropna(subset=[SCORE_COLUMN])
    if known.empty and lost.empty:
        return None
    shown, crosses = thinned(known, SCORE_COLUMN, PHASE_POINTS), thinned(lost, "number", PHASE_POINTS // 3)
    domain, outside = robust_domain(shown[SCORE_COLUMN], limits=SHARES)
    where = {
        "x": alt.X("gamma:Q", **number_axis(run.dimensions["gamma_end"], "gamma at the end of its ramp")),
        "y": alt.Y("rate:Q", **number_axis(run.dimensions["learning_rate"], "learning rate")),
    }
    tip = ["trial:Q", "gamma:Q", "rate:Q", "status:N"]
    layers = []
    if len(shown):
        colour = alt.Color(
            "score:Q",
            title="accuracy",
            scale=alt.Scale(scheme="viridis", domain=list(domain or SHARES), clamp=True),
            legend=alt.Legend(gradientLength=140, tickCount=3),
        )
        points = alt.Chart(data(_phase_rows(shown, x, y))).mark_point(
            filled=True, size=80, opacity=0.9, stroke=GREY, strokeWidth=1
        )
        fates = [fate for fate in FATES if fate in set(shown["status"])]
        shape = alt.Shape(
            "status:N",
            title=None,
            scale=alt.Scale(domain=fates, range=["circle", "square", "triangle-up"][: len(fates)]),
        )
        layers.append(
            points.encode(**where, color=colour, shape=shape, tooltip=[*tip, alt.Tooltip("score:Q", format=".4f")])
        )
    if len(crosses):
        marks = alt.Chart(data(_phase_rows(crosses, x, y))).mark_point(
            shape=CROSS, size=50, strokeWidth=2, color=ORANGE, opacity=1
        )
        layers.append(marks.encode(**where, tooltip=tip))
    chart = layered(layers, HEIGHT + 80).resolve_scale(shape="independent")
    answer = _phase_told(known, x, y) + (f" Crosses: {count(len(lost), 'lost trial')}." if len(lost) else "")
    answer += f"{shown_of(len(shown), len(known))}{outside_told(outside, 'accuracies').replace('axis', 'scale')}"
    return Figure("phase_map", question, answer, [Chart("phase_map", chart)])


def _phase_rows(table: pd.DataFrame, x: str, y: str) -> list[dict[str, Any]]:
    names = (x, y, SCORE_COLUMN, "status", "number")
    return [
        {"gamma": gamma, "rate": rate, "score": score, "status": status, "trial": number}
        for gamma, rate, score, status, number in zip(*(table[name] for name in names), strict=True)
    ]


def _phase_told(known: pd.DataFrame, x: str, y: str) -> str:
    if known.empty:
        return "No config with a gamma has a score."
    if len(known) < FEWEST_FOR_PHASES:
        return f"{count(len(known), 'config')} with a gamma and a score: too few to say where the best lie."
    top = known.sort_values(SCORE_COLUMN, ascending=False).head(max(3, len(known) // 10))
    ends = [[float(end) for end in (top[column].min(), top[column].max())] for column in (x, y)]
    (low, high), (below, above) = ends
    return (
        f"The best {len(top):,} of {count(len(known), 'config')} with a gamma have one of {short(low)} to "
        f"{short(high)}, and learning rates of {short(below)} to {short(above)}."
    )
