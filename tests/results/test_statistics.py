"""Statistics of a comparison: against worked examples, and in simulations of 2,000 comparisons with fixed seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from tune_lpc.results.statistics import Estimate, estimate, hedges_correction, holm, paired, spans_orders

COMPARISONS = 2000
SEEDS = 5

SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
"""Hours of sleep gained with two drugs: the example of Student (Biometrika 6, 1908), which R and SAS show worked."""

# Worked examples


def test_the_paired_test_is_students() -> None:
    found = paired(SLEEP_2, SLEEP_1)
    assert found.pairs == 10 and found.reason is None
    assert found.difference == pytest.approx(1.58)
    assert found.t == pytest.approx(4.0621, abs=5e-5)
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert (found.low, found.high) == (pytest.approx(0.7001142), pytest.approx(2.4598858))
    assert found.cohen_d == pytest.approx(4.0621 / math.sqrt(10), abs=5e-5)
    assert found.hedges_g == pytest.approx(0.9139 * 4.0621 / math.sqrt(10), abs=2e-4)


def test_the_interval_of_a_mean_is_that_of_statsmodels() -> None:
    found = estimate(SLEEP_1)
    assert (found.low, found.high) == pytest.approx(DescrStatsW(SLEEP_1).tconfint_mean())
    assert (found.mean, found.middle) == (pytest.approx(0.75), pytest.approx(0.75))
    assert found.deviation == found.spread == pytest.approx(1.789010, abs=5e-7)
    assert found.median == pytest.approx(0.35)
    assert (found.count, found.logarithmic, found.reason) == (10, False, None)


def test_on_logarithms_the_middle_is_the_geometric_mean_and_a_difference_a_ratio() -> None:
    one, other = [1.0, 100.0, 10.0], [0.1, 1.0, 1.0]
    found = estimate(one, logarithmic=True)
    assert (found.mean, found.median) == (pytest.approx(37), 10)
    assert found.middle == pytest.approx(10)
    assert found.spread == pytest.approx(10)
    low, high = np.exp(DescrStatsW(np.log(one)).tconfint_mean())
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    ratio, of_logs = paired(one, other, logarithmic=True), paired(np.log(one).tolist(), np.log(other).tolist())
    assert ratio.difference == pytest.approx(10 ** (4 / 3))
    assert (ratio.t, ratio.p, ratio.hedges_g) == (of_logs.t, of_logs.p, of_logs.hedges_g)
    assert of_logs.low is not None
    assert ratio.low == pytest.approx(math.exp(of_logs.low))


@pytest.mark.parametrize(("degrees", "factor"), [(2, 0.5642), (3, 0.7236), (4, 0.7979), (9, 0.9139), (50, 0.9849)])
def test_the_correction_is_that_of_hedges_table(degrees: int, factor: float) -> None:
    assert hedges_correction(degrees) == pytest.approx(factor, abs=6e-5)


def test_with_two_pairs_d_has_no_mean_and_so_no_correction() -> None:
    found = paired([0.9, 0.95], [0.8, 0.9])
    assert found.cohen_d is not None and found.p is not None
    assert found.hedges_g is None and hedges_correction(1) is None


def test_holms_correction_by_hand_and_by_statsmodels() -> None:
    """The example: .005 * 4, .01 * 3, .03 * 2, and .04, which may not be less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    p_values = np.random.default_rng(0).random(12).tolist()
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_what_has_no_p_is_no_test() -> None:
    assert holm([None, 0.02, None, 0.03]) == [None, pytest.approx(0.04), None, pytest.approx(0.04)]
    assert holm([None]) == [None]
    assert holm([]) == []


# Where there is nothing to be said


def test_one_seed_has_no_interval_and_no_test() -> None:
    found = estimate([0.9])
    told = "one seed has a value, so that the luck between seeds is not known"
    assert found == Estimate(1, False, mean=0.9, median=0.9, middle=0.9, reason=told)
    test = paired([0.9], [0.8])
    assert test.difference == pytest.approx(0.1)
    assert (test.low, test.high, test.t, test.p, test.cohen_d, test.hedges_g) == (None,) * 6
    assert test.reason == "one seed has a difference, so that the luck between seeds is not known"


def test_no_seed_has_nothing() -> None:
    assert estimate([]) == Estimate(0, False, reason="no seed has a value")
    assert paired([], []).reason == "no seed has a value of both"


@pytest.mark.parametrize("step", [0.0, 0.1])
def test_differences_that_are_all_the_same_but_for_rounding_are_no_proof(step: float) -> None:
    one = [0.3, 0.7, 0.9, 0.61, 0.2]
    other = [value + step for value in one]
    assert step == 0 or len({b - a for a, b in zip(one, other, strict=True)}) > 1, "rounded differently"
    found = paired(other, one)
    assert found.difference == pytest.approx(step)
    assert (found.p, found.cohen_d, found.low) == (None, None, None)
    assert found.reason == "all 5 seeds have the same difference, so that the luck between seeds is not known"
    same = estimate([0.98] * 5)
    assert (same.mean, same.deviation, same.low, same.high) == (pytest.approx(0.98), pytest.approx(0), None, None)
    assert same.reason == "all 5 seeds have the same value, so that the luck between seeds is not known"


def test_an_interval_ends_where_the_values_do() -> None:
    values = [0.9, 1.0, 1.0]
    cut, free = estimate(values, limits=(0.0, 1.0)), estimate(values)
    assert free.high is not None and free.high > 1
    assert (cut.low, cut.high) == (free.low, 1.0)


def test_what_has_no_logarithm_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 has no logarithm"):
        estimate([1.0, 0.0], logarithmic=True)
    with pytest.raises(ValueError, match=r"-1 has no logarithm"):
        paired([1.0, 2.0], [2.0, -1.0], logarithmic=True)


