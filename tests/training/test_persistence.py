from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.training.golden import TOLERANCE, golden_arrays, golden_json
from tune_lpc.training.persistence import h0_deaths, warm_up

Metric = Literal["l2", "l1"]
METRICS: tuple[Metric, ...] = ("l2", "l1")
CLOUDS = range(len(golden_json("h0.json")))
GOLDEN = golden_arrays("h0.npz")

shapes = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 6))
seeds = st.integers(0, 2**31)


def _cloud(shape: tuple[int, int, int], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _kruskal(z: Tensor, metric: Metric) -> np.ndarray:
    """Edge lengths of the minimum spanning tree, for each group, from all distances in float64: the definition."""
    deaths = []
    for group in z.double().numpy():
        difference = group[:, None] - group[None]
        distance = np.abs(difference).sum(-1) if metric == "l1" else np.sqrt((difference**2).sum(-1))
        points = len(group)
        root = list(range(points))
        edges = sorted((distance[i, j], i, j) for i in range(points) for j in range(i))
        lengths = []
        for length, i, j in edges:
            if root[i] != root[j]:
                lengths.append(length)
                root = [root[i] if r == root[j] else r for r in root]
        deaths.append(lengths)
    return np.array(deaths).reshape(z.shape[0], z.shape[1] - 1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("cloud", CLOUDS)
def test_deaths_agree_with_gudhi_and_ripser(cloud: int, metric: Metric) -> None:
    deaths = h0_deaths(torch.from_numpy(GOLDEN[f"z{cloud}"]), metric)
    np.testing.assert_allclose(deaths.numpy(), GOLDEN[f"deaths_{metric}_{cloud}"], rtol=TOLERANCE, atol=1e-6)


def test_one_of_the_golden_clouds_has_duplicates() -> None:
    assert any((GOLDEN[f"deaths_l2_{cloud}"] == 0).any() for cloud in CLOUDS)


@settings(max_examples=30, deadline=None)
@given(shapes, seeds, st.sampled_from(METRICS))
def test_deaths_are_the_edges_of_the_minimum_spanning_tree(
    shape: tuple[int, int, int], seed: int, metric: Metric
) -> None:
    z = _cloud(shape, seed)
    deaths = h0_deaths(z, metric)
    assert deaths.shape == (shape[0], shape[1] - 1)
    np.testing.assert_allclose(deaths.numpy(), _kruskal(z, metric), rtol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_tight_clouds_far_from_the_origin_keep_their_digits(metric: Metric) -> None:
    # The matrix-product formula for distances has lost all digits here.
    z = 10 + 1e-4 * _cloud((4, 16, 64), 0, torch.float32)
    np.testing.assert_allclose(h0_deaths(z, metric).numpy(), _kruskal(z, metric), rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(shapes, seeds, st.sampled_from(METRICS))
def test_the_order_of_the_points_does_not_matter(shape: tuple[int, int, int], seed: int, metric: Metric) -> None:
    z = _cloud(shape, seed)
    order = torch.randperm(shape[1], generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(h0_deaths(z[:, order], metric), h0_deaths(z, metric))


@settings(max_examples=15, deadline=None)
@given(shapes, seeds, st.sampled_from(METRICS), st.floats(0.01, 100), st.floats(-50, 50))
def test_deaths_scale_with_the_cloud_and_do_not_move_with_it(
    shape: tuple[int, int, int], seed: int, metric: Metric, scale: float, shift: float
) -> None:
    z = _cloud(shape, seed)
    moved = h0_deaths(scale * z + shift, metric)
    torch.testing.assert_close(moved, scale * h0_deaths(z, metric), rtol=1e-9, atol=1e-11)


def test_euclidean_deaths_do_not_turn_with_the_cloud_but_those_of_l1_do() -> None:
    z = _cloud((3, 12, 5), 1)
    rotation = torch.linalg.qr(_cloud((1, 5, 5), 2)[0]).Q
    torch.testing.assert_close(h0_deaths(z @ rotation), h0_deaths(z))
    assert not torch.allclose(h0_deaths(z @ rotation, "l1"), h0_deaths(z, "l1"))


@pytest.mark.parametrize("metric", METRICS)
def test_groups_do_not_see_each_other(metric: Metric) -> None:
    z = _cloud((5, 8, 3), 3)
    alone = torch.cat([h0_deaths(group[None], metric) for group in z])
    torch.testing.assert_close(h0_deaths(z, metric), alone)


def test_deaths_rise() -> None:
    deaths = h0_deaths(_cloud((4, 20, 3), 4))
    assert bool((deaths.diff(dim=1) >= 0).all())


def test_a_point_alone_has_no_death() -> None:
    assert h0_deaths(torch.zeros(3, 1, 4)).shape == (3, 0)


@pytest.mark.parametrize("metric", METRICS)
def test_a_duplicate_is_a_death_of_0_with_a_finite_gradient(metric: Metric) -> None:
    z = _cloud((2, 6, 4), 5, torch.float32)
    z[:, 3] = z[:, 0]
    z[:, 4] = z[:, 0]
    z.requires_grad_()
    deaths = h0_deaths(z, metric)
    assert (deaths == 0).sum(dim=1).tolist() == [2, 2]
    deaths.sum().backward()
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())
    assert bool(z.grad.any())


def test_points_that_all_coincide_have_a_gradient_of_0() -> None:
    z = torch.ones(2, 5, 3, requires_grad=True)
    h0_deaths(z).sum().backward()
    assert z.grad is not None
    assert not z.grad.any()


@pytest.mark.parametrize("metric", METRICS)
def test_the_gradient_is_that_of_finite_differences(metric: Metric) -> None:
    z = _cloud((2, 6, 3), 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda points: h0_deaths(points, metric), z)


def test_the_gradient_of_a_death_pulls_its_two_points_together() -> None:
    z = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], requires_grad=True)
    h0_deaths(z).sum().backward()
    torch.testing.assert_close(z.grad, torch.tensor([[[-0.6, -0.8], [0.6, 0.8]]]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_lifted_before_anything_is_computed(dtype: torch.dtype) -> None:
    z = _cloud((2, 8, 16), 7).to(dtype)
    deaths = h0_deaths(z)
    assert deaths.dtype == torch.float32
    assert torch.equal(deaths, h0_deaths(z.float()))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_what_is_not_finite_shows_in_the_deaths(value: float, metric: Metric) -> None:
    # A point that is never reached must not leave made-up deaths behind.
    z = torch.tensor([[[0.0, 0.0], [value, -value], [1.0, 0.0], [2.0, 0.0]]])
    assert not h0_deaths(z, metric).isfinite().all()


@pytest.mark.parametrize(
    "z", [torch.zeros(4, 3), torch.zeros(1, 2, 3, 4), torch.zeros(2, 3, 4, dtype=torch.int64)], ids=["2d", "4d", "int"]
)
def test_another_shape_or_type_is_an_error(z: Tensor) -> None:
    with pytest.raises(ValueError, match="must be \\(groups, points, dim\\), floating point"):
        h0_deaths(z)


def test_another_metric_is_an_error() -> None:
    with pytest.raises(ValueError, match="'cosine'"):
        h0_deaths(torch.zeros(1, 2, 3), "cosine")  # type: ignore[arg-type]


def test_another_backend_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'ripser'.*'auto', 'plain', 'gudhi', 'torchph'"):
        h0_deaths(torch.zeros(1, 2, 3), backend="ripser")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(0, 4, 3), (3, 0, 4), (3, 1, 4), (2, 2, 1), (2, 5, 0), (3, 23, 37), (1, 130, 64)])
def test_the_kernel_agrees_with_plain_torch(shape: tuple[int, int, int], dtype: torch.dtype, metric: Metric) -> None:
    z = _cloud(shape, 8, dtype)
    if shape[1] > 4:
        z[:, 4] = z[:, 1]
    weights = _cloud((shape[0], max(shape[1] - 1, 0), 1), 9, dtype)[..., 0]
    (deaths, slope), (plain_deaths, plain_slope) = (
        _with_gradient(z, weights, metric, backend) for backend in ("auto", "plain")
    )
    assert deaths.dtype == dtype
    torch.testing.assert_close(deaths, plain_deaths)
    torch.testing.assert_close(slope, plain_slope)


def test_large_groups_are_exact_whatever_the_precision_of_matrix_products() -> None:
    z = 10 + 1e-4 * _cloud((2, 140, 40), 30, torch.float32)  # large enough to be narrowed down by products
    expected = h0_deaths(z)
    np.testing.assert_allclose(expected.numpy(), _kruskal(z, "l2"), rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(h0_deaths(z), expected)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(h0_deaths(z), expected)
    finally:
        torch.set_float32_matmul_precision(before)


def test_points_need_not_lie_in_a_row_in_memory() -> None:
    z = _cloud((7, 5, 6), 10).permute(2, 0, 1)
    weights = _cloud((6, 6, 1), 11)[..., 0].t()
    deaths, slope = _with_gradient(z, weights, "l2", "auto")
    copied_deaths, copied_slope = _with_gradient(z.contiguous(), weights, "l2", "auto")
    assert torch.equal(deaths, copied_deaths)
    assert torch.equal(slope, copied_slope)


def test_autocast_leaves_deaths_in_float32_and_gives_the_gradient_back_in_bfloat16() -> None:
    layer = torch.nn.Linear(8, 4, bias=False)
    points = _cloud((2, 6, 8), 15, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        z = layer(points)
        deaths = h0_deaths(z)
    assert z.dtype == torch.bfloat16 and deaths.dtype == torch.float32
    z.retain_grad()
    deaths.sum().backward()
    assert z.grad is not None and z.grad.dtype == torch.bfloat16
    assert layer.weight.grad is not None and bool(layer.weight.grad.any())


@pytest.mark.slow
def test_compiled_networks_have_the_same_deaths_in_one_graph() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 4)
    points = _cloud((3, 6, 8), 16, torch.float32)

    def loss() -> Tensor:
        return (h0_deaths(layer(points).relu()) - 0.1).abs().sum()

    expected = torch.autograd.grad(loss(), layer.weight)[0]
    # aot_eager traces forward and backward as inductor does, and needs no C++ compiler.
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")()
    torch.testing.assert_close(torch.autograd.grad(compiled, layer.weight)[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["l2", "l1"])
def test_the_operators_keep_their_promises_to_torch(metric: str) -> None:
    z = _cloud((2, 5, 3), 17).requires_grad_()
    torch.library.opcheck(torch.ops.tune_lpc.h0_forward.default, (z, metric))


def test_warming_up_takes_groups_of_any_size() -> None:
    for shape in ((2, 5, 3), (1, 1, 4)):
        warm_up(shape, "l1", dtype=torch.float64)


def _with_gradient(z: Tensor, weights: Tensor, metric: Metric, backend: str) -> tuple[Tensor, Tensor]:
    z = z.detach().requires_grad_()
    deaths = h0_deaths(z, metric, backend)
    (deaths * weights).sum().backward()
    assert z.grad is not None
    return deaths.detach(), z.grad
