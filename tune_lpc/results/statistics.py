"""What a comparison of methods rests on: means over seeds with intervals, paired tests, Holm's correction.

A value belongs to a seed, that is to one trained network, and the same seeds are trained with each method: same number,
same split. So what is compared are differences of pairs, by Student's t. Wilcoxon's signed ranks would ask for less,
but of five pairs its smallest p is 2/32 = .0625, so that it can never reach 5 %.

Measures such as NC1 differ by orders of magnitude between networks, where a mean is that of the largest value: they are
taken on their logarithms, so that the middle is the geometric mean and a difference is a ratio.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.special import gammaln
from statsmodels.stats.multitest import multipletests

from tune_lpc.results.intervals import CONFIDENCE

ORDERS = 10.0
"""From this ratio of the largest value to the smallest on, all being positive, logarithms are taken."""
ROUNDING = 1e-12
"""A spread below this share of the values is that of their rounding: there is none."""
MOST_LOG = math.log(sys.float_info.max)


@dataclass(frozen=True)
class Estimate:
    """Some values of the same thing, one a seed.

    count: how many. mean, deviation (of one value, n - 1), median: of the values as they are.
    logarithmic: whether the rest is by logarithms. middle: the mean, or the geometric mean; spread: the deviation, or
    the factor that the exponential of that of the logarithms is. low, high: the 95 % interval of the middle.
    Each is None where there is none; reason: why there is no interval.
    """

    count: int
    logarithmic: bool
    mean: float | None = None
    deviation: float | None = None
    median: float | None = None
    middle: float | None = None
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Paired:
    """The difference of two methods on the seeds that they have in common.

    pairs: how many. difference: the mean of one minus other; with logarithms the geometric mean of one over other, 1
    where they are as large. low, high: its 95 % interval, not corrected for other tests. t, p: Student's paired test,
    two-sided. cohen_d: mean of the differences over their standard deviation, of logarithms where these are taken (d_z
    in Lakens, Frontiers in Psychology 4:863, 2013). hedges_g: the same without its bias, see `hedges_correction`.
    Each is None where it can't be had; reason: why there is no test.
    """

    pairs: int
    logarithmic: bool
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    t: float | None = None
    p: float | None = None
    cohen_d: float | None = None
    hedges_g: float | None = None
    reason: str | None = None


def spans_orders(values: Sequence[float]) -> bool:
    """Whether a measure with these values, those of all methods together, is taken by its logarithm.

    It does not matter which value is whose, so that the choice favours no method.
    """
    return bool(values) and min(values) > 0 and max(values) >= ORDERS * min(values)


def estimate(
    values: Sequence[float], *, logarithmic: bool = False, limits: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """The mean of finite values over seeds, with Student's interval, cut at the limits of what the value can be.

    Raises ValueError for the logarithm of 0 or less.
    """
    count = len(values)
    if not count:
        return Estimate(0, logarithmic, reason="no seed has a value")
    plain, scale = np.asarray(values, dtype=float), _Scale(logarithmic)
    scaled = scale.of(plain)
    middle, deviation = float(scaled.mean()), _deviation(scaled)
    found = Estimate(
        count,
        logarithmic,
        mean=float(plain.mean()),
        deviation=_deviation(plain),
        median=float(np.median(plain)),
        middle=scale.back(middle),
        spread=None if deviation is None else scale.back(deviation),
        reason=_without_spread(scaled, "value"),
    )
    if found.reason is not None or deviation is None:
        return found
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation / math.sqrt(count)
    low, high = scale.back(middle - half), scale.back(middle + half)
    return replace(found, low=max(low, limits[0]), high=min(high, limits[1]))


def paired(one: Sequence[float], other: Sequence[float], *, logarithmic: bool = False) -> Paired:
    """Compare two methods on finite values of the same seeds, in the same order.

    Raises ValueError when there are not as many of each, and for the logarithm of 0 or less.
    """
    if len(one) != len(other):
        raise ValueError(f"pairs need as many values of each, not {len(one)} and {len(other)}")
    pairs, scale = len(one), _Scale(logarithmic)
    if not pairs:
        return Paired(0, logarithmic, reason="no seed has a value of both")
    first, second = scale.of(np.asarray(one, dtype=float)), scale.of(np.asarray(other, dtype=float))
    differences = first - second
    mean = float(differences.mean())
    reason = _without_spread(differences, "difference", size=float(np.abs([first, second]).max()))
    if reason is not None:
        return Paired(pairs, logarithmic, scale.back(mean), reason=reason)
    test = stats.ttest_rel(first, second)
    interval = test.confidence_interval(CONFIDENCE)
    d, correction = mean / float(differences.std(ddof=1)), hedges_correction(pairs - 1)
    return Paired(
        pairs,
        logarithmic,
        difference=scale.back(mean),
        low=scale.back(float(interval.low)),
        high=scale.back(float(interval.high)),
        t=float(test.statistic),
        p=float(test.pvalue),
        cohen_d=d,
        hedges_g=None if correction is None else d * correction,
    )


def hedges_correction(degrees: int) -> float | None:
    """What d is multiplied with so that its mean is that of endless seeds: J(m) = Γ(m/2) / (sqrt(m/2) Γ((m-1)/2)).

    degrees: m, of freedom, here the pairs less one. Below 2, d has no mean, and there is none.
    Source: Hedges, Journal of Educational Statistics 6, 1981.
    """
    if degrees < 2:
        return None
    return math.exp(float(gammaln(degrees / 2) - gammaln((degrees - 1) / 2))) / math.sqrt(degrees / 2)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The same p, corrected for so many tests by Holm (Scandinavian Journal of Statistics 6, 1979).

    Of the tests below 5 % then one is a false alarm in 5 % of cases at most, however they depend on each other. None
    stays None, and is no test.
    """
    known = [p for p in p_values if p is not None]
    corrected = iter(multipletests(known, method="holm")[1].tolist() if known else [])
    return [None if p is None else float(next(corrected)) for p in p_values]


@dataclass(frozen=True)
class _Scale:
    """The values as they are, or their natural logarithms."""

    logarithmic: bool

    def of(self, values: np.ndarray) -> np.ndarray:
        if not self.logarithmic:
            return values
        if (values <= 0).any():
            raise ValueError(f"{values.min():g} has no logarithm")
        logarithms: np.ndarray = np.log(values)
        return logarithms

    def back(self, value: float) -> float:
        if not self.logarithmic:
            return value
        return math.exp(value) if value < MOST_LOG else math.inf


def _deviation(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _without_spread(values: np.ndarray, what: str, size: float | None = None) -> str | None:
    """Why nothing can be said of the luck between seeds; None where it can.

    size: of what the values were computed from, by which their rounding goes.
    """
    if len(values) == 1:
        return f"one seed has a {what}, so that the luck between seeds is not known"
    size = float(np.abs(values).max()) if size is None else size
    if float(values.max() - values.min()) <= ROUNDING * size:
        return f"all {len(values)} seeds have the same {what}, so that the luck between seeds is not known"
    return None
