"""Figures of the search as a whole: how the best came about, what it cost, and what stopped the others."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import altair as alt
import pandas as pd

from tune_lpc.pages.figure import (
    BLUE,
    FATES,
    GREEN,
    GREY,
    HEIGHT,
    ORANGE,
    Chart,
    Figure,
    data,
    fate_colour,
    lasted,
    outside_told,
    robust_domain,
    score_axis,
    shown_of,
    thinned,
)
from tune_lpc.pages.folder import SCORE_COLUMN, Run

MOST_CURVES = 40
POINTS_OF_CURVE = 60
MOST_BARS = 1500


def best_so_far(run: Run) -> Figure:
    """The best score so far against epochs and hours."""
    question = "How did the best come about?"
    trials = {str(trial["trial_id"]): trial for trial in run.trials.to_dict("records")}
    ends = {moment.trial_id: moment.hours for moment in run.moments if moment.kind == "trial_ended"}
    if not ends:  # without a journal the order of the trials has to do
        sums = (run.trials["seconds"].fillna(0.0).astype(float).cumsum() / 3600).tolist() if trials else []
        ends = dict(zip(trials, sums, strict=True))
    rows: list[dict[str, float]] = []
    epochs, best, leader = 0, float("-inf"), -1
    for trial_id, hours in sorted(ends.items(), key=lambda item: item[1]):
        if trial_id not in trials:
            continue
        trial = trials[trial_id]
        epochs += int(trial["epochs_trained"])
        score = trial[SCORE_COLUMN]
        if trial["status"] != "completed" or pd.isna(score):
            continue
        if float(score) > best:
            best, leader = float(score), int(trial["number"])
            rows.append({"epochs": epochs, "hours": hours, "best": best, "trial": leader})
    if not rows:
        return Figure("best_so_far", question, "No trial has trained its full budget, so there is no best yet.")
    last_hours = max(ends.values())
    rows.append({"epochs": epochs, "hours": last_hours, "best": best, "trial": leader})
    half = next(row for row in rows if row["best"] >= best - 0.005)
    answer = (
        f"The best single training, trial {leader} with {100 * best:.2f} %, was there after {rows[-2]['epochs']:,} of "
        f"{epochs:,} epochs; one within half a point of it after {half['epochs']:,}."
    )
    charts = []
    for axis, title in (("epochs", "epochs trained by all trials"), ("hours", "hours of the search")):
        y, _ = score_axis([float(row["best"]) for row in rows], "best", "best validation accuracy")
        base = alt.Chart(data(rows)).encode(x=alt.X(f"{axis}:Q", title=title), y=y)
        tip = [alt.Tooltip("trial:Q"), alt.Tooltip("best:Q", format=".4f"), alt.Tooltip(f"{axis}:Q", format=",.4~g")]
        chart = base.mark_line(interpolate="step-after", color=BLUE) + base.mark_point(
            filled=True, color=BLUE, size=40
        ).encode(tooltip=tip)
        charts.append(Chart(f"best_by_{axis}", chart.properties(height=HEIGHT), f"by {axis}"))
    return Figure("best_so_far", question, answer, charts)


def learning_curves(run: Run) -> Figure:
    """Curves of the best and of some others, stopped ones faded."""
    question = "How did the trials learn?"
    firsts = run.firsts.dropna(subset=[SCORE_COLUMN])
    if firsts.empty:
        return Figure("learning_curves", question, "No trial has an epoch with a score.")
    ranked = run.best["trial_id"].head(5).tolist()
    others = firsts[~firsts["trial_id"].isin(ranked)]
    sample = others.sample(min(len(others), MOST_CURVES - len(ranked)), random_state=0)["trial_id"].tolist()
    epochs = run.curves([*ranked, *sample], ["validation_accuracy"])
    if epochs.empty:
        return Figure("learning_curves", question, "epochs.parquet has none of their epochs.")
    status = firsts.set_index("trial_id")["status"].to_dict()
    rows = []
    for trial_id, curve in epochs.groupby("trial_id"):
        longest = curve[curve["budget"] == curve["budget"].max()].dropna(subset=["validation_accuracy"])
        step = max(1, len(longest) // POINTS_OF_CURVE)
        kept = pd.concat([longest.iloc[::step], longest.tail(1)]).drop_duplicates("epoch")
        rows += [
            {
                "trial": str(trial_id),
                "epoch": row.epoch,
                "score": row.validation_accuracy,
                "status": status.get(trial_id, "completed"),
                "best": trial_id in ranked,
            }
            for row in kept.itertuples(name="Row")
        ]
    scores = [float(row["score"]) for row in rows]
    domain, outside = robust_domain(scores)
    y = alt.Y(
        "score:Q", title="validation accuracy", scale=alt.Scale(domain=list(domain or (0, 1)), clamp=True, nice=True)
    )
    chart = (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=1.6)
        .encode(
            x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False)),
            y=y,
            detail="trial:N",
            color=fate_colour(rows),
            opacity=alt.when("datum.best").then(alt.value(1.0)).otherwise(alt.value(0.3)),
            tooltip=["trial:N", "status:N", "epoch:Q", alt.Tooltip("score:Q", format=".4f")],
        )
        .properties(height=HEIGHT + 60)
    )
    stopped = int((firsts["status"] == "stopped").sum())
    told = outside_told(outside).replace(" far", " points far")
    drawn = f" {len(sample):,} of the other {len(others):,} are drawn faded." if len(others) else ""
    answer = f"{stopped:,} of {len(firsts):,} configs were stopped at a rung.{drawn}{told}"
    return Figure("learning_curves", question, answer, [Chart("learning_curves", chart)])


def rung_ladder(run: Run) -> Figure | None:
    """What each rung saw, and what it let through."""
    rungs = run.rungs.dropna(subset=["score"])
    if rungs.empty:
        return None
    last = rungs.drop_duplicates(["trial_id", "rung"], keep="last")
    parts = []
    for rung, rows in last.groupby("rung"):
        through = rows["goes_on"].astype(bool)
        parts.append(f"at epoch {rung}, {int(through.sum()):,} of {len(rows):,} went on")
    shown = thinned(last, "score")
    y, outside = score_axis(shown["score"].astype(float).tolist(), "score", "score at the rung")
    rows_shown = [
        {"rung": row.rung, "score": row.score, "went": "went on" if row.goes_on else "left", "trial": row.trial_id}
        for row in shown.itertuples(name="Row")
    ]
    chart = (
        alt.Chart(data(rows_shown))
        .transform_calculate(jitter="random()")
        .mark_point(filled=True, size=36, opacity=0.65)
        .encode(
            x=alt.X("rung:O", title="rung, epochs", axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("jitter:Q"),
            y=y,
            color=alt.Color("went:N", title=None, scale=alt.Scale(domain=["went on", "left"], range=[BLUE, GREY])),
            tooltip=["trial:N", "rung:O", alt.Tooltip("score:Q", format=".4f"), "went:N"],
        )
        .properties(height=HEIGHT)
    )
    told = "; ".join(parts)
    answer = f"{told[0].upper()}{told[1:]}.{shown_of(len(shown), len(last))}{outside_told(outside)}"
    return Figure("rung_ladder", "What did the rungs let through?", answer, [Chart("rung_ladder", chart)])


def costs(run: Run) -> Figure:
    """Epochs by what became of the trials."""
    question = "Where did the epochs go?"
    trials = run.trials
    total = int(trials["epochs_trained"].sum()) if len(trials) else 0
    if not total:
        return Figure("costs", question, "None was trained.")
    fate = trials["status"].astype(str)
    if "repeat_of" in trials:
        fate = fate.where(trials["repeat_of"].isna(), "further seeds")
    spent = trials["epochs_trained"].astype(float).groupby(fate).sum().sort_values(ascending=False)
    rows = [{"fate": name, "epochs": value, "share": value / total} for name, value in spent.items()]
    colours = {**FATES, "further seeds": GREEN}
    chart = (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            x=alt.X("epochs:Q", title="epochs"),
            y=alt.Y("fate:N", sort=None, title=None),
            color=alt.Color("fate:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None),
            tooltip=["fate:N", alt.Tooltip("epochs:Q", format=","), alt.Tooltip("share:Q", format=".0%")],
        )
        .properties(height=34 * len(rows) + 10)
    )
    told = ", ".join(f"{max(value / total, 0.01):.0%} for {name} trials" for name, value in spent.items() if value)
    told = told.replace("further seeds trials", "further seeds of the best")
    full = int(trials["config.epochs"].fillna(0).sum()) if "config.epochs" in trials else 0
    saved = f" Without early stopping the same trials would have taken {full:,}." if full > total else ""
    return Figure("costs", question, f"{total:,} in all: {told}.{saved}", [Chart("costs", chart)])


def timeline(run: Run) -> Figure | None:
    """Which worker trained what, when."""
    bars, open_ones = list[dict[str, Any]](), dict[str, tuple[float, str]]()
    status = run.trials.set_index("trial_id")["status"].to_dict()
    for moment in run.moments:
        if moment.kind == "trial_placed":
            open_ones[moment.trial_id] = moment.hours, moment.worker
        elif moment.trial_id in open_ones:
            start, worker = open_ones.pop(moment.trial_id)
            fate = str(status.get(moment.trial_id, "interrupted"))
            bars.append({"worker": worker, "from": start, "to": moment.hours, "trial": moment.trial_id, "status": fate})
    if not bars:
        return None
    busy = sum(bar["to"] - bar["from"] for bar in bars)
    workers = len({bar["worker"] for bar in bars})
    length = max(bar["to"] for bar in bars)
    table = pd.DataFrame(bars)
    shown = table if len(table) <= MOST_BARS else table.sort_values("from").iloc[:: len(table) // MOST_BARS + 1]
    hosts = len({str(bar["worker"]).rpartition(":")[0] for bar in bars})
    chart = (
        alt.Chart(data(_records(shown)))
        .mark_bar(height={"band": 0.8}, stroke="white", strokeWidth=0.4)
        .encode(
            x=alt.X("from:Q", title="hours of the search"),
            x2="to:Q",
            y=alt.Y("worker:N", title=None, axis=alt.Axis(labelLimit=120)),
            color=fate_colour(bars),
            tooltip=["trial:N", "worker:N", "status:N", alt.Tooltip("from:Q", format=".3f")],
        )
        .properties(height=max(60, min(18 * workers, 500)))
    )
    answer = (
        f"{workers:,} process{'es' * (workers > 1)} on {hosts:,} machine{'s' * (hosts > 1)} trained for "
        f"{lasted(busy)} in all, in {lasted(length)} of the search."
    )
    answer += f" {len(shown):,} of {len(table):,} stays are drawn." if len(shown) < len(table) else ""
    return Figure("timeline", "Were the workers busy?", answer, [Chart("timeline", chart)])


def failures(run: Run) -> Figure | None:
    """Why trials failed or diverged, the reasons counted."""
    trials = run.trials
    lost = trials[trials["status"].isin(["failed", "diverged"])] if len(trials) else trials
    if lost.empty or "reason" not in lost:
        return None
    told = ["no reason given" if pd.isna(reason) else re.sub(r"\d+", "N", str(reason)) for reason in lost["reason"]]
    counts = Counter(told).most_common(12)
    rows = [{"reason": reason[:120], "trials": count} for reason, count in counts]
    chart = (
        alt.Chart(data(rows))
        .mark_bar(color=ORANGE)
        .encode(
            x=alt.X("trials:Q", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("reason:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)),
            tooltip=["reason:N", "trials:Q"],
        )
        .properties(height=34 * len(rows) + 10)
    )
    kinds = f", for {len(counts):,} kinds of reasons; most often" if len(counts) > 1 else ""
    answer = f"{len(lost):,} trial{'s' * (len(lost) > 1)}{kinds}: {rows[0]['reason']}."
    return Figure("failures", "Why did trials fail?", answer, [Chart("failures", chart)])


def pareto_front(run: Run) -> Figure | None:
    """The configs by two objectives, those on the front joined; and what the front covers over time."""
    names = [name for name in run.objectives if f"objective.{name}" in run.best]
    if len(names) < 2 or "front" not in run.best:
        return None
    one, other = (f"objective.{name}" for name in names[:2])
    table = run.best.dropna(subset=[one, other])
    if table.empty:
        return None
    rows = [
        {"one": a, "other": b, "front": "on the front" if f == 1 else "behind it", "rank": r}
        for a, b, f, r in zip(table[one], table[other], table["front"].fillna(0), table["rank"], strict=True)
    ]
    scale = alt.Scale(zero=False, nice=True)
    points = alt.Chart(data(rows)).encode(
        x=alt.X("one:Q", title=names[0], scale=scale),
        y=alt.Y("other:Q", title=names[1], scale=scale),
        color=alt.Color(
            "front:N", title=None, scale=alt.Scale(domain=["on the front", "behind it"], range=[BLUE, GREY])
        ),
        tooltip=["rank:Q", alt.Tooltip("one:Q", title=names[0]), alt.Tooltip("other:Q", title=names[1])],
    )
    line = points.transform_filter("datum.front == 'on the front'").mark_line(color=BLUE).encode(order="one:Q")
    chart = (line + points.mark_point(filled=True, size=50)).properties(height=HEIGHT)
    charts = [Chart("front", chart)]
    if len(run.front):
        grown = [{"epochs": e, "volume": v} for e, v in zip(run.front["epochs"], run.front["hypervolume"], strict=True)]
        volume = (
            alt.Chart(data(grown))
            .mark_line(interpolate="step-after", color=GREEN)
            .encode(x=alt.X("epochs:Q", title="epochs trained"), y=alt.Y("volume:Q", title="hypervolume, 0 to 1"))
            .properties(height=HEIGHT)
        )
        charts.append(Chart("hypervolume", volume, "what the front covers"))
    on_front = sum(row["front"] == "on the front" for row in rows)
    covered = f" It covers {float(run.front['hypervolume'].iloc[-1]):.3f} of 1." if len(run.front) else ""
    answer = f"{on_front} of {len(rows)} configs are better than no other in all objectives.{covered}"
    return Figure("front", "What can be had together?", answer, charts)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
