"""What a page says first: questions that a reader has of a search, each with a verdict in words.

Every verdict follows from the tables by a rule that stands in its text; nothing is judged by eye.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from tune_lpc.pages.folder import SCORE_COLUMN, Run
from tune_lpc.plan.methods import regularisers_on

EDGE = 0.05
"""A value within this share of a range from one of its ends lies at the edge."""
TRUSTED, DOUBTED = 0.6, 0.3
"""Rank correlations of a rung with the end from which on it is trusted, and below which it is not."""
MANY, MOST = 0.2, 0.5
"""Shares of trials that diverged or failed from which on there is a warning, or worse."""
PARTED = 1.5
"""DeepFool's median over the shortest flip's from which on gradients are taken to be masked."""


class Level(StrEnum):
    """How good it is."""

    PASS = "PASS"
    WARNING = "WARNING"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Verdict:
    """A question, how the answer is to be taken, and the answer."""

    question: str
    level: Level
    answer: str


def verdicts(run: Run) -> list[Verdict]:
    """All that apply to the run, those of a finished search first."""
    found = [
        first_place(run),
        edge(run),
        rungs(run),
        divergence(run),
        regulariser(run),
        optimism(run),
        robustness(run),
        files(run),
    ]
    return [verdict for verdict in found if verdict is not None]


def first_place(run: Run) -> Verdict:
    """Whether rank 1 can be told from the others."""
    question = "Can the first place be told from the others?"
    best = run.best
    if best.empty:
        return Verdict(question, Level.FAIL, "No config has a score, so none is named.")
    first = best.iloc[0]
    if first["status"] != "completed":
        answer = "No trial has trained its full budget yet; the configs are ranked by how far they came."
        return Verdict(question, Level.WARNING, answer)
    if len(best) == 1:
        return Verdict(question, Level.WARNING, "There is one config alone, with nothing to compare it with.")
    if run.objectives:
        on_front = int((best["front"] == 1).sum()) if "front" in best else 0
        answer = f"With several objectives there is no first place: {on_front} configs are on the Pareto front."
        return Verdict(question, Level.PASS, answer)
    tied = int(best["tied"].fillna(False).astype(bool).sum()) - 1
    if int(first["seeds"]) == 1:
        answer = "No config was trained with a second seed: the first is the luckiest of many single trainings."
        return Verdict(question, Level.WARNING, answer)
    if tied > 0:
        answer = f"No: {tied} other config{'s' * (tied > 1)} can't be told from it with a confidence of 95 %."
        if "regularisers" in best:
            among = best[best["tied"].fillna(False).astype(bool)]
            simplest = among.sort_values(["regularisers", "rank"]).iloc[0]
            if int(simplest["rank"]) > 1:
                answer += f" The simplest of these is rank {int(simplest['rank'])}."
        return Verdict(question, Level.WARNING, answer)
    return Verdict(question, Level.PASS, f"Yes: with {int(first['seeds'])} seeds no other config is within its luck.")


def edge(run: Run) -> Verdict | None:
    """Whether the best lies at the edge of a range; None where nothing with a range was searched."""
    question = "Does the best lie at the edge of a range?"
    if run.best.empty:
        return None
    first, found, ranges = run.best.iloc[0], [], 0
    for name, dimension in run.space.get("dimensions", {}).items():
        place = _place(first.get(f"config.{name}"), dimension)
        if place is None:
            continue
        ranges += 1
        if not EDGE <= place <= 1 - EDGE:
            low, high = dimension["low"], dimension["high"]
            found.append(f"{name} is {first[f'config.{name}']:.3g}, of {low:g} to {high:g}")
    if not ranges:
        return None
    if found:
        answer = f"Yes: {'; '.join(found)}. A wider range may hold a better one."
        return Verdict(question, Level.WARNING, answer)
    return Verdict(question, Level.PASS, f"No: each of its {ranges} values lies {EDGE:.0%} or more inside its range.")


def rungs(run: Run) -> Verdict | None:
    """Whether early stopping chose rightly, by the control trials; None without run.json."""
    question = "Could the rungs be trusted?"
    if not run.about:
        return None
    if not run.about.get("rungs"):
        return Verdict(question, Level.PASS, "There were none: each trial trained its full budget.")
    known = run.fidelity[run.fidelity["spearman"].notna()] if not run.fidelity.empty else run.fidelity
    if known.empty:
        answer = "Nobody knows: no control trials went past them. --control-trials 6 in a search shows it."
        return Verdict(question, Level.WARNING, answer)
    worst = known.sort_values("spearman").iloc[0]
    value = float(worst["spearman"])
    level = Level.PASS if value >= TRUSTED else Level.WARNING if value >= DOUBTED else Level.FAIL
    answer = (
        f"{'Yes' if level is Level.PASS else 'In part' if level is Level.WARNING else 'No'}: at epoch "
        f"{int(worst['rung'])} the scores of {int(worst['trials'])} control trials have a rank correlation of "
        f"{value:.2f} with the final ones (trusted from {TRUSTED} on)."
    )
    return Verdict(question, level, answer)


def divergence(run: Run) -> Verdict:
    """How many trials diverged or failed, and where they lie."""
    question = "How many trials diverged or failed, and where?"
    trials = run.firsts
    if trials.empty:
        return Verdict(question, Level.WARNING, "There is no trial.")
    lost = trials[trials["status"].isin(["diverged", "failed"])]
    share = len(lost) / len(trials)
    if lost.empty:
        return Verdict(question, Level.PASS, f"None of {len(trials):,}.")
    level = Level.FAIL if share > MOST else Level.WARNING if share > MANY else Level.PASS
    counts = ", ".join(f"{count:,} {status}" for status, count in lost["status"].value_counts().items())
    answer = f"{counts} of {len(trials):,} ({share:.0%})."
    if (where := _where(run, lost)) is not None:
        answer += f" {where}"
    return Verdict(question, level, answer)


def regulariser(run: Run) -> Verdict | None:
    """Whether a regulariser is better than none; None where not both were trained in full."""
    question = "Is a regulariser better than none?"
    best = run.best
    if best.empty or run.objectives:
        return None
    full = best[best["status"] == "completed"]
    on = full.apply(lambda row: regularisers_on(_config(row)), axis=1) if len(full) else pd.Series(dtype=int)
    plain, regularised = full[on == 0], full[on > 0]
    if plain.empty or regularised.empty:
        return None
    one, other = regularised.iloc[0], plain.iloc[0]
    gap = float(one["score"]) - float(other["score"])
    told = (
        f"rank {int(one['rank'])} with {_scored(one)} against rank {int(other['rank'])}, the best plain network, with "
        f"{_scored(other)}."
    )
    better, worse = (one, other) if gap >= 0 else (other, one)
    apart = pd.notna(better["low"]) and pd.notna(worse["high"]) and float(better["low"]) > float(worse["high"])
    if not apart:
        return Verdict(question, Level.WARNING, f"It can't be told, as the intervals overlap: {told}")
    return Verdict(question, Level.PASS if gap > 0 else Level.FAIL, f"{'Yes' if gap > 0 else 'No'}: {told}")


def optimism(run: Run) -> Verdict | None:
    """Whether what the search announced holds on test images."""
    question = "How optimistic was the search?"
    if run.best.empty or run.objectives:
        return None
    confirmed = run.confirmed
    tested = confirmed[(confirmed["rank"] == 1) & confirmed["test_accuracy"].notna()] if len(confirmed) else confirmed
    if tested.empty:
        answer = f"Nobody knows: it is not confirmed. Do so: python -m tune_lpc.confirm {run.directory}"
        return Verdict(question, Level.WARNING, answer)
    mean, announced = float(tested["test_accuracy"].astype(float).mean()), float(tested["announced"].iloc[0])
    low = tested["announced_low"].iloc[0] if "announced_low" in tested else None
    inside = low is not None and pd.notna(low) and mean >= float(low)
    gap = 100 * (announced - mean)
    spread = f" ± {100 * float(tested['test_accuracy'].astype(float).std()):.2f}" if len(tested) > 1 else ""
    answer = (
        f"It announced {100 * announced:.2f} %; {len(tested)} networks of fresh seeds came to "
        f"{100 * mean:.2f}{spread} % "
        f"on test images, {abs(gap):.2f} points {'less' if gap >= 0 else 'more'}"
        f"{', inside' if inside else ', below'} the announced interval."
    )
    return Verdict(question, Level.PASS if inside else Level.WARNING, answer)


def robustness(run: Run) -> Verdict | None:
    """Whether DeepFool can be believed of the best; None where not both measures were taken."""
    question = "Is what DeepFool says of robustness real?"
    pair = _robustness_of_best(run)
    if pair is None:
        return None
    deepfool, flip = pair
    ratio = deepfool / flip if flip > 0 else math.inf
    told = f"DeepFool says {deepfool:.3g}, the shortest flip is {flip:.3g} (medians, relative to the image), "
    if ratio > PARTED:
        answer = told + f"{ratio:.1f} times shorter: gradients are masked, and DeepFool is no distance here."
        return Verdict(question, Level.WARNING, answer)
    return Verdict(question, Level.PASS, told + f"{ratio:.2f} times shorter (a warning from {PARTED} on).")


def files(run: Run) -> Verdict | None:
    """Whether the page could read all files; None where it could."""
    if not run.problems:
        return None
    return Verdict("Are the files whole?", Level.FAIL, f"No: {'; '.join(run.problems)}. What is whole is shown.")


def _robustness_of_best(run: Run) -> tuple[float, float] | None:
    for table, prefix in ((run.confirmed, "test."), (run.trials, "measure.")):
        names = [f"{prefix}deepfool_median", f"{prefix}shortest_flip"]
        if table.empty or run.best.empty or any(name not in table for name in names):
            continue
        rows = table[table["trial_id"] == run.best.iloc[0]["trial_id"]].dropna(subset=names)
        if len(rows):
            return float(rows[names[0]].astype(float).mean()), float(rows[names[1]].astype(float).mean())
    return None


def _place(value: Any, dimension: Mapping[str, Any]) -> float | None:
    """Where a value lies in its range, from 0 to 1; None for a choice, and without a value."""
    if dimension.get("type") not in ("float", "int") or value is None or pd.isna(value):
        return None
    low, high, at = float(dimension["low"]), float(dimension["high"]), float(value)
    if dimension.get("log"):
        low, high, at = math.log(low), math.log(high), math.log(max(at, 1e-300))
    return (at - low) / (high - low) if high > low else 0.5


def _where(run: Run, lost: pd.DataFrame) -> str | None:
    """The searched number that tells the lost trials best from the others, if one does."""
    others = run.firsts[~run.firsts["number"].isin(lost["number"])]
    best: tuple[float, str] | None = None
    for name, dimension in run.space.get("dimensions", {}).items():
        column = f"config.{name}"
        if dimension.get("type") not in ("float", "int") or column not in run.trials:
            continue
        mine, theirs = lost[column].dropna().astype(float), others[column].dropna().astype(float)
        if len(mine) < 2 or len(theirs) < 2:
            continue
        # The chance that a lost trial has the larger value (Mann and Whitney): 0.5 tells nothing.
        ranks = pd.concat([mine, theirs]).rank()
        chance = (ranks.iloc[: len(mine)].sum() - len(mine) * (len(mine) + 1) / 2) / (len(mine) * len(theirs))
        told = f"They have {'larger' if chance > 0.5 else 'smaller'} {name}: {mine.median():.3g} in the middle, "
        told += f"against {theirs.median():.3g} of the others."
        if best is None or abs(chance - 0.5) > best[0]:
            best = abs(chance - 0.5), told
    return best[1] if best is not None and best[0] >= 0.25 else None


def _config(row: pd.Series[Any]) -> dict[str, Any]:
    return {
        str(name).removeprefix("config."): None if pd.isna(value) else value
        for name, value in row.items()
        if str(name).startswith("config.")
    }


def _scored(row: pd.Series[Any]) -> str:
    text = f"{100 * float(row['score']):.2f} %"
    if pd.notna(row["low"]) and pd.notna(row["high"]):
        text += f" ({100 * float(row['low']):.2f} to {100 * float(row['high']):.2f})"
    return text


def final_scores(run: Run) -> pd.Series[float]:
    """The last scores of the trials that trained their full budget, by their place in trials.parquet."""
    trials = run.trials
    scores: pd.Series[float] = trials.loc[trials["status"] == "completed", SCORE_COLUMN].dropna().astype(float)
    return scores
