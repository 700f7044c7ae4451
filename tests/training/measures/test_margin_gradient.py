from __future__ import annotations

import pytest
import torch

from tests.training.golden import TOLERANCE
from tests.training.measures.points import golden_network, linear_network
from tune_lpc.training.measures import MeasureError, margin_gradient


def test_the_margin_gradient_agrees_with_the_golden_norms() -> None:
    logits_of, golden = golden_network()
    found = margin_gradient(logits_of, golden["x"], golden["y"])
    assert found.norm.tolist() == pytest.approx(golden["margin_gradient_norm"].tolist(), rel=TOLERANCE)


def test_the_margin_gradient_of_a_linear_network_is_the_difference_of_two_rows() -> None:
    weight = torch.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    images = torch.tensor([[1.0, 1.0], [1.0, 0.0]])[:, None, :, None]
    found = margin_gradient(linear_network(weight), images, torch.tensor([0, 2]))
    assert found.norm.tolist() == pytest.approx([5, 3])
    assert found.margin.tolist() == pytest.approx([-1, -3])


def test_the_margin_gradient_does_not_depend_on_the_batches() -> None:
    logits_of, golden = golden_network()
    whole, parts = (margin_gradient(logits_of, golden["x"], golden["y"], batch_size=size).norm for size in (100, 5))
    assert parts.tolist() == pytest.approx(whole.tolist(), rel=1e-5)


def test_the_margin_gradient_is_computed_in_inference_mode_too() -> None:
    logits_of, golden = golden_network()
    with torch.inference_mode():
        found = margin_gradient(logits_of, golden["x"] + 0, golden["y"] + 0)
    assert found.norm.tolist() == pytest.approx(golden["margin_gradient_norm"].tolist(), rel=TOLERANCE)


def test_a_margin_gradient_that_cannot_be_computed_is_an_error() -> None:
    images, labels = torch.ones(2, 1, 1, 2), torch.tensor([0, 0])
    with pytest.raises(MeasureError, match="two classes, but the network has one"):
        margin_gradient(linear_network(torch.ones(1, 2)), images, labels)
    with pytest.raises(MeasureError, match="finite"):
        margin_gradient(linear_network(torch.ones(3, 2)), images * torch.nan, labels)
    with pytest.raises(MeasureError, match="finite"):
        margin_gradient(linear_network(torch.full((3, 2), torch.nan)), images, labels)
    with pytest.raises(MeasureError, match="none"):
        margin_gradient(linear_network(torch.ones(3, 2)), images[:0], labels[:0])
