from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_lpc.training.data.stratified import Stratum, allocate, strata


def _stratum(*sizes: int) -> Stratum:
    return Stratum(np.arange(sum(sizes)) * 10, np.array(sizes))


@pytest.mark.parametrize(
    ("sizes", "images", "leave", "taken"),
    [
        ((1, 1, 1, 1), 2, 1, [0, 10]),
        ((1, 1, 1, 1), 9, 1, [0, 10, 20]),
        ((1, 3, 1, 1), 2, 1, [0, 40]),  # what doesn't fit is passed over
        ((2, 2, 2), 3, 1, [0, 10]),  # fewer, as no single image is there
        ((3, 2, 4), 1, 1, [30, 40]),  # more, in place of none
        ((3, 2, 1), 1, 1, [30, 40]),  # what must stay can't help
        ((3, 2, 1), 1, 0, [50]),
    ],
)
def test_copies_are_taken_together(sizes: tuple[int, ...], images: int, leave: int, taken: list[int]) -> None:
    first, rest = _stratum(*sizes).take(images, leave)
    assert first.rows.tolist() == taken
    assert sorted([*first.rows.tolist(), *rest.rows.tolist()]) == [10 * row for row in range(sum(sizes))]
    for part in (first, rest):
        assert len(part.rows) == part.sizes.sum()
    assert len(rest.sizes) >= leave


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=12), st.integers(1, 40), st.integers(0, 1))
def test_as_many_are_taken_as_asked_for_but_for_what_the_largest_has_copies(
    sizes: list[int], images: int, leave: int
) -> None:
    first, rest = _stratum(*sizes).take(images, leave)
    rows = first.rows
    assert len(rest.sizes) >= leave and len(rows) >= 1
    of_image = np.repeat(np.arange(len(sizes)), sizes)
    assert not set(of_image[rows // 10]) & set(of_image[rest.rows // 10])
    most = sum(sizes[: len(sizes) - leave])
    assert abs(len(rows) - min(images, most)) < max(sizes)


def test_the_first_copy_gives_an_image_its_place_and_doubtful_labels_leave_their_class() -> None:
    labels = np.array([0, 0, 1, 1, 0, 1, 0])
    contents = np.array([4, 2, 7, 3, 2, 4, 9])  # the first and the sixth are copies under two labels
    keys = np.array([0.1, 0.8, 0.5, 0.2, 0.0, 0.9, 0.3])
    zero, one = strata(labels, np.unique(contents, return_inverse=True)[1], keys)
    assert (zero.rows.tolist(), zero.sizes.tolist()) == ([6, 1, 4], [1, 2])
    assert (one.rows.tolist(), one.sizes.tolist()) == ([3, 2], [1, 1])


def test_a_class_of_doubtful_labels_alone_is_empty() -> None:
    zero, one = strata(np.array([0, 0, 1]), np.array([0, 1, 1]), np.zeros(3))
    assert zero.rows.tolist() == [0] and one.rows.tolist() == one.sizes.tolist() == []


def test_shares_are_whole_and_within_their_bounds() -> None:
    assert allocate(10, np.array([1, 1, 98]), np.array([5, 5, 50])).tolist() == [1, 1, 8]
    assert allocate(9, np.array([10, 10, 10]), np.array([2, 9, 9])).tolist() == [2, 4, 3]
    assert allocate(9, np.array([10, 10, 10]), np.array([9, 9, 9]), np.array([1, 1, 6])).tolist() == [1, 2, 6]
