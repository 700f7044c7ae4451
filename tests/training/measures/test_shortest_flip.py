"""The shortest flip: against distances that are known, against DeepFool, and where gradients are masked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tune_lpc.training.measures import MeasureError
from tune_lpc.training.measures.deepfool import deepfool
from tune_lpc.training.measures.shortest_flip import ShortestFlip, shortest_flip

PIXELS = (1, 6, 6)


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, *PIXELS, generator=torch.Generator().manual_seed(seed))


def flips_of(logits_of: Callable[[Tensor], Tensor], inputs: Tensor, **others: Tensor) -> ShortestFlip:
    return shortest_flip(logits_of, inputs, deepfool(logits_of, inputs), **others)


def small_network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 32), nn.SiLU(), nn.Linear(32, 4)).requires_grad_(False)


def masked(network: nn.Module, steepness: float) -> Callable[[Tensor], Tensor]:
    """The same decisions, with logits that hardly change but at the border."""

    def logits_of(inputs: Tensor) -> Tensor:
        gap = network(inputs)[:, :1]
        flat = torch.tanh(steepness * gap) + 1e-3 * gap
        return torch.cat([flat, -flat], dim=1)

    return logits_of


def test_distance_of_a_linear_classifier() -> None:
    draw = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(5, 36, generator=draw), torch.randn(5, generator=draw)
    inputs = images(100)

    def logits_of(batch: Tensor) -> Tensor:
        return batch.flatten(1) @ weight.T + bias

    logits = logits_of(inputs)
    own = logits.argmax(dim=1)
    gaps = logits.gather(1, own[:, None]) - logits
    distances = gaps / (weight[own][:, None, :] - weight).norm(dim=2)
    distances.scatter_(1, own[:, None], torch.inf)
    torch.testing.assert_close(
        flips_of(logits_of, inputs).norms, distances.min(dim=1).values.double(), rtol=0.01, atol=0
    )


def test_distance_of_a_quadratic_classifier() -> None:
    inputs = images(100)

    def logits_of(batch: Tensor) -> Tensor:
        inside = batch.flatten(1).square().sum(dim=1) - 36
        return torch.stack([torch.zeros_like(inside), inside], dim=1)

    distances = (inputs.flatten(1).norm(dim=1) - 6).abs().double()
    torch.testing.assert_close(flips_of(logits_of, inputs).norms, distances, rtol=0.01, atol=0)


def test_never_longer_than_deepfool_where_that_flips() -> None:
    network, inputs = small_network(), images(200)
    fooling = deepfool(network, inputs)
    fooled = fooling.fooled != fooling.original
    assert fooled.float().mean() > 0.9
    found = shortest_flip(network, inputs, fooling)
    assert (found.norms <= fooling.norms)[fooled].all()
    torch.testing.assert_close(found.relative, found.norms / inputs.flatten(1).double().norm(dim=1))


def test_flips_are_flips_in_float64_too() -> None:
    network, inputs = small_network(), images(200)
    found = flips_of(network, inputs)
    precise = small_network().double()
    before = precise(inputs.double()).argmax(dim=1)
    after = precise(inputs.double() + found.perturbation.double()).argmax(dim=1)
    assert (before != after).double().mean() >= 0.99


def test_masked_gradients_do_not_lengthen_it() -> None:
    network = small_network()
    inputs = images(200)
    plain, hidden = masked(network, 0.1), masked(network, 50.0)
    lengths = [deepfool(logits_of, inputs).relative.median() for logits_of in (plain, hidden)]
    assert lengths[1] > 3 * lengths[0]  # what the paper's measure makes of the same borders
    flips = [flips_of(logits_of, inputs).relative.median() for logits_of in (plain, hidden)]
    torch.testing.assert_close(flips[0], flips[1], rtol=0.05, atol=0)


def test_the_perturbation_of_another_network_may_be_shorter() -> None:
    network, inputs = small_network(), images(50)
    fooling = deepfool(network, inputs)
    alone = shortest_flip(network, inputs, fooling, steps=0)
    best = shortest_flip(network, inputs, fooling)
    helped = shortest_flip(network, inputs, fooling, best.perturbation / 2, steps=0)
    assert (helped.norms <= alone.norms).all()
    torch.testing.assert_close(helped.norms, best.norms, rtol=0.02, atol=0)


def test_the_nearest_image_of_another_class() -> None:
    inputs = torch.tensor([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])[:, None, None, :]

    def logits_of(batch: Tensor) -> Tensor:
        return torch.stack([batch[:, 0, 0, 0], -batch[:, 0, 0, 0]], dim=1)

    assert flips_of(logits_of, inputs).nearest.tolist() == [2.0, 1.5, 2.0]


def test_one_class_alone_has_no_flip() -> None:
    inputs = images(10)

    def logits_of(batch: Tensor) -> Tensor:
        return torch.stack([batch.flatten(1).square().sum(dim=1) + 1, -batch.flatten(1).square().sum(dim=1)], dim=1)

    with pytest.raises(MeasureError, match="puts all in one"):
        flips_of(logits_of, inputs)
