"""The nearest points against brute force, whichever fast ways are tried first."""

from __future__ import annotations

import importlib.util
import logging
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.measures.points import clusters
from tune_lpc.training.measures import neighbours
from tune_lpc.training.measures.neighbours import Nearest, nearest

WAYS = [(), ("products",), ("faiss",), ("faiss", "products")]
needs_faiss = pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="faiss is not installed")


def _by_brute_force(queries: Tensor, points: Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and rows by all differences in float64, the first rows first where points are equally far."""
    difference = queries.numpy()[:, None] - points.numpy()[None]
    distances = np.sqrt((difference**2).sum(axis=-1))
    rows = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(distances, rows, axis=1), rows


def _assert_nearest(found: Nearest, queries: Tensor, points: Tensor) -> None:
    distances, rows = _by_brute_force(queries, points, found.rows.shape[1])
    np.testing.assert_array_equal(found.rows.numpy(), rows)
    np.testing.assert_allclose(found.distances.numpy(), distances, rtol=1e-13, atol=0)


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6, 1e-9])
def test_tight_clusters_give_what_brute_force_gives(spread: float, offset: float, ways: tuple[str, ...]) -> None:
    points = clusters(spread, points=120)[0] + offset
    queries = torch.cat([points[::7], points[::11] + spread / 3])
    _assert_nearest(nearest(queries, points, 20, ways), queries, points)


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("spread", [1.0, 1e-6, 0.0])
def test_duplicates_come_in_the_order_of_their_rows(spread: float, ways: tuple[str, ...]) -> None:
    points = clusters(spread, points=40)[0].repeat(2, 1)
    points[:60] = points[0]
    _assert_nearest(nearest(points, points, 25, ways), points, points)


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("scale", [1.0, 2.0**-40])
def test_of_points_equally_far_the_first_rows_are_taken(scale: float, ways: tuple[str, ...]) -> None:
    axis = torch.arange(6, dtype=torch.float64)
    points = scale * torch.cartesian_prod(axis, axis, axis)
    points = points[torch.randperm(len(points), generator=torch.Generator().manual_seed(0))]
    for count in (1, 7, 20):
        _assert_nearest(nearest(points, points, count, ways), points, points)


@pytest.mark.parametrize("ways", WAYS)
def test_points_that_all_coincide_and_far_queries_are_no_trouble(ways: tuple[str, ...]) -> None:
    points, queries = torch.full((90, 4), 0.1, dtype=torch.float64), torch.eye(4, dtype=torch.float64) * 1e30
    _assert_nearest(nearest(torch.cat([queries, points]), points, 9, ways), torch.cat([queries, points]), points)


def test_all_points_may_be_asked_for() -> None:
    points = clusters(0.1, points=4)[0]
    _assert_nearest(nearest(points, points, len(points)), points, points)


@pytest.mark.parametrize("offset", [0.0, 1e5])
@pytest.mark.parametrize("way", [pytest.param("faiss", marks=needs_faiss), "products"])
def test_a_fast_way_proves_its_answer_where_points_lie_apart(
    way: str, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = clusters(1.0, points=300)[0] + offset
    left: list[int] = []
    all_distances = neighbours._among_all
    monkeypatch.setattr(neighbours, "_among_all", lambda q, *rest: left.append(len(q)) or all_distances(q, *rest))
    nearest(points, points, 20, (way,))
    assert sum(left) < len(points) / 100


@pytest.mark.parametrize("way", [pytest.param("faiss", marks=needs_faiss), "products"])
def test_without_the_proof_the_answer_would_be_wrong(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = clusters(1e-9, points=120)[0]
    monkeypatch.setattr(neighbours._Scaled, "error", lambda self, chunk, _: torch.full((len(chunk),), -torch.inf))
    assert not np.array_equal(nearest(points, points, 20, (way,)).rows, _by_brute_force(points, points, 20)[1])


@pytest.mark.parametrize("dim", [1, 8, 300])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("way", [pytest.param("faiss", marks=needs_faiss), "products"])
def test_no_distance_of_a_fast_way_is_off_by_more_than_the_bound(way: str, spread: float, dim: int) -> None:
    points, queries = (clusters(spread, 100, dim=dim, seed=seed)[0] for seed in (0, 1))
    scaled = neighbours._Scaled.of(queries, points)
    search = neighbours._product_search(scaled.points)
    if way == "faiss":
        found = neighbours._faiss_search(scaled.points, 1)
        assert found is not None
        search = found
    rows, squares = search(scaled.queries, 1)
    exact = (queries - points[rows[:, 0]]).square().sum(dim=1) / scaled.scale**2
    bound = scaled.error(torch.arange(len(queries)), 2.0**-24 if way == "faiss" else 2.0**-53)
    assert bool(((squares - exact).abs() <= bound).all())


def test_without_faiss_the_exact_way_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(neighbours, "WORTH", {"faiss": 0, "products": 2**60})
    points = clusters(0.1, points=60)[0]
    _assert_nearest(nearest(points, points, 20), points, points)


def test_where_faiss_fails_torch_searches_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("no kernel image\nmore of the message")

    broken = ModuleType("faiss")
    broken.IndexFlatL2 = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faiss", broken)
    points = clusters(0.1, points=60)[0]
    with caplog.at_level(logging.WARNING):
        _assert_nearest(nearest(points, points, 20, ("faiss",)), points, points)
    assert "torch searches for neighbours: no kernel image" in caplog.text


@pytest.mark.parametrize(("gpu", "gpus", "moved"), [(None, 2, False), (1, 0, False), (1, 2, True)])
def test_points_on_a_gpu_are_searched_there_where_faiss_is_built_for_it(
    gpu: int | None, gpus: int, moved: bool
) -> None:
    options = SimpleNamespace()
    fake: Any = SimpleNamespace(
        IndexFlatL2=lambda dim: ("flat", dim),
        get_num_gpus=lambda: gpus,
        StandardGpuResources=lambda: SimpleNamespace(setTempMemory=lambda _: None),
        GpuClonerOptions=lambda: options,
        index_cpu_to_gpu=lambda _, number, index, given: ("on", number, index, given.use_cuvs),
    )
    assert neighbours._faiss_index(fake, 8, gpu) == (("on", 1, ("flat", 8), False) if moved else ("flat", 8))


def test_only_ways_that_pay_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(neighbours, "_faiss_search", lambda *_: tried.append("faiss"))
    monkeypatch.setattr(neighbours, "_product_search", lambda *_: tried.append("products"))
    points = clusters(0.1, points=60)[0]  # 300 x 300 x 8 differences
    for worth, expected in ((2**19, ["faiss"]), (2**20, [])):
        tried.clear()
        monkeypatch.setattr(neighbours, "WORTH", {"faiss": worth, "products": 2**40})
        nearest(points, points, 20)
        assert tried == expected
