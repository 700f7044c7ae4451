"""Fronts, places and hypervolumes, against the definitions and against Optuna's own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume
from optuna.study._multi_objective import _fast_non_domination_rank

from tune_lpc.plan.objectives import objective_of
from tune_lpc.results.pareto import as_scores, crowding, dominators, fronts, hypervolume, places, scaled

STEPS = st.integers(0, 6).map(lambda number: number / 6)  # few values, so that there are ties


def clouds(objectives: int) -> st.SearchStrategy[np.ndarray]:
    point = st.tuples(*[STEPS] * objectives)
    return st.lists(point, min_size=1, max_size=12).map(lambda rows: np.array(rows, dtype=float))


CLOUDS = st.one_of(clouds(1), clouds(2), clouds(3))
FRONT = np.array([[0.9, 0.1], [0.8, 0.5], [0.7, 0.6], [0.2, 0.9]])


def dominates(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one >= other).all() and (one > other).any())


# Fronts


@given(CLOUDS)
def test_fronts_are_those_of_optuna(points: np.ndarray) -> None:
    assert (fronts(points) - 1).tolist() == _fast_non_domination_rank(-points).tolist()


@given(CLOUDS)
def test_a_point_is_dominated_by_its_dominators_and_by_one_of_the_front_before(points: np.ndarray) -> None:
    front, counts = fronts(points), dominators(points)
    for row, point in enumerate(points):
        better = [other for other in range(len(points)) if dominates(points[other], point)]
        assert counts[row] == len(better)
        assert front[row] == 1 + max((front[other] for other in better), default=0)


def test_no_points_have_no_fronts() -> None:
    nothing = np.empty((0, 2))
    assert [len(of(nothing)) for of in (fronts, dominators, crowding, places)] == [0] * 4
    assert hypervolume(nothing) == 0.0


# Places on a front


def test_ends_lie_apart_and_between_them_the_gap_counts() -> None:
    distances = crowding(FRONT)
    assert distances[[0, 3]].tolist() == [math.inf, math.inf]
    assert distances[1] == pytest.approx((0.9 - 0.7) / 0.7 + (0.6 - 0.1) / 0.8)
    assert distances[2] == pytest.approx((0.8 - 0.2) / 0.7 + (0.9 - 0.5) / 0.8)


def test_of_a_front_the_best_by_the_first_objective_is_first_then_the_other_end_then_the_widest_gap() -> None:
    assert places(FRONT).tolist() == [0, 3, 2, 1]


@given(CLOUDS)
def test_places_follow_domination(points: np.ndarray) -> None:
    order = places(points)
    for one, other in itertools.permutations(range(len(points)), 2):
        if dominates(points[one], points[other]):
            assert order[one] < order[other]
        if (points[one] == points[other]).all():
            assert order[one] == order[other]


@given(CLOUDS, st.randoms())
def test_places_do_not_depend_on_the_order_of_the_points(points: np.ndarray, random: object) -> None:
    shuffled = list(range(len(points)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert places(points)[shuffled].tolist() == places(points[shuffled]).tolist()


@given(clouds(1))
def test_of_one_objective_the_order_is_that_of_its_values(points: np.ndarray) -> None:
    expected = [int((points > point).sum()) for point in points]
    assert places(points).tolist() == expected


# As scores


def test_a_config_without_a_value_is_worse_than_any_other() -> None:
    objectives = (objective_of("validation_accuracy"), objective_of("nc1"))
    scores = as_scores({7: None, 3: (0.5, 1.0), 9: (0.9, 0.1), 4: (0.95, 50.0)}, objectives)
    assert scores == {7: None, 3: -2.0, 9: -1.0, 4: 0.0}
    assert list(scores) == [7, 3, 9, 4]  # the order in which they came
    assert as_scores({1: None}, objectives) == {1: None}
    assert as_scores({}, objectives) == {}


def test_each_objective_counts_on_its_own_scale() -> None:
    points = scaled([(0.5, 1.0), (1.0, 1e-6)], (objective_of("validation_accuracy"), objective_of("nc1:min")))
    assert points.tolist() == pytest.approx(np.array([[0.5, 0.25], [1.0, 1.0]]))


# The hypervolume


def test_of_a_staircase_it_is_the_area_below() -> None:
    # 0.2 wide and 0.9 high, then to 0.7 at 0.6, to 0.8 at 0.5, to 0.9 at 0.1.
    assert hypervolume(FRONT) == pytest.approx(0.2 * 0.9 + 0.5 * 0.6 + 0.1 * 0.5 + 0.1 * 0.1)
    assert hypervolume(np.array([[1.0, 1.0, 1.0]])) == 1.0


@given(st.one_of(clouds(2), clouds(3)))
def test_it_is_that_of_optuna(points: np.ndarray) -> None:
    expected = compute_hypervolume(-points, np.zeros(points.shape[1]))
    assert hypervolume(points) == pytest.approx(expected, abs=1e-12)


@given(clouds(3), st.tuples(STEPS, STEPS, STEPS))
def test_it_never_falls_with_a_further_point_and_grows_only_by_one_that_none_dominates(
    points: np.ndarray, further: tuple[float, ...]
) -> None:
    more = np.vstack([points, further])
    assert hypervolume(more) >= hypervolume(points) - 1e-12
    if any((point >= further).all() for point in points):
        assert hypervolume(more) == pytest.approx(hypervolume(points))


def test_what_lies_beyond_the_reference_counts_for_nothing_and_what_lies_beyond_the_range_no_more_than_it() -> None:
    assert hypervolume(np.array([[0.9, -0.1], [0.0, 1.0]])) == 0.0
    assert hypervolume(np.array([[0.5, 37.0]])) == 0.5
