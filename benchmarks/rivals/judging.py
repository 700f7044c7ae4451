"""How good the configs are that searches name, and how honest what is announced of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.rivals.problem import CLASSES, JUDGING, Problem
from benchmarks.rivals.trace import Named, Trace

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    mean: float
    low: float
    high: float

    def text(self, *, signed: bool = False) -> str:
        """In points, such as '98.61 ± 0.12'."""
        sign = "+" if signed else ""
        return f"{100 * self.mean:{sign}.2f} ± {50 * (self.high - self.low):.2f}"

    @property
    def is_apart(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Judged:
    """What many searches of a contestant came to with a budget.

    qualities: the truth of what each named, (searches,); that of guessing where one named nothing. covered: the share
    of those that named something in which the truth lies in the stated interval. reached: the same where the interval
    is widened by the error of the truth (see `variance_of_truth`). announced_over_true: the mean excess.
    spent: epochs, on average. silent: how many named nothing.
    """

    qualities: np.ndarray
    covered: float
    reached: float
    announced_over_true: float
    spent: float
    silent: int

    @property
    def quality(self) -> Interval:
        """The mean, with an interval from the spread of the searches."""
        return mean_of(self.qualities)


def judge(problem: Problem, traces: Sequence[Trace], budget: int) -> Judged:
    """Judge what each search would name after `budget` epochs."""
    named = [trace.at(budget) for trace in traces]
    found = [now for now in named if now is not None]
    true = [problem.truth[now.config] for now in found]
    ends = [stated_interval(now, problem.validation) for now in found]
    wider = [
        widened(now.score, end, variance_of_truth(problem, at)) for now, end, at in zip(found, ends, true, strict=True)
    ]
    return Judged(
        np.array([1 / CLASSES if now is None else problem.truth[now.config] for now in named]),
        *(
            float(np.mean([low <= at <= high for at, (low, high) in zip(true, every, strict=True)]))
            if found
            else math.nan
            for every in (ends, wider)
        ),
        float(np.mean([now.score - at for now, at in zip(found, true, strict=True)])) if found else math.nan,
        float(np.mean([min(trace.spent, budget) for trace in traces])),
        len(named) - len(found),
    )


def stated_interval(named: Named, images: int) -> tuple[float, float]:
    """The 95 % interval that a tool states; where it states none, that of Clopper and Pearson for one score."""
    if named.low is not None and named.high is not None:
        return named.low, named.high
    right = round(named.score * images)
    tail = (1 - LEVEL) / 2
    low = float(stats.beta.ppf(tail, right, images - right + 1)) if right > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, right + 1, images - right)) if right < images else 1.0
    return low, high


def variance_of_truth(problem: Problem, truth: float) -> float:
    """Of a measured truth: that of its images, which all its seeds share, and that of the seeds.

    The seeds' is the mean over the better half of the configs: others may collapse with one seed and not with the next.
    """
    half = sorted(problem.configs, key=lambda config: -problem.truth[config])[: (len(problem.configs) + 1) // 2]
    seeds = [[problem.runs[config, seed, 0].left_over for seed in problem.judges] for config in half]
    between = float(np.var(seeds, axis=1, ddof=1).mean()) / len(problem.judges)
    return truth * (1 - truth) / JUDGING[problem.name] + between


def widened(score: float, stated: tuple[float, float], variance: float) -> tuple[float, float]:
    """A stated interval of a score, each side widened by the 95 % error of what it is compared with.

    The errors are independent, so their squares add up.
    """
    low, high = stated
    own = float(stats.norm.ppf((1 + LEVEL) / 2)) * math.sqrt(variance)
    return score - math.hypot(score - low, own), score + math.hypot(high - score, own)


def mean_of(values: np.ndarray) -> Interval:
    """The mean of independent values, with its interval by Student's t."""
    mean, error = float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half)


def difference(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """Of the means of two independent samples, with its interval by Welch."""
    shares = [float(values.var(ddof=1)) / len(values) for values in (ours, theirs)]
    mean, error = float(ours.mean() - theirs.mean()), math.sqrt(sum(shares))
    if error == 0:
        return Interval(mean, mean, mean)
    freedom = error**4 / sum(share**2 / (len(values) - 1) for share, values in zip(shares, (ours, theirs), strict=True))
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Interval(mean, mean - half, mean + half)


def needed(budgets: Sequence[float], means: Sequence[float], wanted: float) -> float | None:
    """The budget at which the means, joined by straight lines, first reach what is wanted; None where they don't.

    No less than the smallest budget, below which nobody looked.
    """
    if means[0] >= wanted:
        return budgets[0]
    for (before, low), (after, high) in zip(
        zip(budgets, means, strict=True), list(zip(budgets, means, strict=True))[1:], strict=False
    ):
        if high >= wanted:
            return before + (after - before) * (wanted - low) / (high - low)
    return None
