"""Figures of what happened over time: how the best came about, how trials learnt, what the best config went through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from tune_lpc.pages.figure import (
    BLUE,
    GREY,
    HEIGHT,
    SHARES,
    SMALL_HEIGHT,
    Chart,
    Figure,
    data,
    fate_colour,
    layered,
    outside_told,
    robust_domain,
    score_axis,
    whole_axis,
)
from tune_lpc.pages.folder import SCORE_COLUMN, Run
from tune_lpc.pages.words import count, duration, percent, short, unit_of

MOST_CURVES = 40
POINTS_OF_CURVE = 60
STRONG = 5
"""How many of the ranking are not faded."""
HALF_A_POINT = 0.005
MOST_ENDED = 400
OVER_TIME = {
    "gamma": ("gamma", True),
    "beta": ("beta", False),
    "topological_weight": ("topological weight", False),
    "learning_rate": ("learning rate", True),
    "nc1": ("NC1", True),
    "mean_norm": ("mean ‖z‖", True),
    "validation_accuracy": ("validation accuracy", False),
}
"""What is drawn of the best over time: its title, and whether on a logarithmic axis."""
MOST_POINTS_OF_LINE = 200


@dataclass(frozen=True)
class Ended:
    """A trial that trained its full budget: its score, what all trials had spent by its end, and its number."""

    score: float
    epochs: int
    hours: float
    number: int


@dataclass(frozen=True)
class Progress:
    """How a search went on. ended: trials in order of their ends. epochs, hours: of the whole search."""

    ended: Sequence[Ended]
    epochs: int
    hours: float

    @property
    def steps(self) -> list[Ended]:
        """Those that were better than all before them."""
        found = list[Ended]()
        for one in self.ended:
            if not found or one.score > found[-1].score:
                found.append(one)
        return found


def progress_of(run: Run) -> Progress:
    """When trials ended, and what had been spent by then.

    Without a journal trials count as if they had run one after another, in order of number.
    """
    trials = run.trials.sort_values("number")
    ends = run.times.ends()
    if not ends:
        hours = trials["seconds"].fillna(0.0).astype(float).cumsum() / 3600
        ends = dict(zip(trials["trial_id"].astype(str), hours, strict=True))
    table = {str(trial["trial_id"]): trial for trial in trials.to_dict("records")}
    ended, epochs = list[Ended](), 0
    for trial_id, at in sorted(ends.items(), key=lambda item: item[1]):
        trial = table.get(trial_id)
        if trial is None:
            continue
        epochs += 0 if pd.isna(trial["epochs_trained"]) else int(trial["epochs_trained"])
        if trial["status"] == "completed" and pd.notna(trial[SCORE_COLUMN]):
            ended.append(Ended(float(trial[SCORE_COLUMN]), epochs, at, int(trial["number"])))
    return Progress(ended, epochs, max(run.times.hours, max(ends.values(), default=0.0)))


def best_so_far(run: Run) -> Figure:
    """The best score so far against epochs and hours, and the scores of all that trained in full."""
    question = "How did the best come about?"
    progress = progress_of(run)
    steps = progress.steps
    if not steps:
        return Figure("best_so_far", question, "No trial has trained its full budget, so there is no best yet.")
    last = steps[-1]
    near = next(step for step in steps if step.score >= last.score - HALF_A_POINT)
    answer = (
        f"The best single training, trial {last.number} with {percent(last.score)}, was there after {last.epochs:,} of "
        f"{count(progress.epochs, 'epoch')} and {duration(last.hours)} of {duration(progress.hours)}"
    )
    answer += "." if near is last else f"; trial {near.number}, half a point from it, after {near.epochs:,} epochs."
    others = progress.ended[:: -(-len(progress.ended) // MOST_ENDED)]
    y, outside = score_axis([one.score for one in (*others, *steps)], "score")
    size, unit = unit_of(progress.hours)
    line = [*steps, Ended(last.score, progress.epochs, progress.hours, last.number)]
    axes = {
        "epochs": whole_axis("epochs trained by all trials", zero=True),
        "time": {
            "title": f"{unit} of the search",
            "scale": alt.Scale(nice=False, zero=True),
            "axis": alt.Axis(tickCount=6),
        },
    }
    charts = []
    for axis, told in axes.items():
        x = alt.X(f"{axis}:Q", **told)
        tip = [alt.Tooltip("trial:Q"), alt.Tooltip("score:Q", format=".4f"), alt.Tooltip(f"{axis}:Q", format=",.4~g")]
        best = alt.Chart(_rows(line, size)).encode(x=x, y=y)
        dots = alt.Chart(_rows(others, size)).mark_point(filled=True, color=GREY, size=22, opacity=0.55)
        layers = [
            dots.encode(x=x, y=y, tooltip=tip),
            best.mark_line(interpolate="step-after", color=BLUE, strokeWidth=2),
            best.mark_point(filled=True, color=BLUE, size=45, opacity=1).encode(tooltip=tip),
        ]
        charts.append(Chart(f"best_by_{'hours' if axis == 'time' else axis}", layered(layers, HEIGHT), f"by {axis}"))
    answer += f" Grey are all that trained in full.{outside_told(outside)}"
    return Figure("best_so_far", question, answer, charts)


def _rows(ended: Sequence[Ended], size: float) -> alt.InlineData:
    """Ends of trials as the data of a chart, their times in units of so many hours."""
    return data(
        {"epochs": one.epochs, "time": one.hours / size, "score": one.score, "trial": one.number} for one in ended
    )


def learning_curves(run: Run) -> Figure:
    """Curves of the best and of some others, stopped ones faded."""
    question = "How did the trials learn?"
    firsts = run.firsts
    ranked = run.best["trial_id"].head(STRONG).tolist()
    others = firsts[~firsts["trial_id"].isin(ranked) & firsts["epochs"].gt(0).fillna(False)]
    sample = others.sample(min(len(others), MOST_CURVES - len(ranked)), random_state=0)["trial_id"].tolist()
    epochs = run.curves([*ranked, *sample], ["validation_accuracy"]) if ranked or sample else pd.DataFrame()
    if epochs.empty:
        return Figure("learning_curves", question, "There is no epoch to draw.")
    status = dict(zip(firsts["trial_id"], firsts["status"], strict=True))
    number = dict(zip(firsts["trial_id"], firsts["number"], strict=True))
    rows = [
        {"trial": number[trial_id], "status": status[trial_id], "best": trial_id in ranked, **point}
        for trial_id, curve in epochs.groupby("trial_id")
        for point in _points(curve)
    ]
    if not rows:
        return Figure("learning_curves", question, "None of the epochs has a validation accuracy.")
    # Curves rise from chance; what is worth seeing lies above the lowest tenth of all points.
    scores = pd.Series([row["score"] for row in rows], dtype=float)
    domain, _ = robust_domain(scores[scores >= scores.quantile(0.1)], limits=SHARES)
    scale = alt.Scale(domain=list(domain or SHARES), nice=False)
    below = int((scores < (domain or SHARES)[0]).sum())
    chart = (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=1.8, clip=True)
        .encode(
            x=alt.X("epoch:Q", **whole_axis("epoch")),
            y=alt.Y("score:Q", title="validation accuracy", scale=scale, axis=alt.Axis(tickCount=6)),
            detail="trial:N",
            color=fate_colour(rows),
            opacity=alt.when("datum.best").then(alt.value(1.0)).otherwise(alt.value(0.32)),
            tooltip=["trial:Q", "status:N", "epoch:Q", alt.Tooltip("score:Q", format=".4f")],
        )
        .properties(height=HEIGHT + 60)
    )
    stopped = int((firsts["status"] == "stopped").sum())
    stopped_told = f"{stopped:,} {'was' if stopped == 1 else 'were'}" if stopped else "none was"
    answer = f"Of {count(len(firsts), 'config')} {stopped_told} stopped at a rung."
    if ranked:
        answer += f" The first {len(ranked)} of the ranking are" if len(ranked) > 1 else " The best is"
        answer += " drawn strongly," + (
            f" {len(sample):,} of the other {len(others):,} faded." if sample else " alone."
        )
    answer += f" {count(below, 'point')} {'lie' if below != 1 else 'lies'} below the axis." if below else ""
    return Figure("learning_curves", question, answer, [Chart("learning_curves", chart)])


def _points(curve: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The longest run of a trial, thinned; its last epoch stays."""
    longest = curve[curve["budget"] == curve["budget"].max()].dropna(subset=["validation_accuracy"])
    longest = longest.sort_values("epoch")
    step = max(1, -(-len(longest) // POINTS_OF_CURVE))
    kept = pd.concat([longest.iloc[::step], longest.tail(1)]).drop_duplicates("epoch")
    for epoch, score in zip(kept["epoch"], kept["validation_accuracy"], strict=True):
        yield {"epoch": epoch, "score": float(score)}


def best_over_time(run: Run) -> Figure:
    """Schedules and collapse of the best config over its epochs."""
    question = "What did the best config go through?"
    if run.best.empty:
        return Figure("best_over_time", question, "There is no best config.")
    first = run.best.iloc[0]
    epochs = run.curves([str(first["trial_id"])], list(OVER_TIME))
    if epochs.empty:
        return Figure("best_over_time", question, "epochs.parquet has none of its epochs.")
    epochs = epochs[epochs["budget"] == epochs["budget"].max()].sort_values("epoch")
    step = max(1, -(-len(epochs) // MOST_POINTS_OF_LINE))
    epochs = pd.concat([epochs.iloc[::step], epochs.tail(1)]).drop_duplicates("epoch")
    charts, told, off = list[Chart](), list[str](), list[str]()
    for name, (title, log) in OVER_TIME.items():
        values = epochs[["epoch", name]].dropna().astype(float) if name in epochs else pd.DataFrame()
        if values.empty or not values[name].any():
            off += [title] if name in ("gamma", "topological_weight") else []
            continue
        charts.append(Chart(f"best_{name}", _line(values, name, log=log), title))
        start, end = float(values[name].iloc[0]), float(values[name].iloc[-1])
        told.append(f"{title} {short(start)}" if start == end else f"{title} from {short(start)} to {short(end)}")
    answer = (
        f"Rank 1, trial {int(first['number'])}, trained with {'; '.join(told)}." if told else "Nothing is known of it."
    )
    answer += f" Its {' and '.join(off)} {'are' if len(off) > 1 else 'is'} off." if off else ""
    return Figure("best_over_time", question, answer, charts)


def _line(values: pd.DataFrame, name: str, *, log: bool) -> alt.Chart:
    """One quantity over the epochs; on a logarithmic axis only what is above 0, and no vanishing last step."""
    known = values[values[name] > 0] if log else values
    span = float(known[name].max()) / float(known[name].min()) if log and len(known) else 1.0
    scale: dict[str, Any] = {"type": "log", "nice": False} if span > 3 else {"zero": False, "nice": True}
    if name == "learning_rate" and span > 1e3:  # a cosine that ends at 0: what is below says nothing
        scale |= {"domain": [float(known[name].max()) / 1e3, float(known[name].max())], "clamp": True}
    rows = [{"epoch": int(e), "value": v} for e, v in zip(known["epoch"], known[name], strict=True)]
    chart: alt.Chart = (
        alt.Chart(data(rows))
        .mark_line(color=BLUE, strokeWidth=2, point={"size": 28, "color": BLUE} if len(rows) < 3 else False)
        .encode(
            x=alt.X("epoch:Q", **whole_axis("epoch")),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(**scale), axis=alt.Axis(format="~g", tickCount=4)),
            tooltip=["epoch:Q", alt.Tooltip("value:Q", format=".4~g")],
        )
        .properties(height=SMALL_HEIGHT)
    )
    return chart
