from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_lpc.results.agreement import Agreement, agreement, among_best

ORDERS = st.integers(3, 30).flatmap(lambda trials: st.permutations(range(trials)))


def spearman(one: list[float | None], other: list[float | None]) -> float | None:
    return agreement(one, other, 3).spearman


@given(ORDERS)
def test_without_ties_it_is_the_textbook_formula(order: list[int]) -> None:
    trials = len(order)
    squares = sum((position - place) ** 2 for position, place in enumerate(order))
    expected = 1 - 6 * squares / (trials * (trials**2 - 1))
    assert spearman([float(i) for i in range(trials)], [float(place) for place in order]) == pytest.approx(expected)


def test_equal_scores_share_the_mean_of_their_ranks() -> None:
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4
    assert spearman([0.1, 0.2, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_only_the_order_counts_for_the_correlation() -> None:
    assert spearman([0.1, 0.2, 0.9], [0.97, 0.98, 0.981]) == pytest.approx(1.0)
    assert spearman([0.1, 0.2, 0.9], [0.981, 0.98, 0.97]) == pytest.approx(-1.0)


def test_no_correlation_where_all_scores_of_a_list_are_equal() -> None:
    assert spearman([0.5, 0.5, 0.5], [0.1, 0.2, 0.3]) is None
    assert spearman([0.1, 0.2, 0.3], [0.5, 0.5, 0.5]) is None
    assert spearman([None, math.nan, None], [0.1, 0.2, 0.3]) is None


@pytest.mark.parametrize("trials", [0, 1, 2])
def test_too_few_trials_tell_nothing(trials: int) -> None:
    scores = [0.1 * i for i in range(trials)]
    assert agreement(scores, scores, 3) == Agreement(trials, None, None, None)


@given(ORDERS, st.integers(2, 5))
def test_a_rung_in_the_final_order_loses_nothing(order: list[int], factor: int) -> None:
    final = [place / 100 for place in order]
    found = agreement([place**2 for place in order], final, factor)
    assert found.spearman == pytest.approx(1.0)
    assert (found.kept, found.regret) == (1.0, 0.0)


def test_kept_and_regret_of_an_example() -> None:
    # the best third are the last two; the rung lets the first and the last but one through
    rung = [0.9, 0.1, 0.2, 0.3, 0.8, 0.4]
    final = [0.5, 0.6, 0.7, 0.75, 0.90, 0.98]
    found = agreement(rung, final, 3)
    assert found.kept == 0.5
    assert found.regret == pytest.approx(0.08)


def test_the_share_that_goes_on_is_rounded_up() -> None:
    assert among_best([0.1, 0.2, 0.3, 0.4], 3).tolist() == [False, False, True, True]
    assert among_best([0.1, 0.2, 0.3], 3).tolist() == [False, False, True]
    assert among_best([0.1, 0.2, 0.3], 2).tolist() == [False, True, True]


def test_ties_with_the_last_of_the_best_go_on_too() -> None:
    assert among_best([0.4, 0.2, 0.4, 0.4], 4).tolist() == [True, False, True, True]
    found = agreement([0.9, 0.8, 0.8, 0.1], [0.1, 0.2, 0.9, 0.3], 2)
    assert found.kept == 0.5
    assert found.regret == 0.0


def test_ties_at_the_end_are_all_the_truly_best() -> None:
    found = agreement([0.9, 0.1, 0.2], [0.7, 0.7, 0.5], 3)
    assert found.kept == 0.5
    assert found.regret == 0.0


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -math.inf])
def test_no_score_is_worse_than_any(missing: float | None) -> None:
    assert spearman([0.1, missing, 0.3], [0.2, 0.1, 0.3]) == pytest.approx(1.0)
    assert spearman([0.1, 0.0, 0.3], [0.2, missing, 0.3]) == pytest.approx(1.0)
    assert among_best([missing, 0.1, -5.0, missing], 2).tolist() == [False, True, True, False]


def test_trials_without_score_never_go_on() -> None:
    assert among_best([None, None, None, 0.1], 2).tolist() == [False, False, False, True]
    found = agreement([None, None, None], [0.1, 0.2, 0.3], 3)
    assert found == Agreement(3, None, 0.0, None)


def test_no_regret_is_made_up_where_no_final_score_exists() -> None:
    assert agreement([0.1, 0.2, 0.3], [None, None, None], 3) == Agreement(3, None, None, None)
    let_through_diverged = agreement([0.1, 0.2, 0.3], [0.5, 0.6, math.nan], 3)
    assert let_through_diverged.regret is None
    assert let_through_diverged.kept == 0.0


def test_lists_that_differ_in_length_and_a_factor_below_two_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rung scores and 3 final scores"):
        agreement([0.1, 0.2], [0.1, 0.2, 0.3], 3)
    with pytest.raises(ValueError, match="reduction_factor is 1"):
        agreement([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], 1)
