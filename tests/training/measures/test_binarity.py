from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.training.measures.points import CASES, EXPECTED, golden_case
from tune_lpc.training.measures import MeasureError, binarity

TOLERANCE = 0.05  # of the golden values: the fit begins at random


@pytest.mark.parametrize("case", CASES)
def test_the_binarity_agrees_with_the_golden_values(case: int) -> None:
    found, expected = binarity(golden_case(case)[0]), EXPECTED[case]["binarity"]
    assert float(found.score.mean()) == pytest.approx(expected["score_mean"], rel=TOLERANCE)
    assert float(found.score.min()) == pytest.approx(expected["score_min"], rel=TOLERANCE)
    assert float(found.deviation.mean()) == pytest.approx(expected["stds_mean"], rel=TOLERANCE)
    assert float(found.peak_distance.mean()) == pytest.approx(expected["peaks_distance_mean"], rel=TOLERANCE)
    assert float(found.peak_distance.min()) == pytest.approx(expected["peaks_distance_min"], rel=TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_the_dimension_nearest_to_the_mean_binarity_is_the_golden_one(case: int) -> None:
    found, expected = binarity(golden_case(case)[0]), EXPECTED[case]["binarity"]
    assert int((found.score - found.score.mean()).abs().argmin()) == expected["arg_score_av"]
    distance = found.peak_distance
    assert int((distance - distance.mean()).abs().argmin()) == expected["arg_peaks_distance_av"]


def _two_values(spread: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    signs = 2.0 * torch.randint(2, (1000, 3), generator=generator) - 1
    return signs + spread * torch.randn(1000, 3, generator=generator)


def test_two_values_have_narrow_peaks_far_apart() -> None:
    found = binarity(_two_values(0.05))
    assert found.deviation.tolist() == pytest.approx([0.05] * 3, rel=0.1)
    assert found.peak_distance.tolist() == pytest.approx([40] * 3, rel=0.1)


def test_the_binarity_falls_as_the_two_values_blur() -> None:
    sharp, blurred = binarity(_two_values(0.05)), binarity(_two_values(0.5))
    assert bool((sharp.score > blurred.score).all())
    assert bool((sharp.deviation < blurred.deviation).all())
    assert bool((sharp.peak_distance > blurred.peak_distance).all())


def test_the_binarity_does_not_depend_on_the_scale_and_place_of_a_dimension() -> None:
    z = _two_values(0.3).double()
    moved = binarity(1e-3 * z + 1)
    assert moved.score.tolist() == pytest.approx(binarity(z).score.tolist(), rel=1e-6)
    assert moved.peak_distance.tolist() == pytest.approx(binarity(z).peak_distance.tolist(), rel=1e-6)


def test_the_binarity_is_the_same_twice() -> None:
    z, _ = golden_case(0)
    assert torch.equal(binarity(z).peak_distance, binarity(z).peak_distance)


@pytest.mark.parametrize(
    ("z", "told"),
    [
        (torch.ones(1, 3), "two points, but found 1"),
        (torch.tensor([[1.0, 2.0], [1.0, 3.0]]), "1 of 2 are constant, the first is number 0"),
        (torch.tensor([[1.0], [torch.nan]]), "not a number"),
    ],
    ids=["one point", "constant dimension", "nan"],
)
def test_a_binarity_that_cannot_be_computed_is_an_error(z: Tensor, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        binarity(z)
