"""The kernels for deaths on CPUs: what narrows down the distances, and threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tune_lpc.training.fast import h0
from tune_lpc.training.persistence import h0_deaths


def _cloud(shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _large_clouds(dtype: torch.dtype) -> dict[str, Tensor]:
    """Groups that are large enough for the matrix product which narrows down the distances, and hard for it."""
    z = _cloud((2, 140, 40), 30, dtype)
    doubled, outlier, apart = z.clone(), z.clone(), 1e-3 * z
    doubled[:, 100:] = doubled[:, :40]
    outlier[:, 7] *= 1e6
    apart[:, ::2] += 50
    lost = z.clone()
    lost[0, 3, 5], lost[1, 0, 2] = torch.nan, torch.inf
    tiny, huge = torch.finfo(dtype).tiny ** 0.5, torch.finfo(dtype).max ** 0.5
    return {
        "random": z, "tight": 10 + 1e-4 * z, "doubled": doubled, "one": torch.ones_like(z), "outlier": outlier,
        "two clusters": apart, "underflow": z * tiny, "partly underflow": z * tiny * 100, "overflow": z * huge / 8,
        "partly overflow": z * huge / 12, "not finite": lost,
    }  # fmt: skip


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """A CPU that computes in bfloat16, or not, as the parameter says."""
    of_processor = (h0._narrowed_kernel, h0._centre_kernel)
    for kernel in of_processor:
        kernel.cache_clear()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: request.param)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    yield
    for kernel in of_processor:
        kernel.cache_clear()


@pytest.mark.usefixtures("half")
@pytest.mark.parametrize(
    ("dtype", "half"),
    [(torch.float32, False), (torch.float32, True), (torch.float64, False)],
    indirect=["half"],
    ids=["float32", "float32 by bfloat16", "float64"],
)
@pytest.mark.parametrize("name", _large_clouds(torch.float32))
def test_a_matrix_product_narrows_down_the_distances_of_large_groups(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, weights = _large_clouds(dtype)[name], _cloud((2, 139), 31, dtype)
    narrowed = _with_gradient(z, weights, "l2")
    monkeypatch.setattr(h0, "MOST_PRODUCTS", 0)
    all_distances = _with_gradient(z, weights, "l2")
    torch.testing.assert_close(narrowed[0], all_distances[0], rtol=4 * torch.finfo(dtype).eps, atol=0, equal_nan=True)
    if name in ("random", "tight", "two clusters"):  # the others have ties
        torch.testing.assert_close(narrowed[1], all_distances[1])


def test_the_threads_of_torch_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    z, weights = _cloud((9, 80, 16), 12, torch.float32), torch.ones(9, 79)
    alone = _with_gradient(z, weights, "l1")
    monkeypatch.setattr(h0, "WORTH_A_THREAD", 1000)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        together = _with_gradient(z, weights, "l1")
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone[0], together[0])
    assert torch.equal(alone[1], together[1])


@pytest.mark.parametrize("metric", ["l2", "l1"])
def test_the_gradient_of_what_is_not_finite_is_not_hidden(metric: str) -> None:
    z = torch.tensor([[[0.0, 0.0], [float("nan"), 0.0], [1.0, 0.0]]])
    deaths, slope = _with_gradient(z, torch.ones(1, 2), metric)
    assert deaths[0, 0] == 1 and bool(deaths[0, 1].isnan())
    assert bool(slope[0, 1].isnan().any())


def test_points_are_not_to_change_between_forward_and_backward() -> None:
    points = _cloud((1, 4, 3), 13, torch.float64).requires_grad_()
    moved = points * 1.0
    deaths = h0_deaths(moved)
    with torch.no_grad():
        moved += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        deaths.sum().backward()


def test_deaths_can_be_differentiated_once() -> None:
    z, weights = _cloud((1, 4, 3), 14, torch.float64).requires_grad_(), torch.ones(1, 3, requires_grad=True)
    (slope,) = torch.autograd.grad((weights * h0_deaths(z)).sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def _with_gradient(z: Tensor, weights: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    z = z.detach().requires_grad_()
    deaths = h0_deaths(z, metric)
    (deaths * weights).sum().backward()
    assert z.grad is not None
    return deaths.detach(), z.grad
