"""What a page says first: questions that a reader has of a search, each with a verdict in words.

Every verdict follows from the tables by a rule that stands in its text; nothing is judged by eye.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from tune_lpc.pages.folder import CONFIG, MEASURE, Run
from tune_lpc.pages.lost import divergence_answer, place_in_range
from tune_lpc.pages.words import count, interval, percent, short
from tune_lpc.plan.methods import OFF, regularisers_on

EDGE = 0.05
"""A value within this share of a range from one of its ends lies at the edge."""
TRUSTED, DOUBTED = 0.6, 0.3
"""Rank correlations of a rung with the end from which on it is trusted, and below which it is not."""
MANY, MOST = 0.2, 0.5
"""Shares of trials that diverged or failed from which on there is a warning, or worse."""
PARTED = 1.5
"""DeepFool over the shortest flip from which on gradients are taken to be masked."""


class Level(StrEnum):
    """How good it is."""

    PASS = "PASS"
    WARNING = "WARNING"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Verdict:
    """A question, how the answer is to be taken, and the answer. command: what settles the question, if one does."""

    question: str
    level: Level
    answer: str
    command: str = ""


def verdicts(run: Run) -> list[Verdict]:
    """All that apply to the run."""
    found = [
        files(run),
        first_place(run),
        edge(run),
        rungs(run),
        divergence(run),
        regulariser(run),
        optimism(run),
        robustness(run),
    ]
    return [verdict for verdict in found if verdict is not None]


def files(run: Run) -> Verdict | None:
    """Whether the files are whole; None where they are."""
    if not run.problems:
        return None
    told = "; ".join(problem.removesuffix(".") for problem in run.problems)
    return Verdict("Are the files whole?", Level.FAIL, f"No: {told}. What is whole is shown.")


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
        on_front = int((best["front"] == 1).sum())
        answer = f"With several objectives there is no first place: {count(on_front, 'config')} on the Pareto front."
        return Verdict(question, Level.PASS if on_front else Level.WARNING, answer)
    if pd.isna(first["low"]):
        answer = "It can't be told: there are no intervals, as the number of validation images is not known."
        return Verdict(question, Level.WARNING, answer)
    tied = best[best["tied"].fillna(False).astype(bool)]
    others = len(tied) - 1
    lucky = "" if int(first["seeds"]) > 1 else " It is the luckiest of many single trainings; --seeds 3 tells more."
    if others <= 0:
        level = Level.WARNING if lucky else Level.PASS
        rests_on = count(int(first["seeds"]), "seed")
        return Verdict(question, level, f"Yes: with {rests_on} no other config is within its luck (95 %).{lucky}")
    answer = f"No: {count(others, 'other config')} can't be told from it (95 %)."
    if tied["regularisers"].notna().all():
        simplest = tied.sort_values(["regularisers", "rank"]).iloc[0]
        if simplest["regularisers"] < first["regularisers"]:
            answer += f" Of these rank {int(simplest['rank'])} is the simplest."
    return Verdict(question, Level.WARNING, answer + lucky)


def edge(run: Run) -> Verdict | None:
    """Whether the best lies at the edge of a range; None where nothing with a range was searched."""
    question = "Does the best lie at the edge of a range?"
    if run.best.empty:
        return None
    first, found, ranges = run.best.iloc[0], [], 0
    for name, dimension in run.dimensions.items():
        place = place_in_range(first.get(f"{CONFIG}{name}"), dimension)
        if place is None:
            continue
        ranges += 1
        if not EDGE <= place <= 1 - EDGE:
            value, low, high = (float(x) for x in (first[f"{CONFIG}{name}"], dimension["low"], dimension["high"]))
            found.append(f"{name} is {short(value)}, of {short(low)} to {short(high)}")
    if not ranges:
        return None
    if found:
        return Verdict(question, Level.WARNING, f"Yes: {'; '.join(found)}. A wider range may hold a better one.")
    answer = f"No: each of its {count(ranges, 'value')} lies inside its range, by {100 * EDGE:.0f} % of it or more."
    return Verdict(question, Level.PASS, answer.replace("each of its 1 value lies", "its one value lies"))


def rungs(run: Run) -> Verdict | None:
    """Whether early stopping chose rightly, by the control trials; None without run.json."""
    question = "Could the rungs be trusted?"
    if not run.about:
        return None
    if not run.about.get("rungs"):
        return Verdict(question, Level.PASS, "There were none: each trial trained its full budget.")
    known = run.fidelity[run.fidelity["spearman"].notna()]
    if known.empty:
        answer = "Nobody knows: too few control trials went past them. --control-trials 6 in a search shows it."
        return Verdict(question, Level.WARNING, answer)
    worst = known.sort_values("spearman").iloc[0]
    value = float(worst["spearman"])
    level = Level.PASS if value >= TRUSTED else Level.WARNING if value >= DOUBTED else Level.FAIL
    said = {Level.PASS: "Yes", Level.WARNING: "In part", Level.FAIL: "No"}[level]
    answer = (
        f"{said}: at epoch {int(worst['rung'])} the scores of {int(worst['trials'])} control trials have a rank "
        f"correlation of {value:.2f} with their final ones (trusted from {TRUSTED} on)."
    )
    regret = known["regret"].dropna().astype(float)
    if len(regret):
        lost = 100 * float(regret.max())
        answer += " The best of them" + (
            f" were {lost:.2f} points worse than all." if lost else " would have got through."
        )
    return Verdict(question, level, answer)


def divergence(run: Run) -> Verdict:
    """How many trials diverged or failed, and where they lie."""
    question = "How many trials diverged or failed, and where?"
    trials = run.firsts
    if trials.empty:
        return Verdict(question, Level.WARNING, "There is no trial.")
    share = float(trials["status"].isin(["diverged", "failed"]).mean())
    level = Level.FAIL if share > MOST else Level.WARNING if share > MANY else Level.PASS
    return Verdict(question, level, divergence_answer(trials, run.dimensions))


def regulariser(run: Run) -> Verdict | None:
    """Whether a regulariser is better than none; None where the search had one alone, or several objectives."""
    question = "Is a regulariser better than none?"
    if run.best.empty or run.objectives:
        return None
    full = run.best[run.best["status"] == "completed"]
    on = full.apply(_regularisers, axis=1) if len(full) else pd.Series(dtype=int)
    plain, regularised = full[on == 0], full[on > 0]
    if plain.empty or regularised.empty:
        if not _could_be_both(run):
            return None
        lacking = "plain" if plain.empty else "regularised"
        answer = f"It can't be told: no {lacking} network was trained in full."
        answer += " A search with --method vanilla trains plain ones alone." if plain.empty else ""
        return Verdict(question, Level.WARNING, answer)
    one, other = regularised.iloc[0], plain.iloc[0]
    is_better = int(one["rank"]) < int(other["rank"])
    told = (
        f"rank {int(one['rank'])} with {_scored(one)} against rank {int(other['rank'])}, the best plain network, with "
        f"{_scored(other)}."
    )
    second = other if is_better else one
    if pd.isna(second["low"]) or pd.isna(second["tied"]):
        return Verdict(question, Level.WARNING, f"It can't be told without intervals: {told}")
    if second["tied"]:  # one of both is rank 1, with which all others were compared
        return Verdict(question, Level.WARNING, f"They can't be told apart (95 %): {told}")
    return Verdict(question, Level.PASS if is_better else Level.FAIL, f"{'Yes' if is_better else 'No'}: {told}")


def optimism(run: Run) -> Verdict | None:
    """Whether what the search announced holds on test images; None where there is nothing to confirm."""
    question = "How optimistic was the search?"
    if run.best.empty or run.best.iloc[0]["status"] != "completed":
        return None
    tested = run.confirmed[(run.confirmed["rank"] == 1) & run.confirmed["test_accuracy"].notna()]
    if tested.empty:
        command = f"python -m tune_lpc.confirm {shlex.quote(str(run.directory))}"
        return Verdict(question, Level.WARNING, "Nobody knows: the winner is not confirmed on test images.", command)
    accuracies = tested["test_accuracy"].astype(float)
    mean, announced, low = float(accuracies.mean()), tested["announced"].iloc[0], tested["announced_low"].iloc[0]
    spread = f" ± {100 * float(accuracies.std()):.2f}" if len(tested) > 1 else ""
    networks = f"{count(len(tested), 'network')} of fresh seeds came to {100 * mean:.2f}{spread} % on test images"
    if pd.isna(announced):
        return Verdict(question, Level.WARNING, f"What it announced is not known; {networks}.")
    gap = 100 * (float(announced) - mean)
    apart = f"{abs(gap):.2f} points {'less' if gap >= 0 else 'more'}"
    if pd.isna(low):
        level, where = Level.WARNING, "with no interval to say how much that is"
    elif mean >= float(low):
        level, where = Level.PASS, "not below the announced interval"
    else:
        level, where = Level.WARNING, "below the announced interval"
    return Verdict(question, level, f"It announced {percent(float(announced))}; {networks}, {apart}, {where}.")


def robustness(run: Run) -> Verdict | None:
    """Whether DeepFool can be believed of the best; None where not both measures were taken."""
    question = "Is what DeepFool says of robustness real?"
    pair = robustness_of_best(run)
    if pair is None:
        return None
    deepfool, flip, where = pair
    ratio = deepfool / flip if flip > 0 else math.inf
    told = f"DeepFool's perturbation is {short(deepfool)}, the shortest flip {short(flip)} ({where}): "
    if ratio > PARTED:
        return Verdict(
            question, Level.WARNING, f"{told}{ratio:.1f} times shorter. Gradients are masked: believe the flip."
        )
    return Verdict(question, Level.PASS, f"{told}a ratio of {ratio:.2f} (a warning above {PARTED}).")


def robustness_of_best(run: Run) -> tuple[float, float, str] | None:
    """DeepFool's perturbation and the shortest flip of rank 1, as a share of the image, and of which images.

    Medians where there are both, else means; on test images where it is confirmed. None without both measures.
    """
    if run.best.empty:
        return None
    sources = ((run.confirmed, "test.", "test images"), (run.trials, MEASURE, "validation images"))
    for kind, names in (
        ("medians", ("deepfool_median", "shortest_flip")),
        ("means", ("deepfool", "shortest_flip_mean")),
    ):
        for table, prefix, images in sources:
            columns = [prefix + name for name in names]
            if any(column not in table for column in columns):
                continue
            rows = table[table["trial_id"] == run.best.iloc[0]["trial_id"]].dropna(subset=columns)
            if len(rows):
                one, other = (float(rows[column].astype(float).mean()) for column in columns)
                return one, other, f"{kind} on {images}"
    return None


def _could_be_both(run: Run) -> bool:
    """Whether the search could draw plain networks and regularised ones."""
    settings = run.space.get("settings")
    fixed = settings if isinstance(settings, dict) else {}
    options = [run.dimensions.get(name, {}).get("options", [fixed.get(name, off)]) for name, off in OFF.items()]
    can_be_off = all(off in values for values, off in zip(options, OFF.values(), strict=True))
    return can_be_off and any(len(values) > 1 for values in options)


def _regularisers(row: pd.Series[Any]) -> int:
    if pd.notna(row["regularisers"]):
        return int(row["regularisers"])
    config = {name: row.get(f"{CONFIG}{name}") for name in OFF}
    return regularisers_on({name: value for name, value in config.items() if pd.notna(value)})


def _scored(row: pd.Series[Any]) -> str:
    between = interval(row["low"], row["high"])
    return percent(float(row["score"])) + (f" ({between})" if between else "")
