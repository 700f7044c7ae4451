"""Figures of what a search cost: epochs by fate, what the rungs let through, workers over time, why trials failed."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import altair as alt
import pandas as pd

from tune_lpc.pages.figure import (
    APART,
    BLUE,
    FATES,
    GREEN,
    GREY,
    HEIGHT,
    Chart,
    Figure,
    data,
    fate_colour,
    jitter,
    outside_told,
    score_axis,
    shown_of,
    thinned,
)
from tune_lpc.pages.folder import Run
from tune_lpc.pages.words import count, duration, unit_of
from tune_lpc.results.summary import epochs_without_stopping

MOST_BARS = 1200
MOST_WORKERS = 32
MOST_REASONS = 12
LONGEST_REASON = 120
REPEATS = "further seeds"


def costs(run: Run) -> Figure:
    """Epochs by what became of the trials."""
    question = "Where did the epochs go?"
    trials = run.trials
    epochs = trials["epochs_trained"].fillna(0).astype(int)
    total = int(epochs.sum())
    if not total:
        return Figure("costs", question, "None was trained.")
    fate = trials["status"].astype(str).where(trials["repeat_of"].isna(), REPEATS)
    spent = epochs.groupby(fate).sum().sort_values(ascending=False)
    spent = spent[spent > 0]
    rows = [{"fate": name, "epochs": value, "share": value / total} for name, value in spent.items()]
    colours = {**FATES, REPEATS: GREEN}
    chart = (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            x=alt.X("epochs:Q", axis=alt.Axis(format=",d", tickMinStep=1, tickCount=5), title="epochs"),
            y=alt.Y("fate:N", sort=None, title=None),
            color=alt.Color("fate:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None),
            tooltip=["fate:N", alt.Tooltip("epochs:Q", format=","), alt.Tooltip("share:Q", format=".0%")],
        )
        .properties(height=34 * len(rows) + 10)
    )
    words = {REPEATS: "further seeds of the best"}
    shares = {str(name): 100 * int(value) / total for name, value in spent.items()}
    told = ", ".join(
        f"{'under 1' if share < 1 else round(share)} % for {words.get(name, f'{name} trials')}"
        for name, share in shares.items()
    )
    answer = f"{count(total, 'epoch')} in all: {told}. {_without_stopping(trials, total)}"
    again = int(trials["epochs_repeated"].fillna(0).sum())
    answer += (
        f" {count(again, 'epoch')} more {'were' if again > 1 else 'was'} done again after a failure." if again else ""
    )
    return Figure("costs", question, answer, [Chart("costs", chart)])


def _without_stopping(trials: pd.DataFrame, total: int) -> str:
    without = epochs_without_stopping(trials)
    if without > total:
        return f"Without early stopping the same trials would have taken {without:,}."
    if without < total:
        return f"Without early stopping the same trials would have taken only {without:,}: short runs come on top."
    return "No epoch was saved by early stopping."


def rung_ladder(run: Run) -> Figure | None:
    """What each rung saw, and what it let through."""
    rungs = run.rungs.dropna(subset=["rung"])
    if rungs.empty:
        return None
    last = rungs.drop_duplicates(["trial_id", "rung"], keep="last")
    parts = []
    for rung, rows in last.groupby("rung"):
        through = int(rows["goes_on"].fillna(False).astype(bool).sum())
        parts.append(f"at epoch {rung}, {through:,} of {len(rows):,} went on")
    scored = last.dropna(subset=["score"])
    answer = f"In all, {'; '.join(parts)}."
    if scored.empty:
        return Figure("rung_ladder", "What did the rungs let through?", answer)
    shown = thinned(scored, "score")
    y, outside = score_axis(shown["score"], "score", "score at the rung")
    points = [
        {
            "rung": rung,
            "score": score,
            "went": "went on" if goes_on else "left",
            "trial": number,
            "place": jitter(number),
        }
        for rung, score, goes_on, number in zip(
            shown["rung"], shown["score"], shown["goes_on"].fillna(False), shown["number"].fillna(0), strict=True
        )
    ]
    chart = (
        alt.Chart(data(points))
        .mark_point(filled=True, size=36, opacity=0.65)
        .encode(
            x=alt.X("rung:O", title="rung, epochs", axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("place:Q", scale=APART),
            y=y,
            color=alt.Color(
                "went:N",
                title=None,
                scale=alt.Scale(domain=["went on", "left"], range=[BLUE, GREY]),
            ),
            tooltip=["trial:Q", "rung:O", alt.Tooltip("score:Q", format=".4f"), "went:N"],
        )
        .properties(height=HEIGHT)
    )
    answer += f"{shown_of(len(shown), len(scored))}{outside_told(outside, 'scores')}"
    return Figure("rung_ladder", "What did the rungs let through?", answer, [Chart("rung_ladder", chart)])


def timeline(run: Run) -> Figure | None:
    """Which worker trained what, when."""
    stays = run.times.stays()
    if not stays:
        return None
    status = dict(zip(run.trials["trial_id"], run.trials["status"], strict=True))
    size, unit = unit_of(run.times.hours)
    table = pd.DataFrame(
        {
            "worker": [stay.worker for stay in stays],
            "from": [stay.start / size for stay in stays],
            "to": [stay.end / size for stay in stays],
            "trial": [stay.trial_id for stay in stays],
            "status": [str(status.get(stay.trial_id, "interrupted")) for stay in stays],
        }
    )
    busy = sum(stay.end - stay.start for stay in stays)
    workers = table["worker"].nunique()
    hosts = table["worker"].str.rpartition(":")[0].nunique()
    chosen = list(dict.fromkeys(table["worker"]))[:MOST_WORKERS]
    drawn = table[table["worker"].isin(chosen)]
    drawn = drawn.iloc[:: -(-len(drawn) // MOST_BARS)]
    rows: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in drawn.to_dict("records")]
    chart = (
        alt.Chart(data(rows))
        .mark_bar(height={"band": 0.8}, minBandSize=1)
        .encode(
            x=alt.X("from:Q", title=f"{unit} of the search", scale=alt.Scale(nice=False), axis=alt.Axis(tickCount=6)),
            x2="to:Q",
            y=alt.Y("worker:N", sort=chosen, title=None, axis=alt.Axis(labelLimit=110)),
            color=fate_colour(rows),
            tooltip=[
                "trial:N",
                "worker:N",
                "status:N",
                alt.Tooltip("from:Q", format=".3~f"),
                alt.Tooltip("to:Q", format=".3~f"),
            ],
        )
        .properties(height=max(60, min(20 * len(chosen), 500)))
    )
    at_once = f" of {run.part('resources')['concurrent']}" if run.part("resources").get("concurrent") else ""
    answer = (
        f"{count(workers, 'process', 'processes')} on {count(hosts, 'machine')} trained for {duration(busy)} together, "
        f"in {duration(run.times.hours)} of the search"
    )
    answer += f": on average {busy / run.times.hours:.1f}{at_once} trials at a time." if run.times.hours else "."
    answer += f" The first {len(chosen)} are drawn." if workers > len(chosen) else ""
    answer += (
        f" Of their stays each {len(table) // MOST_BARS + 1}th."
        if len(drawn) < len(table) and workers <= len(chosen)
        else ""
    )
    return Figure("timeline", "Were the workers busy?", answer, [Chart("timeline", chart)])


def failures(run: Run) -> Figure | None:
    """Why trials failed or diverged, the reasons counted; numbers in them stand for any."""
    lost = run.trials[run.trials["status"].isin(["failed", "diverged"])]
    if lost.empty:
        return None
    told = ["no reason given" if pd.isna(reason) else re.sub(r"\d+", "N", str(reason)) for reason in lost["reason"]]
    counts = Counter(told)
    found = [(reason[:LONGEST_REASON], number) for reason, number in counts.most_common(MOST_REASONS)]
    kinds = f", for {len(counts):,} kinds of reasons; most often" if len(counts) > 1 else ""
    answer = f"{count(len(lost), 'trial')}{kinds}: {found[0][0]}."
    return Figure("failures", "Why did trials fail?", answer, counts=found)
