from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from tests.training.golden import TOLERANCE, golden_arrays, golden_json
from tune_lpc.training.losses import arcface_loss, cosface_loss

Loss = Callable[[Tensor, Tensor, float, float], Tensor]
EXPECTED = golden_json("expected.json")
LOSSES = pytest.mark.parametrize("loss", [arcface_loss, cosface_loss])


def _cosines(images: int = 20, classes: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    cosines = 1.8 * torch.rand(images, classes, generator=generator, dtype=torch.float64) - 0.9
    return cosines, torch.randint(classes, (images,), generator=generator)


@pytest.mark.parametrize("case", range(len(EXPECTED)))
@pytest.mark.parametrize(("margin", "scale"), [(0.3, 32), (0.1, 16)])
def test_arcface_agrees_with_the_golden_values(case: int, margin: float, scale: float) -> None:
    arrays = golden_arrays(f"case{case}.npz")
    x, w = torch.from_numpy(arrays["x"][:64]), torch.from_numpy(arrays["w"])
    loss = arcface_loss(normalize(x) @ normalize(w).T, torch.from_numpy(arrays["y"][:64]), margin, scale)
    assert float(loss) == pytest.approx(EXPECTED[case][f"arcface_m{margin:g}_s{scale}"], rel=TOLERANCE)


def test_arcface_adds_the_margin_to_the_angle_and_cosface_takes_it_from_the_cosine() -> None:
    cosines, labels = _cosines()
    rows = torch.arange(len(labels))
    for loss, true in (
        (arcface_loss, torch.cos(torch.acos(cosines[rows, labels]) + 0.2)),
        (cosface_loss, cosines[rows, labels] - 0.2),
    ):
        logits = cosines.clone()
        logits[rows, labels] = true
        torch.testing.assert_close(loss(cosines, labels, 0.2, 8.0), cross_entropy(8.0 * logits, labels))


@LOSSES
def test_without_a_margin_it_is_the_cross_entropy_of_scaled_cosines(loss: Loss) -> None:
    cosines, labels = _cosines()
    torch.testing.assert_close(loss(cosines, labels, 0.0, 16.0), cross_entropy(16.0 * cosines, labels))


@LOSSES
@pytest.mark.parametrize("margin", [0.1, 0.5, 1.0, 1.5])
def test_the_loss_falls_all_the_way_as_the_true_class_comes_nearer(loss: Loss, margin: float) -> None:
    cosines = torch.linspace(-1, 1, 401, dtype=torch.float64)
    label = torch.zeros(1, dtype=torch.long)
    losses = torch.stack([loss(torch.tensor([[c, 0.0]], dtype=torch.float64), label, margin, 4.0) for c in cosines])
    assert bool((losses.diff() < 0).all())


@LOSSES
def test_the_gradient_is_that_of_the_value(loss: Loss) -> None:
    cosines, labels = _cosines()
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, 0.3, 4.0), cosines.requires_grad_())


@LOSSES
@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_gradients_are_finite_at_the_ends(loss: Loss, margin: float, kind: torch.dtype) -> None:
    nearly = 1.0 - torch.finfo(kind).eps / 2  # the number right below 1
    column = torch.tensor([1.0, -1.0, nearly, -nearly, 0.0], dtype=kind)
    cosines = torch.stack([column, column.flip(0)], dim=1).requires_grad_()
    value = loss(cosines, torch.zeros(len(column), dtype=torch.long), margin, 64.0)
    value.backward()
    assert math.isfinite(float(value.detach()))
    assert cosines.grad is not None and bool(torch.isfinite(cosines.grad).all())


@pytest.mark.parametrize(("cosine", "expected"), [(1.0, math.cos(0.5)), (-1.0, -1.0 - 0.5 * math.sin(0.5))])
def test_arcface_at_the_ends(cosine: float, expected: float) -> None:
    loss = arcface_loss(torch.tensor([[cosine, 0.0]]), torch.tensor([0]), 0.5, 2.0)
    assert float(loss) == pytest.approx(math.log1p(math.exp(-2.0 * expected)), rel=1e-5)


@LOSSES
def test_half_precision_is_lifted(loss: Loss) -> None:
    cosines, labels = _cosines()
    half = cosines.bfloat16()
    value = loss(half, labels, 0.3, 32.0)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float(), labels, 0.3, 32.0))


@LOSSES
def test_the_cosines_given_stay_as_they_are(loss: Loss) -> None:
    cosines, labels = _cosines()
    before = cosines.clone()
    loss(cosines, labels, 0.3, 32.0)
    assert torch.equal(cosines, before)
