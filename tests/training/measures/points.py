"""Points and networks that the tests of the measures share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.training.golden import golden_arrays, golden_json

EXPECTED: list[dict[str, Any]] = golden_json("expected.json")
CASES = range(len(EXPECTED))


def golden_case(case: int) -> tuple[Tensor, Tensor]:
    """Representations and predicted labels of a golden case; its values are grouped by predicted label."""
    arrays = golden_arrays(f"case{case}.npz")
    return torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["predicted"])


def clusters(spread: float, points: int = 40, classes: int = 5, dim: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`points` float64 points of each class about a mean of its own, with that standard deviation, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(points)
    means = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    return means[labels] + spread * torch.randn(len(labels), dim, generator=generator, dtype=torch.float64), labels


def rotation(dim: int) -> Tensor:
    """An orthogonal matrix (dim, dim) in float64."""
    generator = torch.Generator().manual_seed(1)
    orthogonal: Tensor = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q
    return orthogonal


def shuffled(count: int) -> Tensor:
    """An order (count,) other than the given one."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(2))


def golden_network() -> tuple[Callable[[Tensor], Tensor], dict[str, Tensor]]:
    """The tanh network of the golden robustness values, and all arrays that belong to it."""
    arrays = {name: torch.from_numpy(array) for name, array in golden_arrays("robustness.npz").items()}

    def logits_of(images: Tensor) -> Tensor:
        hidden = torch.tanh(images.flatten(1) @ arrays["w1"].to(images).T + arrays["b1"].to(images))
        return hidden @ arrays["w2"].to(images).T + arrays["b2"].to(images)

    return logits_of, arrays


def linear_network(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """logits = weight (classes, pixels) times the flattened image."""
    return lambda images: images.flatten(1) @ weight.T
