from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.golden import TOLERANCE, golden_arrays, golden_json
from tune_lpc.training.metrics import MeasureError, mean_norm, nc1

EXPECTED = golden_json("expected.json")


def _classes(spread: float, points: int = 40, classes: int = 5, dim: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(classes).repeat_interleave(points)
    means = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    return means[labels] + spread * torch.randn(len(labels), dim, generator=generator, dtype=torch.float64), labels


def _by_definition(z: np.ndarray, labels: np.ndarray) -> float:
    """tr(S_W pinv(S_B)) / C with the matrices written out; classes of equal size."""
    classes = np.unique(labels)
    means = np.stack([z[labels == c].mean(0) for c in classes])
    within = np.mean([np.cov(z[labels == c].T) for c in classes], axis=0)
    centred = means - z.mean(0)
    between = centred.T @ centred / len(classes)
    return float(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / len(classes))


@pytest.mark.parametrize("case", range(len(EXPECTED)))
def test_nc1_agrees_with_the_golden_values(case: int) -> None:
    arrays = golden_arrays(f"case{case}.npz")
    found = nc1(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["predicted"]))
    assert found == pytest.approx(EXPECTED[case]["collapse"]["within_class_variation"], rel=TOLERANCE)


@pytest.mark.parametrize(("classes", "dim"), [(5, 8), (10, 4)], ids=["more dimensions", "more classes"])
def test_nc1_is_its_definition(classes: int, dim: int) -> None:
    z, labels = _classes(0.3, classes=classes, dim=dim)
    assert nc1(z, labels) == pytest.approx(_by_definition(z.numpy(), labels.numpy()), rel=1e-9)


def test_nc1_falls_with_the_square_of_the_spread() -> None:
    wide, narrow = nc1(*_classes(1e-2)), nc1(*_classes(1e-5))
    assert wide / narrow == pytest.approx(1e6, rel=0.02)


def test_nc1_does_not_depend_on_scale_place_or_the_names_of_the_classes() -> None:
    z, labels = _classes(0.3)
    assert nc1(1e-4 * z + 1, labels) == pytest.approx(nc1(z, labels), rel=1e-6)
    assert nc1(z, 7 * (4 - labels) + 3) == pytest.approx(nc1(z, labels), rel=1e-9)


def test_nc1_of_collapsed_classes_is_0() -> None:
    z, labels = _classes(0.0)
    assert nc1(z, labels) == pytest.approx(0, abs=1e-20)


def test_nc1_of_float32_representations_is_computed_in_float64() -> None:
    z, labels = _classes(1e-3)
    z = z.float()
    assert nc1(z, labels) == pytest.approx(nc1(z.double(), labels), rel=1e-12)


@pytest.mark.parametrize(
    ("z", "labels", "told"),
    [
        (torch.randn(4, 2), torch.zeros(4, dtype=torch.long), "two classes, but found 1"),
        (torch.randn(3, 2), torch.tensor([0, 0, 1]), "a class has one"),
        (torch.ones(4, 2), torch.tensor([0, 0, 1, 1]), "coincide"),
        (torch.tensor([[1.0], [torch.nan], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1]), "not a number"),
        (torch.tensor([[1.0], [torch.inf], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1]), "infinite"),
    ],
    ids=["one class", "one point", "same means", "nan", "inf"],
)
def test_nc1_that_cannot_be_computed_is_an_error(z: Tensor, labels: Tensor, told: str) -> None:
    with pytest.raises(MeasureError, match=told):
        nc1(z, labels)


def test_the_mean_norm_is_the_mean_of_the_norms() -> None:
    assert mean_norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]])) == 3.0


def test_the_mean_norm_of_large_float32_values_does_not_overflow() -> None:
    assert mean_norm(torch.full((2, 4), 1e30)) == pytest.approx(2e30)


def test_a_mean_norm_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(MeasureError, match="finite"):
        mean_norm(torch.tensor([[torch.nan, 1.0]]))
