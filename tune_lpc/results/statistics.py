"""The statistics of a comparison: means over seeds with intervals, and paired tests.

With five seeds a signed-rank test can't come below p = 1/16, so the tests are Student's, of paired differences
(Student 1908); they take the differences to be about normal, which means over many test images are. Several tests are
corrected by Holm's method (Holm 1979). Effect sizes are those of paired differences, corrected for few pairs (Hedges
1981, Lakens 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import gammaln
from statsmodels.stats.multitest import multipletests

CONFIDENCE = 0.95
WIDE = 10.0
"""From so many times between the smallest and the largest on, positive values are tested by their logarithms."""


@dataclass(frozen=True)
class Summary:
    """Of the values of a group: number, mean, median, standard deviation (of n - 1), 95 % interval of the mean.

    What needs two values, or one, is None without them.
    """

    number: int
    mean: float | None = None
    median: float | None = None
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class PairedTest:
    """Whether paired values differ: `one` less `other`.

    pairs: how many. difference: their mean; low, high: its 95 % interval. t, p: of Student's paired test, two-sided.
    effect: mean over standard deviation of the differences, times Hedges' correction. All None, with a reason, where
    they can't be had. is_log: the values were taken by their decimal logarithms.
    """

    pairs: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    t: float | None = None
    p: float | None = None
    effect: float | None = None
    is_log: bool = False
    reason: str | None = None


def summary(values: Sequence[float]) -> Summary:
    """Of values that are finite; any number of them."""
    known = np.asarray(values, dtype=np.float64)
    if not len(known):
        return Summary(0)
    mean, median = float(known.mean()), float(np.median(known))
    if len(known) == 1:
        return Summary(1, mean, median)
    deviation = float(known.std(ddof=1))
    half = _quantile(len(known) - 1) * deviation / math.sqrt(len(known))
    return Summary(len(known), mean, median, deviation, mean - half, mean + half)


def paired_test(one: Sequence[float], other: Sequence[float]) -> PairedTest:
    """Student's test of the differences of values that pair, each of the same length.

    Positive values of which the largest is ten times the smallest or more are compared by their logarithms.
    """
    left, right = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    pairs = len(left)
    if pairs < 2:
        return PairedTest(pairs, reason="a test needs 2 pairs or more")
    is_log = _is_wide(np.concatenate([left, right]))
    if is_log:
        left, right = np.log10(left), np.log10(right)
    differences = left - right
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    # Less than rounding: then there is no spread to judge by.
    if deviation <= 1e-12 * max(1.0, float(np.abs(left).max()), float(np.abs(right).max())):
        return PairedTest(pairs, mean, is_log=is_log, reason="all differences are the same")
    tested = stats.ttest_rel(left, right)
    half = _quantile(pairs - 1) * deviation / math.sqrt(pairs)
    effect = mean / deviation * hedges_correction(pairs - 1)
    return PairedTest(
        pairs, mean, mean - half, mean + half, float(tested.statistic), float(tested.pvalue), effect, is_log
    )


def hedges_correction(degrees: int) -> float:
    """What a standardised difference is multiplied by, as few values overstate it (Hedges 1981, equation 6e).

    degrees: of freedom, 2 or more; with one there is no correction: 0 would be exact, and of no use.
    """
    if degrees < 2:
        return 1.0
    return float(math.exp(gammaln(degrees / 2) - gammaln((degrees - 1) / 2)) / math.sqrt(degrees / 2))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values corrected for their number by Holm's method; None for one that is None, which does not count."""
    known = [p for p in p_values if p is not None]
    if not known:
        return [None for _ in p_values]
    corrected = iter(multipletests(known, method="holm")[1].tolist())
    return [None if p is None else next(corrected) for p in p_values]


def _quantile(degrees: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees))


def _is_wide(values: np.ndarray) -> bool:
    return bool(values.min() > 0 and values.max() >= WIDE * values.min())
