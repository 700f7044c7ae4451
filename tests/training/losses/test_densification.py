from __future__ import annotations

from typing import Any, Literal

import pytest
import torch

from tests.training.golden import TOLERANCE, golden_arrays, golden_json
from tune_lpc.training.losses import densification_loss

Metric = Literal["l2", "l1"]
CASES = golden_json("h0.json")
CLOUDS = golden_arrays("h0.npz")


def _losses() -> list[tuple[int, Metric, float, float]]:
    found: list[tuple[int, Any, float, float]] = []
    for cloud, case in enumerate(CASES):
        for name, value in case.items():
            if name.startswith("loss_"):
                _, metric, beta = name.split("_")
                found.append((cloud, metric, float(beta.removeprefix("beta")), value))
    return found


@pytest.mark.parametrize(("cloud", "metric", "beta", "value"), _losses())
def test_the_loss_agrees_with_the_golden_values(cloud: int, metric: Metric, beta: float, value: float) -> None:
    z = torch.from_numpy(CLOUDS[f"z{cloud}"])
    assert float(densification_loss(z, beta, metric)) == pytest.approx(value, rel=TOLERANCE)


def test_a_death_of_0_counts_beta() -> None:
    assert float(densification_loss(torch.ones(3, 5, 2), 0.7)) == pytest.approx(4 * 0.7)


def test_the_loss_is_a_sum_over_deaths_and_a_mean_over_groups() -> None:
    z = torch.tensor([[[0.0], [1.0], [3.0]], [[0.0], [5.0], [10.0]]])  # deaths 1, 2 and 5, 5
    assert float(densification_loss(z, 1.5)) == pytest.approx(((0.5 + 0.5) + (3.5 + 3.5)) / 2)


@pytest.mark.parametrize(("beta", "sign"), [(10.0, -1.0), (0.0, 1.0)])
def test_the_gradient_drives_distances_towards_beta(beta: float, sign: float) -> None:
    z = torch.tensor([[[0.0], [2.0]]], requires_grad=True)
    densification_loss(z, beta).backward()
    assert z.grad is not None
    assert z.grad[0, 1].item() == sign


def test_descent_reaches_the_scale() -> None:
    z = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.SGD([z], lr=0.01)
    first = densification_loss(z, 1.1).item()
    for _ in range(200):
        optimizer.zero_grad()
        densification_loss(z, 1.1).backward()
        optimizer.step()
    assert densification_loss(z, 1.1).item() < 0.1 * first
