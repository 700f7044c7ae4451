from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import digamma, gammaln
from sklearn.neighbors import BallTree
from torch import Tensor

from tests.training.golden import TOLERANCE
from tests.training.measures.points import CASES, EXPECTED, clusters, golden_case, rotation, shuffled
from tune_lpc.training.measures import MeasureError, entropy, entropy_raw

SPREADS = [1.0, 1e-2, 1e-4, 1e-6]


def _by_ball_tree(z: np.ndarray, neighbours: int = 20) -> float:
    """The same estimate, with the neighbours of scikit-learn's ball tree."""
    points, dim = z.shape
    distance = BallTree(z).query(z, neighbours + 1)[0][:, -1]
    log_volume = dim / 2 * np.log(np.pi) - gammaln(dim / 2 + 1)
    return float((digamma(points) - digamma(neighbours) + log_volume) / dim + np.log(distance).mean())


@pytest.mark.parametrize("case", CASES)
def test_the_entropy_agrees_with_the_golden_values(case: int) -> None:
    z, _ = golden_case(case)
    assert entropy(z) == pytest.approx(EXPECTED[case]["entropy_k20_normalized"], rel=TOLERANCE)
    assert entropy_raw(z) == pytest.approx(EXPECTED[case]["entropy_k20_raw"], rel=TOLERANCE)


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize("spread", SPREADS)
def test_the_entropy_of_collapsed_classes_agrees_with_a_ball_tree(spread: float, precision: torch.dtype) -> None:
    z = clusters(spread, points=60, dim=16)[0].to(precision)
    exact = z.double().numpy()
    assert entropy_raw(z) == pytest.approx(_by_ball_tree(exact), rel=1e-9)
    assert entropy(z) == pytest.approx(_by_ball_tree((exact - exact.mean(0)) / exact.std(0)), rel=1e-9)


def test_the_raw_entropy_falls_with_the_logarithm_of_the_within_class_spread() -> None:
    values = [entropy_raw(clusters(spread, points=60, dim=16)[0]) for spread in SPREADS[1:]]
    assert np.diff(values) == pytest.approx([math.log(1e-2)] * 2, rel=1e-6)


def test_the_entropy_of_a_normal_distribution_is_near_the_true_one() -> None:
    z = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    true = 0.5 * math.log(2 * math.pi * math.e)
    assert entropy_raw(z) == pytest.approx(true, abs=0.03)
    assert entropy_raw(3 * z + 7) == pytest.approx(true + math.log(3), abs=0.03)


def test_the_raw_entropy_does_not_depend_on_place_rotation_or_order_and_moves_with_the_logarithm_of_the_scale() -> None:
    z, _ = clusters(0.3)
    expected = entropy_raw(z)
    assert entropy_raw(z + 5) == pytest.approx(expected, rel=1e-9)
    assert entropy_raw(z @ rotation(8)) == pytest.approx(expected, rel=1e-9)
    assert entropy_raw(z[shuffled(len(z))]) == pytest.approx(expected, rel=1e-9)
    assert entropy_raw(1e-3 * z) == pytest.approx(expected + math.log(1e-3), rel=1e-9)


def test_the_standardised_entropy_does_not_depend_on_the_scale_and_place_of_each_dimension() -> None:
    z, _ = clusters(0.3)
    scales = torch.logspace(-3, 3, 8, dtype=torch.float64)
    assert entropy(scales * z + 1) == pytest.approx(entropy(z), rel=1e-6)


def _few_duplicates(count: int) -> Tensor:
    z, _ = clusters(0.3)
    z[:count] = z[0]
    return z


def test_a_few_duplicates_leave_an_entropy() -> None:
    assert entropy_raw(_few_duplicates(20)) == pytest.approx(_by_ball_tree(_few_duplicates(20).numpy()), rel=1e-9)


@pytest.mark.parametrize("measure", [entropy, entropy_raw])
@pytest.mark.parametrize(
    ("z", "told"),
    [
        (torch.randn(20, 3), "more than 20 points, its number of neighbours, found 20"),
        (_few_duplicates(21), "21 of 200 equal their 20 nearest"),
        (torch.full((30, 2), torch.nan), "not a number"),
        (torch.empty(0, 3), "found none"),
    ],
    ids=["few points", "duplicates", "nan", "no points"],
)
def test_an_entropy_that_cannot_be_computed_is_an_error(
    measure: Callable[[Tensor], float], z: Tensor, told: str
) -> None:
    with pytest.raises(MeasureError, match=told):
        measure(z)


def test_a_constant_dimension_cannot_be_standardised() -> None:
    z, _ = clusters(0.3)
    z[:, 3] = 0.1
    with pytest.raises(MeasureError, match="1 of 8 are constant, the first is number 3"):
        entropy(z)
    assert math.isfinite(entropy_raw(z))
