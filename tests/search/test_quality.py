"""The order of configs, and their places in it."""

from __future__ import annotations

import random

import pytest

from tune_lpc.search.quality import WORST, Result, qualities


def test_a_full_training_is_better_than_any_rung_and_a_later_rung_than_an_earlier_one() -> None:
    in_order = [WORST, Result(False, 3, 0.9), Result(False, 9, 0.1), Result(False, 9, 0.2), Result(True, 0, 0.05)]
    shuffled = random.Random(0).sample(in_order, len(in_order))
    assert sorted(shuffled) == in_order
    assert qualities(in_order) == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])


def test_equals_have_the_same_place_and_the_mean_stays_a_half() -> None:
    found = qualities([Result(True, 0, 0.5), WORST, Result(True, 0, 0.5), Result(True, 0, 0.5)])
    assert found == pytest.approx([0.625, 0.125, 0.625, 0.625])
    assert sum(found) / len(found) == 0.5


def test_one_config_alone_is_neither_good_nor_bad() -> None:
    assert qualities([Result(True, 0, 0.99)]) == [0.5]
    assert qualities([]) == []
