from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.training.golden import TOLERANCE, golden_arrays, golden_json
from tune_lpc.training.losses import supervised_contrastive_loss

EXPECTED = golden_json("expected.json")


def _batch(images: int = 12, classes: int = 3, dim: int = 5) -> tuple[Tensor, Tensor]:
    features = torch.randn(images, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return features.requires_grad_(), torch.arange(images) % classes


@pytest.mark.parametrize("case", range(len(EXPECTED)))
def test_the_loss_agrees_with_the_golden_values(case: int) -> None:
    arrays = golden_arrays(f"case{case}.npz")
    features, labels = torch.from_numpy(arrays["x"][:64]), torch.from_numpy(arrays["y"][:64])
    loss = supervised_contrastive_loss(features, labels, 0.05)
    assert float(loss) == pytest.approx(EXPECTED[case]["supcon_t0.05"], rel=TOLERANCE)


def test_the_loss_is_that_of_a_sum_over_pairs() -> None:
    features, labels = _batch()
    unit = features.detach() / features.detach().norm(dim=1, keepdim=True)
    total = 0.0
    for i in range(12):
        others = [j for j in range(12) if j != i]
        whole = sum(math.exp(float(unit[i] @ unit[j]) / 0.2) for j in others)
        partners = [j for j in others if labels[j] == labels[i]]
        total -= sum(math.log(math.exp(float(unit[i] @ unit[j]) / 0.2) / whole) for j in partners) / len(partners)
    assert float(supervised_contrastive_loss(features, labels, 0.2).detach()) == pytest.approx(total / 12, rel=1e-9)


def test_the_length_of_features_does_not_matter() -> None:
    features, labels = _batch()
    lengths = torch.logspace(-3, 3, 12, dtype=torch.float64)[:, None]
    expected = supervised_contrastive_loss(features, labels, 0.1)
    torch.testing.assert_close(supervised_contrastive_loss(features * lengths, labels, 0.1), expected)


def test_the_gradient_is_that_of_the_value() -> None:
    features, labels = _batch()
    assert torch.autograd.gradcheck(lambda x: supervised_contrastive_loss(x, labels, 0.1), features)


def test_descent_draws_classes_together() -> None:
    features, labels = _batch()
    optimizer = torch.optim.SGD([features], lr=0.5)
    for _ in range(100):
        optimizer.zero_grad()
        supervised_contrastive_loss(features, labels, 0.1).backward()
        optimizer.step()
    unit = torch.nn.functional.normalize(features.detach(), dim=1)
    cosines, same = unit @ unit.T, labels[:, None] == labels[None, :]
    assert cosines[same].min() > cosines[~same].max()


def test_an_image_alone_of_its_class_counts_0_in_the_mean() -> None:
    features, labels = _batch(6, 3)
    alone = torch.tensor([0, 0, 1, 1, 2, 3])
    both = supervised_contrastive_loss(features, alone, 0.1)
    loss = torch.zeros((), dtype=torch.float64)
    for i, j in ((0, 1), (1, 0), (2, 3), (3, 2)):
        unit = torch.nn.functional.normalize(features, dim=1)
        cosines = torch.cat([unit[:i], unit[i + 1 :]]) @ unit[i] / 0.1
        loss = loss + cosines.logsumexp(0) - unit[i] @ unit[j] / 0.1
    torch.testing.assert_close(both, loss / len(labels))


@pytest.mark.parametrize("images", [1, 2, 5])
def test_a_batch_without_partners_has_loss_0_and_gradient_0(images: int) -> None:
    features, _ = _batch(images)
    loss = supervised_contrastive_loss(features, torch.arange(images), 0.05)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert features.grad is not None and bool((features.grad == 0).all())


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_and_empty_features_have_finite_gradients(value: float) -> None:
    features = torch.full((6, 4), value, requires_grad=True)
    loss = supervised_contrastive_loss(features, torch.arange(6) % 2, 0.05)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(math.log(5), rel=1e-5)  # each of the five others has the same share
    assert features.grad is not None and bool(torch.isfinite(features.grad).all())


def test_it_is_computed_in_single_precision() -> None:
    features, labels = _batch()
    half = features.detach().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = supervised_contrastive_loss(half, labels, 0.05)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, supervised_contrastive_loss(half.float(), labels, 0.05))
