"""Figures of several searches beside one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from tune_lpc.pages.figure import GREY, HEIGHT, ORANGE, Chart, Figure, data, score_axis
from tune_lpc.pages.folder import SCORE_COLUMN, Run
from tune_lpc.results.comparison import NAMED, Comparison
from tune_lpc.results.networks import ACCURACY

COLOURS = ["#2b8cd0", "#d9661f", "#0f9a74", "#bf6a9b", "#b98712", "#6f7fd1", "#87909a"]


def accuracy(comparison: Comparison) -> Figure:
    """The test accuracy of each network, with its mean and interval, and what the search announced."""
    question = "How good is what each search named?"
    points: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    optimism = {each.label: each for each in comparison.optimism if each.rank == NAMED}
    for search in comparison.searches:
        values = [network.values.get(ACCURACY) for network in search.networks if network.rank == NAMED]
        known = [value for value in values if value is not None]
        points += [{"method": search.label, "accuracy": value} for value in known]
        estimate = comparison.figure(search.label, ACCURACY).estimate
        announced = optimism[search.label].announced if search.label in optimism else None
        means.append(
            {
                "method": search.label,
                "accuracy": estimate.mean,
                "low": estimate.low,
                "high": estimate.high,
                "announced": announced,
            }
        )
    known_means = [row for row in means if row["accuracy"] is not None]
    if not known_means:
        return Figure("accuracy", question, "No network was tested.")
    best = max(known_means, key=lambda row: row["accuracy"])
    x = alt.X("accuracy:Q", title="test accuracy", scale=alt.Scale(zero=False))
    y = alt.Y("method:N", title=None, sort=[search.label for search in comparison.searches])
    dots = alt.Chart(data(points)).mark_point(filled=True, size=45, opacity=0.55, color=COLOURS[0]).encode(x=x, y=y)
    base = alt.Chart(data(means)).encode(y=y)
    rules = base.mark_rule(strokeWidth=3, color=COLOURS[0]).encode(x=alt.X("low:Q"), x2="high:Q")
    ticks = base.mark_tick(thickness=3, size=26, color=COLOURS[0]).encode(x="accuracy:Q")
    told = base.mark_point(shape="diamond", size=90, color=ORANGE, strokeWidth=2).encode(x="announced:Q")
    chart = (rules + dots + ticks + told).properties(height=48 * len(means) + 20)
    answer = (
        f"{best['method']} came to the highest mean, {100 * best['accuracy']:.2f} %. Each dot is a network, the line "
        "the 95 % interval of the mean; the diamond is what the search had announced."
    )
    return Figure("accuracy", question, answer, [Chart("accuracy", chart)])


def progress(runs: Mapping[str, Run]) -> Figure:
    """The best score so far of each search against the epochs it had trained."""
    question = "How soon was each there?"
    rows: list[dict[str, Any]] = []
    for label, run in runs.items():
        ends = {moment.trial_id: moment.hours for moment in run.moments if moment.kind == "trial_ended"}
        trials = {str(trial["trial_id"]): trial for trial in run.trials.to_dict("records")}
        order = sorted((trial_id for trial_id in ends if trial_id in trials), key=ends.__getitem__) or list(trials)
        epochs, best = 0, float("-inf")
        for trial_id in order:
            trial = trials[trial_id]
            epochs += int(trial["epochs_trained"])
            if trial["status"] == "completed" and trial[SCORE_COLUMN] == trial[SCORE_COLUMN]:
                best = max(best, float(trial[SCORE_COLUMN]))
                rows.append({"search": label, "epochs": epochs, "best": best})
        if rows and rows[-1]["search"] == label:
            rows.append({"search": label, "epochs": epochs, "best": best})
    if not rows:
        return Figure("progress", question, "None has trained a config in full.")
    y, _ = score_axis([row["best"] for row in rows], "best", "best validation accuracy")
    labels = list(runs)
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(labels))] or [GREY]
    chart = (
        alt.Chart(data(rows))
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("epochs:Q", title="epochs trained by all trials", scale=alt.Scale(nice=False)),
            y=y,
            color=alt.Color("search:N", title=None, scale=alt.Scale(domain=labels, range=colours)),
            tooltip=["search:N", "epochs:Q", alt.Tooltip("best:Q", format=".4f")],
        )
        .properties(height=HEIGHT)
    )
    last = {row["search"]: row for row in rows}
    answer = "; ".join(
        f"{name}: {100 * row['best']:.2f} % after {row['epochs']:,} epochs" for name, row in last.items()
    )
    return Figure("progress", question, f"The best single training of each: {answer}.", [Chart("progress", chart)])
