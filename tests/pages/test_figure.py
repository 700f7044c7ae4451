"""What all charts share: axes that one outlier does not ruin, samples that are always the same, plain data."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tune_lpc.pages.figure import data, jitter, plain, robust_domain, score_axis, shown_of, thinned


def test_one_diverged_score_does_not_flatten_the_axis() -> None:
    scores = [0.9 + 0.001 * place for place in range(50)]
    domain, outside = robust_domain([*scores, 1e30, 0.1])
    assert outside == 2 and domain is not None
    assert domain[0] > 0.89 and domain[1] < 0.96


def test_an_axis_of_accuracies_ends_at_1() -> None:
    domain, outside = robust_domain([0.9, 0.95, 1.0, 1.0], limits=(0.0, 1.0))
    assert domain is not None and domain[1] == 1.0 and outside == 0


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, None, pd.NA]])
def test_without_values_there_is_no_range(values: list[float]) -> None:
    assert robust_domain(values) == (None, 0)
    axis, outside = score_axis(values, "score")
    assert axis.to_dict()["scale"]["domain"] == [0.0, 1.0] and outside == 0


def test_equal_values_have_a_range() -> None:
    domain, _ = robust_domain([0.5] * 4)
    assert domain is not None and domain[0] < 0.5 < domain[1]


def test_of_many_rows_the_best_one_that_is_wanted_and_a_fixed_sample_are_left() -> None:
    table = pd.DataFrame({"number": range(1000), "score": np.linspace(0, 1, 1000)})
    first, again = (thinned(table, "score", 100, keep=3) for _ in range(2))
    assert first.equals(again) and len(first) == 100
    assert set(range(975, 1000)) | {3} <= set(first["number"])
    assert thinned(table, "score", 1000) is table
    assert shown_of(100, 1000) and not shown_of(10, 10)


def test_data_are_what_json_has() -> None:
    row = {"a": np.float64(1 / 3), "b": math.inf, "c": pd.NA, "d": np.int64(2), "e": np.bool_(True), "f": "text"}
    (found,) = data([row]).to_dict()["values"]
    assert found == {"a": 0.333333, "b": None, "c": None, "d": 2, "e": True, "f": "text"}
    assert type(plain(np.int64(2))) is int


def test_points_of_a_trial_are_always_beside_one_another_in_the_same_way() -> None:
    places = [jitter(number) for number in range(100)]
    assert places == [jitter(number) for number in range(100)]
    assert len(set(places)) == 100 and all(0 <= place < 1 for place in places)
