"""Figures of several runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from tune_lpc.pages.figure import (
    BLUE,
    FATES,
    GREEN,
    GREY,
    HEIGHT,
    OCHRE,
    ORANGE,
    SHARES,
    VIOLET,
    Chart,
    Figure,
    data,
    layered,
    robust_domain,
    score_axis,
    whole_axis,
)
from tune_lpc.pages.folder import Run
from tune_lpc.pages.progress_figures import progress_of
from tune_lpc.pages.words import count, duration, percent, unit_of
from tune_lpc.results.summary import epochs_without_stopping

COLOURS = (BLUE, ORANGE, GREEN, VIOLET, OCHRE, GREY)
DASHES: Sequence[Sequence[int]] = ([1, 0], [6, 3], [2, 2])
MOST_LINES = len(COLOURS) * len(DASHES)
POINTS_OF_LINE = 120
Runs = Mapping[str, Run]
"""Runs by the name by which the page tells them apart."""


def race(runs: Runs) -> Figure:
    """The best score so far of each run against epochs and time."""
    question = "Which search came to its best first?"
    found = {name: progress_of(run) for name, run in list(runs.items())[:MOST_LINES]}
    found = {name: progress for name, progress in found.items() if progress.ended}
    if not found:
        return Figure("race", question, "No trial of any of them has trained its full budget.")
    size, unit = unit_of(max(progress.hours for progress in found.values()))
    rows = list[dict[str, Any]]()
    for name, progress in found.items():
        steps = progress.steps
        kept = steps if len(steps) <= POINTS_OF_LINE else [*steps[:: -(-len(steps) // POINTS_OF_LINE)], steps[-1]]
        rows += [{"run": name, "epochs": s.epochs, "time": s.hours / size, "best": s.score} for s in kept]
        rows.append({"run": name, "epochs": progress.epochs, "time": progress.hours / size, "best": steps[-1].score})
    names = list(found)
    charts = []
    for axis, title in (("epochs", "epochs trained by all trials"), ("time", f"{unit} of the search")):
        y, _ = score_axis([row["best"] for row in rows], "best", "best validation accuracy")
        time = {"title": title, "scale": alt.Scale(nice=False, zero=True), "axis": alt.Axis(tickCount=6)}
        colours = [COLOURS[place % len(COLOURS)] for place in range(len(names))]
        dashes = [list(DASHES[place // len(COLOURS)]) for place in range(len(names))]
        chart = (
            alt.Chart(data(rows))
            .mark_line(interpolate="step-after", strokeWidth=2)
            .encode(
                x=alt.X(f"{axis}:Q", **(time if axis == "time" else whole_axis(title, zero=True))),
                y=y,
                color=alt.Color("run:N", title=None, sort=None, scale=alt.Scale(domain=names, range=colours)),
                strokeDash=alt.StrokeDash("run:N", title=None, sort=None, scale=alt.Scale(domain=names, range=dashes)),
                tooltip=["run:N", alt.Tooltip("best:Q", format=".4f"), alt.Tooltip(f"{axis}:Q", format=",.4~g")],
            )
            .properties(height=HEIGHT)
        )
        charts.append(Chart(f"race_by_{axis}", chart, "by epochs" if axis == "epochs" else "by time"))
    last_steps = {name: progress.steps[-1] for name, progress in found.items()}
    leader = max(last_steps, key=lambda name: (last_steps[name].score, -last_steps[name].epochs))
    last = last_steps[leader]
    answer = (
        f"The best single training of all is of {leader}, {percent(last.score)} after {count(last.epochs, 'epoch')} "
        f"and {duration(last.hours)}. Single trainings are lucky: intervals and test images say more."
    )
    answer += f" The first {MOST_LINES} runs are drawn." if len(runs) > MOST_LINES else ""
    return Figure("race", question, answer, charts)


def bests(runs: Runs) -> Figure | None:
    """The first place of each run with its interval, and what test images said of it."""
    rows, tested = list[dict[str, Any]](), list[dict[str, Any]]()
    for name, run in runs.items():
        if run.best.empty or run.objectives or pd.isna(run.best.iloc[0]["low"]):
            continue
        first = run.best.iloc[0]
        rows.append({"run": name, "score": first["score"], "low": first["low"], "high": first["high"]})
        accuracies = run.confirmed[run.confirmed["rank"] == 1]["test_accuracy"].dropna().astype(float)
        tested += [{"run": name, "test": value} for value in accuracies]
    if not rows:
        return None
    ends = [float(row[name]) for row in rows for name in ("low", "high")] + [row["test"] for row in tested]
    domain, _ = robust_domain(ends, limits=SHARES)
    scale = alt.Scale(domain=list(domain or SHARES), nice=False, clamp=True)
    y = alt.Y("run:N", sort=None, title=None, axis=alt.Axis(labelLimit=140))
    base = alt.Chart(data(rows)).encode(
        y=y, tooltip=["run:N", *(alt.Tooltip(f"{name}:Q", format=".4f") for name in ("score", "low", "high"))]
    )
    x = alt.X("low:Q", title="accuracy", scale=scale, axis=alt.Axis(format=".1%", tickCount=5))
    layers = [
        base.mark_rule(strokeWidth=2, color=BLUE).encode(x=x, x2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1, color=BLUE).encode(x="score:Q"),
    ]
    if tested:
        marks = alt.Chart(data(tested)).mark_point(shape="diamond", size=70, strokeWidth=2, color=ORANGE, opacity=1)
        layers.append(marks.encode(y=y, x="test:Q", tooltip=["run:N", alt.Tooltip("test:Q", format=".4f")]))
    chart = layered(layers, 30 * len(rows) + 20)
    best = max(rows, key=lambda row: float(row["score"]))
    behind = [row for row in rows if float(row["high"]) < float(best["low"])]
    answer = f"{best['run']} announces most, {percent(float(best['score']))} on validation images"
    answer += (
        f"; the intervals of {count(len(behind), 'other')} lie wholly below its own."
        if behind
        else "; no other interval lies wholly below its own."
    )
    answer += (
        " Each diamond is a network with a fresh seed, on test images."
        if tested
        else " None is confirmed on test images."
    )
    return Figure("bests", "How good are the named configs?", answer, [Chart("bests", chart)])


def spending(runs: Runs) -> Figure | None:
    """The epochs of each run by what became of the trials."""
    rows = list[dict[str, Any]]()
    for name, run in runs.items():
        spent = run.trials["epochs_trained"].fillna(0).astype(int).groupby(run.trials["status"].astype(str)).sum()
        rows += [{"run": name, "status": status, "epochs": epochs} for status, epochs in spent.items() if epochs]
    if not rows:
        return None
    there = [fate for fate in FATES if any(row["status"] == fate for row in rows)]
    chart = (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            x=alt.X("epochs:Q", title="epochs", axis=alt.Axis(format=",d", tickCount=5)),
            y=alt.Y("run:N", sort=None, title=None, axis=alt.Axis(labelLimit=140)),
            color=alt.Color(
                "status:N", title=None, scale=alt.Scale(domain=there, range=[FATES[fate] for fate in there])
            ),
            tooltip=["run:N", "status:N", alt.Tooltip("epochs:Q", format=",")],
        )
        .properties(height=32 * len({row["run"] for row in rows}) + 20)
    )
    total = sum(int(row["epochs"]) for row in rows)
    without = sum(epochs_without_stopping(run.trials) for run in runs.values())
    answer = f"{count(total, 'epoch')} in all."
    answer += f" Without early stopping the same trials would have taken {without:,}." if without > total else ""
    return Figure("spending", "Where did the epochs go?", answer, [Chart("spending", chart)])
