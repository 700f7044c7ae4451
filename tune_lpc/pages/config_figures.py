"""Figures of the configs: what the best did over time, and what each parameter made of the score."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd

from tune_lpc.pages.figure import (
    BLUE,
    GREY,
    HEIGHT,
    ORANGE,
    SMALL_HEIGHT,
    Chart,
    Figure,
    data,
    fate_colour,
    outside_told,
    robust_domain,
    score_axis,
    shown_of,
    thinned,
)
from tune_lpc.pages.folder import SCORE_COLUMN, Run

OVER_TIME = {
    "gamma": ("gamma", True),
    "beta": ("beta", False),
    "topological_weight": ("topological weight", False),
    "learning_rate": ("learning rate", True),
    "nc1": ("NC1", True),
    "mean_norm": ("mean ‖z‖", True),
}
"""What is drawn of the best over time: its title, and whether on a logarithmic axis."""
MOST_POINTS_OF_LINE = 200
POINTS_OF_PARAMETER = 500
MOST_PARAMETERS = 24
PHASE_POINTS = 900


def best_over_time(run: Run) -> Figure:
    """Schedules and collapse of the best config over its epochs."""
    question = "What did the best config do over time?"
    if run.best.empty:
        return Figure("best_over_time", question, "There is no best config.")
    first = run.best.iloc[0]
    epochs = run.curves([str(first["trial_id"])], list(OVER_TIME))
    if epochs.empty:
        return Figure("best_over_time", question, "epochs.parquet has none of its epochs.")
    epochs = epochs[epochs["budget"] == epochs["budget"].max()].sort_values("epoch")
    epochs = epochs.iloc[:: max(1, len(epochs) // MOST_POINTS_OF_LINE)]
    charts, told = [], []
    for name, (title, log) in OVER_TIME.items():
        values = epochs[["epoch", name]].dropna() if name in epochs else pd.DataFrame()
        if values.empty or not values[name].astype(float).any():
            continue
        if log:
            values = values[values[name].astype(float) > 0]
        rows = [{"epoch": e, "value": v} for e, v in zip(values["epoch"], values[name], strict=True)]
        scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False)
        chart = (
            alt.Chart(data(rows))
            .mark_line(color=BLUE)
            .encode(
                x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False)),
                y=alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(format="~g", tickCount=4)),
                tooltip=["epoch:Q", alt.Tooltip("value:Q", format=".4~g")],
            )
            .properties(height=SMALL_HEIGHT)
        )
        charts.append(Chart(f"best_{name}", chart, title))
        start, end = float(values[name].iloc[0]), float(values[name].iloc[-1])
        told.append(f"{title} from {start:.3g} to {end:.3g}")
    off = "" if "gamma" in {c.name.removeprefix("best_") for c in charts} else " Its gamma is 0 throughout."
    answer = f"Rank 1, trial {int(first['number'])}, went through {'; '.join(told)}.{off}"
    return Figure("best_over_time", question, answer, charts)


def parameters(run: Run) -> Figure:
    """Each searched parameter against the score."""
    question = "What did each parameter make of the score?"
    table = run.firsts.dropna(subset=[SCORE_COLUMN])
    names = run.searched[:MOST_PARAMETERS]
    if table.empty or not names:
        return Figure("parameters", question, "No trial has a score." if table.empty else "Nothing was searched.")
    shown = thinned(table, SCORE_COLUMN, POINTS_OF_PARAMETER)
    best = None if run.best.empty else int(run.best.iloc[0]["number"])
    y, outside = score_axis(shown[SCORE_COLUMN].astype(float).tolist(), "score")
    charts = []
    for name in names:
        rows = [
            {"value": value, "score": score, "status": status, "trial": number, "named": number == best}
            for value, score, status, number in zip(
                shown[f"config.{name}"], shown[SCORE_COLUMN], shown["status"], shown["number"], strict=True
            )
            if pd.notna(value)
        ]
        if rows:
            charts.append(Chart(f"parameter_{name}", _against_score(run, name, rows, y), name))
    correlations = _correlations(run, table)
    answer = (
        f"{correlations} One point a trial, at its last epoch, where early stopping may have left it; the named config "
        f"has a ring.{shown_of(len(shown), len(table))}{outside_told(outside)}"
    )
    return Figure("parameters", question, answer, charts)


def _against_score(run: Run, name: str, rows: list[dict[str, Any]], y: alt.Y) -> alt.LayerChart:
    dimension = run.space["dimensions"][name]
    if dimension["type"] == "choice":
        x: alt.X = alt.X("value:N", title=None, axis=alt.Axis(labelAngle=0, labelLimit=80))
        points = alt.Chart(data(rows)).transform_calculate(jitter="random()").encode(x=x, xOffset="jitter:Q", y=y)
    else:
        scale = alt.Scale(type="log", nice=False) if dimension.get("log") else alt.Scale(zero=False, nice=True)
        x = alt.X("value:Q", title=None, scale=scale, axis=alt.Axis(format="~g", tickCount=4))
        points = alt.Chart(data(rows)).encode(x=x, y=y)
    kind = "N" if dimension["type"] == "choice" else "Q"
    tip = [alt.Tooltip("trial:Q"), alt.Tooltip(f"value:{kind}"), alt.Tooltip("score:Q", format=".4f"), "status:N"]
    drawn = points.mark_point(filled=True, size=28, opacity=0.6).encode(color=fate_colour(rows), tooltip=tip)
    ring = points.transform_filter("datum.named").mark_point(size=170, strokeWidth=2.5, color=ORANGE)
    chart: alt.LayerChart = (drawn + ring).properties(height=SMALL_HEIGHT)
    return chart


def _correlations(run: Run, table: pd.DataFrame) -> str:
    """The number that goes most with the score among the trials that trained in full, in words."""
    full = table[table["status"] == "completed"]
    found = []
    for name in run.searched:
        if run.space["dimensions"][name]["type"] == "choice":
            continue
        pair = full[[f"config.{name}", SCORE_COLUMN]].dropna().astype(float)
        if len(pair) >= 8 and pair[f"config.{name}"].nunique() > 2:
            value = float(pair.rank().corr().to_numpy()[0, 1])
            if math.isfinite(value):
                found.append((abs(value), value, name))
    if not found:
        return "Too few trials trained in full to say what goes with the score."
    _, value, name = max(found)
    more = "larger" if value > 0 else "smaller"
    told = f"Among those that trained in full a {more} {name} goes most with a better score"
    return f"{told} (rank correlation {value:.2f})."


def importance(run: Run) -> Figure:
    """Which parameter matters, by PED-ANOVA."""
    question = "Which parameter matters?"
    table = run.importance.dropna(subset=["importance"])
    if table.empty:
        answer = (
            "Not known here: importance.parquet is missing, or there were too few scores. It is made at the end of a "
            "search, and by python -m tune_lpc.report where Optuna is installed."
        )
        return Figure("importance", question, answer)
    rows = [
        {"parameter": row.parameter, "importance": row.importance, "of": row.trials}
        for row in table.itertuples(name="Row")
    ]
    full = table[table["trials"] == "completed"]
    order = (full if len(full) else table).sort_values("importance", ascending=False)["parameter"].tolist()
    kinds = list(dict.fromkeys(str(row["of"]) for row in rows))
    chart = (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            x=alt.X("importance:Q", title="share of the importance", axis=alt.Axis(format="%")),
            y=alt.Y("parameter:N", sort=order, title=None, axis=alt.Axis(labelLimit=160)),
            yOffset="of:N",
            color=alt.Color("of:N", title="trials", scale=alt.Scale(domain=kinds, range=[BLUE, GREY])),
            tooltip=["parameter:N", "of:N", alt.Tooltip("importance:Q", format=".1%")],
        )
        .properties(height=30 * len(order) + 20)
    )
    top = (full if len(full) else table).sort_values("importance", ascending=False).iloc[0]
    answer = (
        f"{top['parameter']}, with {float(top['importance']):.0%} of what sets the better configs apart from all "
        "(PED-ANOVA, Watanabe et al. 2023), among those where it has an effect. With few trials such shares are rough."
    )
    return Figure("importance", question, answer, [Chart("importance", chart)])


def phase_map(run: Run) -> Figure | None:
    """Accuracy over gamma and learning rate, as the reviewers of latent point collapse asked for."""
    needed = ("config.gamma_end", "config.learning_rate", SCORE_COLUMN)
    if any(name not in run.searched for name in ("gamma_end", "learning_rate")):
        return None
    table = run.firsts.dropna(subset=list(needed))
    table = table[table["status"].isin(["completed", "stopped", "diverged"])]
    if len(table) < 3:
        return None
    shown = thinned(table, SCORE_COLUMN, PHASE_POINTS)
    rows = [
        {"gamma": g, "rate": r, "score": s, "status": f, "trial": n}
        for g, r, s, f, n in zip(
            *(shown[name] for name in needed[:2]), shown[SCORE_COLUMN], shown["status"], shown["number"], strict=True
        )
    ]
    domain, outside = robust_domain(shown[SCORE_COLUMN].astype(float).tolist())
    dimensions = run.space["dimensions"]

    def scale(name: str) -> alt.Scale:
        return alt.Scale(type="log", nice=False) if dimensions[name].get("log") else alt.Scale(zero=False)

    chart = (
        alt.Chart(data(rows))
        .mark_point(filled=True, size=70, opacity=0.85)
        .encode(
            x=alt.X("gamma:Q", title="gamma at its end", scale=scale("gamma_end"), axis=alt.Axis(format="~g")),
            y=alt.Y("rate:Q", title="learning rate", scale=scale("learning_rate"), axis=alt.Axis(format="~g")),
            color=alt.Color(
                "score:Q",
                title="accuracy",
                scale=alt.Scale(scheme="viridis", domain=list(domain or (0, 1)), clamp=True),
            ),
            shape=alt.Shape("status:N", title="fate"),
            tooltip=["trial:Q", "gamma:Q", "rate:Q", alt.Tooltip("score:Q", format=".4f"), "status:N"],
        )
        .properties(height=HEIGHT + 60)
    )
    top = table.sort_values(SCORE_COLUMN, ascending=False).head(max(3, len(table) // 10))
    low, high = top["config.gamma_end"].astype(float).quantile([0.1, 0.9])
    below, above = top["config.learning_rate"].astype(float).quantile([0.1, 0.9])
    answer = (
        f"The best tenth of {len(table):,} configs with a gamma lies at a gamma of {low:.2g} to {high:.2g} and a "
        f"learning rate of {below:.2g} to {above:.2g}.{shown_of(len(shown), len(table))}{outside_told(outside)}"
    )
    return Figure("phase_map", "Which gamma goes with which learning rate?", answer, [Chart("phase_map", chart)])
