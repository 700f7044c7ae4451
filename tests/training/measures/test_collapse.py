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
    nc1,
    nc2_equiangular,
    nc2_equinorm,
    nc2_max_angle,
    nc3_self_duality,
    nc4_disagreement,
)

BY_CLASS = [nc1, nc2_equinorm, nc2_equiangular, nc2_max_angle]
GroupedMeasure = Callable[[Tensor, Tensor], float]


def _by_definition(z: np.ndarray, labels: np.ndarray) -> float:
    """tr(S_W pinv(S_B)) / C with the matrices written out; classes of equal size."""
    classes = np.unique(labels)
    means = np.stack([z[labels == c].mean(0) for c in classes])
    within = np.mean([np.cov(z[labels == c].T) for c in classes], axis=0)
    centred = means - z.mean(0)
    between = centred.T @ centred / len(classes)
    return float(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / len(classes))


def _equiangular_frame(classes: int) -> Tensor:
    """Class means (classes, classes) of one norm that lie as far apart as they can: the end state of collapse."""
    return torch.eye(classes, dtype=torch.float64) - 1 / classes


# Golden values


@pytest.mark.parametrize(
    ("measure", "name"),
    [
        (nc1, "within_class_variation"),
        (nc2_equinorm, "equinorm"),
        (nc2_equiangular, "equiangular"),
        (nc2_max_angle, "maxangle"),
    ],
)
@pytest.mark.parametrize("case", CASES)
def test_collapse_agrees_with_the_golden_values(case: int, measure: GroupedMeasure, name: str) -> None:
    assert measure(*golden_case(case)) == pytest.approx(EXPECTED[case]["collapse"][name], rel=TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_nc1_over_the_dimensions_agrees_with_the_golden_weighted_value(case: int) -> None:
    z, predicted = golden_case(case)
    expected = EXPECTED[case]["collapse"]["within_class_variation_weighted"]
    assert nc1(z, predicted) / z.shape[1] == pytest.approx(expected, rel=TOLERANCE)


# NC1


@pytest.mark.parametrize(("classes", "dim"), [(5, 8), (10, 4)], ids=["more dimensions", "more classes"])
def test_nc1_is_its_definition(classes: int, dim: int) -> None:
    z, labels = clusters(0.3, classes=classes, dim=dim)
    assert nc1(z, labels) == pytest.approx(_by_definition(z.numpy(), labels.numpy()), rel=1e-9)


def test_nc1_falls_with_the_square_of_the_spread() -> None:
    wide, narrow = nc1(*clusters(1e-2)), nc1(*clusters(1e-5))
    assert wide / narrow == pytest.approx(1e6, rel=0.02)


def test_nc1_of_collapsed_classes_is_0() -> None:
    z, labels = clusters(0.0)
    assert nc1(z, labels) == pytest.approx(0, abs=1e-20)


def test_nc1_of_float32_representations_is_computed_in_float64() -> None:
    z, labels = clusters(1e-3)
    z = z.float()
    assert nc1(z, labels) == pytest.approx(nc1(z.double(), labels), rel=1e-12)


# NC2


def test_nc2_of_an_equiangular_frame_is_0() -> None:
    z, labels = _equiangular_frame(6).repeat(3, 1), torch.arange(6).repeat(3)
    for measure in (nc2_equinorm, nc2_equiangular, nc2_max_angle):
        assert measure(z, labels) == pytest.approx(0, abs=1e-12)


def test_nc2_equinorm_is_the_variation_of_the_distances_to_the_global_mean() -> None:
    z = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert nc2_equinorm(z, torch.arange(4)) == pytest.approx(0.5)


def test_nc2_angles_of_a_cross() -> None:
    z = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    # Two of the six pairs have cosine -1, four have 0.
    assert nc2_equiangular(z, torch.arange(4)) == pytest.approx(np.std([-1, -1, 0, 0, 0, 0]))
    assert nc2_max_angle(z, torch.arange(4)) == pytest.approx((2 * 2 / 3 + 4 * 1 / 3) / 6)


@pytest.mark.parametrize("measure", [nc2_equiangular, nc2_max_angle])
def test_a_class_mean_at_the_global_mean_has_no_angle(measure: GroupedMeasure) -> None:
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(MeasureError, match="one lies at the mean of all points"):
        measure(z, torch.arange(3))


# NC3


def test_nc3_of_a_weight_parallel_to_the_means_is_0_and_of_an_opposite_one_4() -> None:
    z, labels = clusters(0.1)
    means = torch.stack([z[labels == c].mean(0) for c in range(5)]) - z.mean(0)
    assert nc3_self_duality(z, labels, 7 * means) == pytest.approx(0, abs=1e-20)
    assert nc3_self_duality(z, labels, -0.2 * means) == pytest.approx(4)


def test_nc3_of_a_weight_orthogonal_to_the_means_is_2() -> None:
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert nc3_self_duality(z, torch.arange(2), torch.tensor([[0.0, 1.0], [0.0, -1.0]])) == pytest.approx(2)


def test_nc3_does_not_depend_on_scale_place_or_rotation() -> None:
    z, labels = clusters(0.3)
    weight, turn = torch.randn(5, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64), rotation(8)
    expected = nc3_self_duality(z, labels, weight)
    assert nc3_self_duality(1e-4 * z + 1, labels, 10 * weight) == pytest.approx(expected, rel=1e-6)
    assert nc3_self_duality(z @ turn, labels, weight @ turn) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("weight", "told"),
    [
        (torch.ones(6, 8), "a point of each of 6 classes, but found 5"),
        (torch.zeros(5, 8), "weights are 0"),
        (torch.full((5, 8), torch.nan), "not a number"),
    ],
    ids=["class without points", "weight of 0", "nan"],
)
def test_nc3_that_cannot_be_computed_is_an_error(weight: Tensor, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        nc3_self_duality(*clusters(0.1), weight)


# NC4


def test_nc4_is_the_share_of_points_that_another_mean_is_nearest_to() -> None:
    z = torch.tensor([[0.0], [0.2], [1.0], [1.2]])
    labels = torch.tensor([0, 0, 1, 1])
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert nc4_disagreement(z, labels, logits) == 0.25


def test_nc4_compares_class_numbers_where_a_class_has_no_point() -> None:
    z, labels = clusters(0.01)
    logits = torch.nn.functional.one_hot(2 * labels, 10).double()
    assert nc4_disagreement(z, 2 * labels, logits) == 0
    assert nc4_disagreement(z, 2 * labels, logits.roll(1, dims=1)) == 1


def test_nc4_sees_collapsed_means_apart_in_float32() -> None:
    z = torch.tensor([[1000.0], [1000.0], [1000.001], [1000.001]])
    labels = torch.tensor([0, 0, 1, 1])
    assert nc4_disagreement(z, labels, torch.nn.functional.one_hot(labels).float()) == 0


def test_nc4_of_logits_that_are_not_finite_is_an_error() -> None:
    with pytest.raises(MeasureError, match="finite"):
        nc4_disagreement(*clusters(0.1), torch.full((200, 5), torch.inf))


# All that group by class


@pytest.mark.parametrize("measure", BY_CLASS)
def test_collapse_does_not_depend_on_scale_place_rotation_order_or_the_names_of_the_classes(
    measure: GroupedMeasure,
) -> None:
    z, labels = clusters(0.3)
    expected = measure(z, labels)
    order = shuffled(len(z))
    assert measure(1e-4 * z + 1, labels) == pytest.approx(expected, rel=1e-6)
    assert measure(z @ rotation(8), labels) == pytest.approx(expected, rel=1e-9)
    assert measure(z[order], labels[order]) == pytest.approx(expected, rel=1e-9)
    assert measure(z, 7 * (4 - labels) + 3) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("measure", BY_CLASS)
@pytest.mark.parametrize(
    ("z", "labels", "told"),
    [
        (torch.randn(4, 2), torch.zeros(4, dtype=torch.long), "two classes, but found 1"),
        (torch.full((4, 2), 0.1), torch.tensor([0, 1, 1, 1]), "coincide|a class has one"),
        (torch.full((7, 2), 0.1), torch.tensor([0, 0, 1, 1, 1, 1, 1]), "coincide"),
        (torch.tensor([[1.0], [torch.nan], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1]), "not a number"),
        (torch.tensor([[1.0], [torch.inf], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1]), "infinite"),
        (torch.empty(0, 2), torch.empty(0, dtype=torch.long), "found none"),
    ],
    ids=["one class", "same means, one point", "same means", "nan", "inf", "no points"],
)
def test_collapse_that_cannot_be_computed_is_an_error(
    measure: GroupedMeasure, z: Tensor, labels: Tensor, told: str
) -> None:
    with pytest.raises(MeasureError, match=told):
        measure(z, labels)


def test_nc1_of_a_class_of_one_point_is_an_error() -> None:
    with pytest.raises(MeasureError, match="a class has one"):
        nc1(torch.randn(3, 2), torch.tensor([0, 0, 1]))


@pytest.mark.parametrize("spread", [1e-3, 1e-5, 1e-7])
def test_nc1_of_points_crushed_to_an_offset_is_that_without_the_offset(spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 4
    centres = torch.randn(4, 8, generator=generator, dtype=torch.float64)
    points = centres[labels] + 0.3 * torch.randn(200, 8, generator=generator, dtype=torch.float64)
    assert nc1(1 + spread * points, labels) == pytest.approx(nc1(points, labels), rel=1e-4)
