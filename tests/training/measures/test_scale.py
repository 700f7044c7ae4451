from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.golden import TOLERANCE
from tests.training.measures.points import CASES, EXPECTED, clusters, golden_case, rotation, shuffled
from tune_lpc.training.measures import (
    MeasureError,
    entry_variation,
    mean_norm,
    norm_variation,
    within_class_covariance,
    within_class_covariance_relative,
)


@pytest.mark.parametrize("case", CASES)
def test_the_norm_and_the_variations_agree_with_the_golden_values(case: int) -> None:
    z, _ = golden_case(case)
    expected = EXPECTED[case]["coeff_var"]
    assert mean_norm(z) == pytest.approx(expected["norm_mean"], rel=TOLERANCE)
    assert norm_variation(z) == pytest.approx(expected["norm"], rel=TOLERANCE)
    assert entry_variation(z) == pytest.approx(expected["abs"], rel=TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_the_within_class_covariance_agrees_with_the_golden_sigma_w(case: int) -> None:
    found = within_class_covariance(*golden_case(case))
    assert found == pytest.approx(EXPECTED[case]["collapse"]["sigma_w"], rel=TOLERANCE)


def test_the_within_class_covariance_is_the_mean_entry_of_the_matrix() -> None:
    z, labels = clusters(0.3)
    within = np.mean([np.cov(z[labels == c].numpy().T) for c in range(5)], axis=0)
    assert within_class_covariance(z, labels) == pytest.approx(within.mean(), rel=1e-9)


def test_the_within_class_covariance_grows_with_the_square_of_the_scale_and_its_relative_variant_does_not() -> None:
    z, labels = clusters(0.3)
    plain, relative = within_class_covariance(z, labels), within_class_covariance_relative(z, labels)
    assert within_class_covariance(1e-3 * z, labels) == pytest.approx(1e-6 * plain, rel=1e-9)
    assert within_class_covariance_relative(1e-3 * z, labels) == pytest.approx(relative, rel=1e-9)
    assert relative == pytest.approx(plain / float(z.square().sum(dim=1).mean()), rel=1e-9)


def test_the_within_class_covariance_does_not_depend_on_place_or_order() -> None:
    z, labels = clusters(0.3)
    expected, order = within_class_covariance(z, labels), shuffled(len(z))
    assert within_class_covariance(z + 5, labels) == pytest.approx(expected, rel=1e-9)
    assert within_class_covariance(z[order], labels[order]) == pytest.approx(expected, rel=1e-9)


def test_the_within_class_covariance_of_a_class_of_one_point_is_an_error() -> None:
    with pytest.raises(MeasureError, match="a class has one"):
        within_class_covariance(torch.randn(3, 2), torch.tensor([0, 0, 1]))


def test_the_mean_norm_is_the_mean_of_the_norms() -> None:
    assert mean_norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]])) == 3.0


def test_the_mean_norm_of_large_float32_values_does_not_overflow() -> None:
    assert mean_norm(torch.full((2, 4), 1e30)) == pytest.approx(2e30)


def test_the_variations_are_deviation_over_mean() -> None:
    z = torch.tensor([[3.0, 4.0], [0.0, -1.0]])
    assert norm_variation(z) == pytest.approx(2 / 3)
    assert entry_variation(z) == pytest.approx(np.std([3, 4, 0, 1]) / 2)


def test_the_variations_do_not_depend_on_scale_and_that_of_the_norm_not_on_rotation() -> None:
    z, _ = clusters(0.3)
    assert norm_variation(1e-5 * z) == pytest.approx(norm_variation(z), rel=1e-9)
    assert entry_variation(-1e-5 * z) == pytest.approx(entry_variation(z), rel=1e-9)
    assert norm_variation(z @ rotation(8)) == pytest.approx(norm_variation(z), rel=1e-9)


@pytest.mark.parametrize("measure", [mean_norm, norm_variation, entry_variation])
@pytest.mark.parametrize(
    ("z", "told"),
    [(torch.tensor([[torch.nan, 1.0]]), "finite"), (torch.empty(0, 3), "none")],
    ids=["nan", "no points"],
)
def test_a_scale_that_cannot_be_computed_is_an_error(measure: Callable[[Tensor], float], z: Tensor, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        measure(z)


@pytest.mark.parametrize("measure", [norm_variation, entry_variation])
def test_representations_of_0_have_no_variation(measure: Callable[[Tensor], float]) -> None:
    with pytest.raises(MeasureError, match="all are 0"):
        measure(torch.zeros(3, 2))