def test_pairs_need_as_many_of_each() -> None:
    with pytest.raises(ValueError, match="not 2 and 1"):
        paired([1.0, 2.0], [1.0])


def test_an_interval_beyond_all_numbers_is_endless() -> None:
    found = estimate([1e-150, 1e150], logarithmic=True)
    assert (found.low, found.high) == (0.0, math.inf)


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ([0.01, 0.1], True),
        ([0.01, 0.09], False),
        ([0.0, 0.1], False),
        ([-10.0, -1.0], False),
        ([-1.0, 5.0], False),
        ([], False),
    ],
)
def test_logarithms_are_for_positive_values_of_several_orders(values: Sequence[float], logarithmic: bool) -> None:
    assert spans_orders(values) is logarithmic


# Simulations: networks of two or three methods, with what a split and seed mean for all of them

Draw = Callable[[np.random.Generator, int], np.ndarray]
"""Values of `methods` methods that are as good, with 5 seeds each: (methods, seeds)."""


def normal(draw: np.random.Generator, methods: int) -> np.ndarray:
    return 0.94 + 0.005 * draw.standard_normal(SEEDS) + 0.004 * draw.standard_normal((methods, SEEDS))


def shares(draw: np.random.Generator, methods: int) -> np.ndarray:
    """Shares of 360 test images that are right, the same images for all, about 98 %: in steps, and skew."""
    hard = draw.beta(0.05, 2.4, 360)
    luck = np.exp(0.3 * draw.standard_normal((methods, SEEDS, 1)))
    wrong: np.ndarray = draw.random((methods, SEEDS, 360)) < np.minimum(hard * luck, 1)
    return 1 - wrong.mean(axis=2)


def orders(draw: np.random.Generator, methods: int) -> np.ndarray:
    """A measure like NC1, whose seeds differ by a factor of three."""
    exponents: np.ndarray = draw.standard_normal(SEEDS) + draw.standard_normal((methods, SEEDS))
    return 0.02 * np.exp(exponents)


LUCK = {"normal": normal, "shares": shares, "orders": orders}


@pytest.mark.parametrize("kind", ["normal", "orders"])
def test_intervals_hold_the_truth_in_95_of_100_comparisons(kind: str) -> None:
    """Of the mean of one method, and of the difference of two, whose truths are known here."""
    draw, logarithmic = np.random.default_rng(1), kind == "orders"
    truth = {"normal": 0.94, "orders": 0.02}[kind]
    none = 1.0 if logarithmic else 0.0
    held = np.zeros(2)
    for _ in range(COMPARISONS):
        one, other = LUCK[kind](draw, 2)
        mean, test = estimate(one, logarithmic=logarithmic), paired(one, other, logarithmic=logarithmic)
        for place, (found, value) in enumerate(((mean, truth), (test, none))):
            assert found.low is not None and found.high is not None
            held[place] += found.low <= value <= found.high
    assert held / COMPARISONS == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("kind", LUCK)
def test_the_paired_test_raises_a_false_alarm_in_6_of_100_comparisons_at_most(kind: str) -> None:
    """Whether logarithms are taken is decided by the values, as in a comparison."""
    draw, alarms, with_logarithms = np.random.default_rng(2), 0, 0
    for _ in range(COMPARISONS):
        one, other = LUCK[kind](draw, 2)
        logarithmic = spans_orders([*one, *other])
        with_logarithms += logarithmic
        p = paired(one, other, logarithmic=logarithmic).p
        alarms += p is not None and p < 0.05
    assert alarms / COMPARISONS <= 0.06
    assert kind != "orders" or 0.3 < with_logarithms / COMPARISONS < 1, "some by one way, some by the other"


def test_with_five_seeds_it_finds_what_is_there_and_signed_ranks_never_can() -> None:
    draw, found, by_ranks = np.random.default_rng(3), 0, []
    for _ in range(200):
        one, other = normal(draw, 2)
        p = paired(one + 0.02, other).p
        found += p is not None and p < 0.05
        by_ranks.append(stats.wilcoxon(one + 0.02, other).pvalue)
    assert found / 200 > 0.95
    assert min(by_ranks) == 2 / 2**SEEDS > 0.05


@pytest.mark.parametrize("kind", LUCK)
def test_of_all_pairs_of_three_methods_one_is_a_false_alarm_in_6_of_100_comparisons_at_most(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gc.collect", lambda: 0)  # statsmodels calls it each time: a minute, here
    draw, comparisons, alarms, uncorrected = np.random.default_rng(4), COMPARISONS // 2, 0, 0
    for _ in range(comparisons):
        values = LUCK[kind](draw, 3)
        logarithmic = spans_orders(values.ravel().tolist())
        pairs = ((1, 0), (2, 0), (2, 1))
        p_values = [paired(values[one], values[other], logarithmic=logarithmic).p for one, other in pairs]
        uncorrected += any(p is not None and p < 0.05 for p in p_values)
        alarms += any(p is not None and p < 0.05 for p in holm(p_values))
    assert alarms / comparisons <= 0.06
    assert uncorrected / comparisons > 0.09, "what it is corrected for"


def test_hedges_g_is_right_on_the_average_and_d_is_too_large() -> None:
    draw, ds, gs = np.random.default_rng(5), [], []
    for _ in range(COMPARISONS):
        one, other = normal(draw, 2)
        found = paired(one + 0.004 * math.sqrt(2), other)
        assert found.cohen_d is not None and found.hedges_g is not None
        ds.append(found.cohen_d)
        gs.append(found.hedges_g)
    assert np.mean(gs) == pytest.approx(1.0, abs=0.06)
    assert np.mean(ds) > 1.2
