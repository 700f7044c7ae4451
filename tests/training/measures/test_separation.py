from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.training.golden import TOLERANCE
from tests.training.measures.points import CASES, EXPECTED, clusters, golden_case, rotation, shuffled
from tune_lpc.training.measures import MeasureError, distance_margin


@pytest.mark.parametrize("case", CASES)
def test_the_distance_margin_agrees_with_the_golden_values(case: int) -> None:
    assert distance_margin(*golden_case(case)) == pytest.approx(EXPECTED[case]["distance_margin_mean"], rel=TOLERANCE)


def test_the_distance_margin_takes_the_nearest_other_mean() -> None:
    z = torch.tensor([[-1.0], [1.0], [9.0], [11.0], [99.0], [101.0]])
    ratios = [11, 9, 9, 11, 89, 91]
    assert distance_margin(z, torch.tensor([0, 0, 1, 1, 2, 2])) == pytest.approx(sum(ratios) / 6)


def test_the_distance_margin_does_not_depend_on_scale_place_rotation_or_order() -> None:
    z, labels = clusters(0.3)
    expected, order = distance_margin(z, labels), shuffled(len(z))
    assert distance_margin(1e-4 * z + 1, labels) == pytest.approx(expected, rel=1e-6)
    assert distance_margin(z @ rotation(8), labels) == pytest.approx(expected, rel=1e-9)
    assert distance_margin(z[order], labels[order]) == pytest.approx(expected, rel=1e-9)


def test_the_distance_margin_grows_as_the_classes_collapse() -> None:
    assert distance_margin(*clusters(1e-6)) / distance_margin(*clusters(1e-4)) == pytest.approx(100, rel=1e-3)


@pytest.mark.parametrize(
    ("z", "labels", "told"),
    [
        (torch.randn(4, 2), torch.zeros(4, dtype=torch.long), "two classes, but found 1"),
        (torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1]), "1 points lie at it"),
        (torch.ones(4, 2), torch.tensor([0, 0, 1, 1]), "coincide"),
        (torch.tensor([[1.0], [torch.nan], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1]), "not a number"),
    ],
    ids=["one class", "one point", "same means", "nan"],
)
def test_a_distance_margin_that_cannot_be_computed_is_an_error(z: Tensor, labels: Tensor, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        distance_margin(z, labels)
