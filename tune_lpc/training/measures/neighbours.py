"""The nearest points, exactly: from candidates that a fast search gives, where a bound proves that none is missing.

A fast search computes squared distances from matrix products, |a|^2 + |b|^2 - 2 a.b, in float32 (faiss, on its GPU
index where the points lie on a GPU) or float64 (torch). That loses the digits of small distances between large numbers,
which is what collapsed classes are made of. So its answer only names candidates. They are ranked again by distances
from differences in float64, and taken where the bound of `_Scaled.error` proves that no other point can be as near as
the last of them. The queries left over go to the next way: faiss, products in float64, all distances from differences.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import direct_distances

WORTH = {"faiss": 2**33, "products": 2**27}
"""Coordinate differences of all pairs from which a way takes less time than the next: see benchmarks/measures.py."""
SPARE = 32
"""Candidates beyond those asked for: the more, the farther are the others, and the sooner that is proved."""
MOST_ON_A_GPU = 2048
"""Candidates that faiss gives on a GPU."""
_AT_ONCE = 2**23
"""Values of a temporary array: 64 MiB in float64."""
_TRIAL, _QUERIES = 128, 1024
"""Queries of the first search of a way, which shows whether it proves anything, and of the others."""

log = logging.getLogger(__name__)

Search = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Scaled queries (queries, dim) and a number of candidates -> their rows (queries, candidates), and the largest of
their squared distances as computed (queries,), which no other point is below."""


class Nearest(NamedTuple):
    """Of each query the nearest points, rising: distances (queries, count) in float64, and rows (queries, count).

    Of points equally far the first rows come first, and are taken where not all can be.
    """

    distances: Tensor
    rows: Tensor


def nearest(queries: Tensor, points: Tensor, count: int, ways: Sequence[str] | None = None) -> Nearest:
    """The `count` nearest of `points` (points, dim) to each of `queries` (queries, dim); both float64 and finite.

    Euclidean distances, exact to the rounding of float64. count: `len(points)` at most. ways: the fast ones to try
    first, of "faiss" and "products"; None for those that pay at this size. They change the time that it takes alone.
    """
    rows = torch.empty(len(queries), count, dtype=torch.long, device=queries.device)
    found = Nearest(queries.new_empty(len(queries), count), rows)
    left = torch.arange(len(queries), device=queries.device)
    if ways is None:
        ways = [way for way, least in WORTH.items() if len(queries) * points.numel() >= least]
    if ways and count + SPARE < len(points):
        scaled = _Scaled.of(queries, points)
        for way in ways:
            search = _faiss_search(scaled.points, count + SPARE) if way == "faiss" else _product_search(scaled.points)
            if search is not None:
                roundoff = 2.0**-24 if way == "faiss" else 2.0**-53
                left = _take_proved(search, roundoff, scaled, (queries, points), found, left)
    for chunk in left.split(max(1, _AT_ONCE // len(points))):
        found.distances[chunk], found.rows[chunk] = _among_all(queries[chunk], points, count)
    return found


def _take_proved(
    search: Search, roundoff: float, scaled: _Scaled, exact: tuple[Tensor, Tensor], found: Nearest, left: Tensor
) -> Tensor:
    """Fill in `found` of the queries `left` what is proved. exact: queries and points. Returns those that are not."""
    queries, points = exact
    count = found.rows.shape[1]
    chunks = [left[:_TRIAL], *left[_TRIAL:].split(_QUERIES)]
    unproved = []
    while chunks:
        chunk = chunks.pop(0)
        candidates, beyond = search(scaled.queries[chunk], count + SPARE)
        ranked = _ranked(queries[chunk], points, candidates, count)
        farthest = ranked.distances[:, -1] / scaled.scale
        proved = farthest.square() < beyond - scaled.error(chunk, roundoff)
        found.distances[chunk[proved]], found.rows[chunk[proved]] = ranked.distances[proved], ranked.rows[proved]
        unproved.append(chunk[~proved])
        if 2 * int(proved.sum()) < len(chunk):
            break  # the rest would hardly fare better
    return torch.cat([*unproved, *chunks])


@dataclass(frozen=True, eq=False)
class _Scaled:
    """Queries and points, less the mean of the points, divided by `scale` so that no norm is above 1; float64.

    scale: a power of two, which rounds nothing. reach: (queries,) the norm of each query and the largest of the points
    together.
    """

    queries: Tensor
    points: Tensor
    scale: float
    reach: Tensor

    @classmethod
    def of(cls, queries: Tensor, points: Tensor) -> _Scaled:
        centre = points.mean(dim=0)
        queries, points = queries - centre, points - centre
        of_queries, of_points = torch.linalg.vector_norm(queries, dim=1), torch.linalg.vector_norm(points, dim=1).max()
        largest = torch.maximum(of_queries.max(), of_points)
        scale = float(torch.ldexp(torch.ones_like(largest), largest.frexp().exponent))
        return cls(queries / scale, points / scale, scale, (of_queries + of_points) / scale)

    def error(self, chunk: Tensor, roundoff: float) -> Tensor:
        """(chunk,) how much nearer than computed another point may be: squared, from products of so much roundoff.

        For a query a and a point b, with n dimensions, u the unit roundoff, and s = |a| + |b|, to first order in u:
        rounding a and b moves the squared distance by 2 u s^2, and centring them by no more than that; the sums of n
        products, in any order, fused or not, are off by n u s^2 together (Higham, Accuracy and Stability of Numerical
        Algorithms, 2nd edition, equation 3.5: n u |a||b| for a.b, and so for |a|^2 and |b|^2); putting the three
        together rounds three times, 3 u s^2. The distances from differences, two of which are compared in the end, are
        off by (n + 3) u' s^2 each, where u' is that of float64. That is (3 n + 13) u s^2 where u is u', else less, and
        we take 3 (n + 8) u s^2: the rest is above the terms in u^2 for as many dimensions as a layer may have, 65,536.
        A search that sums differences, as faiss does for few queries, is off by less. At norms up to 1, n products
        that underflow in float32 and n rounded coordinates that do take less than 64 n times its smallest number.
        """
        dim = self.points.shape[1]
        underflow = 64 * dim * torch.finfo(torch.float32).tiny if roundoff > 2**-53 else 0.0
        return 3 * (dim + 8) * roundoff * self.reach[chunk].square() + underflow


def _faiss_search(points: Tensor, candidates: int) -> Search | None:
    """faiss on the points (points, dim); None where it is not installed, or fails on the GPU."""
    try:
        import faiss
    except ImportError:
        return None
    try:
        gpu = points.device.index or 0 if points.is_cuda and candidates <= MOST_ON_A_GPU else None
        index = _faiss_index(faiss, points.shape[1], gpu)
        index.add(points.float().cpu().numpy())
    except RuntimeError as error:
        log.warning("faiss can't be used, and torch searches for neighbours: %s", str(error).strip().splitlines()[0])
        return None

    def search(queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        faiss.omp_set_num_threads(torch.get_num_threads())  # it would take all that the machine has
        squares, rows = index.search(queries.float().cpu().numpy(), count)
        return torch.from_numpy(rows).to(points.device), torch.from_numpy(squares).amax(dim=1).to(points)

    return search


def _faiss_index(faiss: Any, dim: int, gpu: int | None) -> Any:
    """A search through all points in float32, on a GPU (its number) where it is built for GPUs."""
    index = faiss.IndexFlatL2(dim)
    if gpu is None or faiss.get_num_gpus() == 0:
        return index
    resources, options = faiss.StandardGpuResources(), faiss.GpuClonerOptions()
    resources.setTempMemory(2**28)  # instead of 1.5 GiB, which other trials may need
    options.use_cuvs = False  # of the arithmetic of NVIDIA's own search we know nothing
    return faiss.index_cpu_to_gpu(resources, gpu, index, options)


def _product_search(points: Tensor) -> Search:
    """Products in float64 with the points (points, dim)."""
    of_points = points.square().sum(dim=1)

    def search(queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        rows, beyond = [], []
        for block in queries.split(max(1, _AT_ONCE // len(points))):
            squares = torch.addmm(of_points, block, points.T, alpha=-2).add_(block.square().sum(dim=1, keepdim=True))
            nearest = squares.topk(count, dim=1, largest=False, sorted=False)
            rows.append(nearest.indices)
            beyond.append(nearest.values.amax(dim=1))
        return torch.cat(rows), torch.cat(beyond)

    return search


def _ranked(queries: Tensor, points: Tensor, candidates: Tensor, count: int) -> Nearest:
    """The `count` nearest of the candidates (queries, candidates), rows of `points`, by distances from differences."""
    distances, rows = [], []
    at_once = max(1, _AT_ONCE // (candidates.shape[1] * points.shape[1]))
    for block, own in zip(queries.split(at_once), candidates.split(at_once), strict=True):
        ordered = own.sort(dim=1).values
        exact = torch.linalg.vector_norm(points[ordered] - block[:, None], dim=2).sort(dim=1, stable=True)
        distances.append(exact.values[:, :count])
        rows.append(ordered.gather(1, exact.indices[:, :count]))
    return Nearest(torch.cat(distances), torch.cat(rows))


def _among_all(queries: Tensor, points: Tensor, count: int) -> Nearest:
    """The same from all distances."""
    distances = direct_distances(queries, points)
    last = distances.topk(count, dim=1, largest=False, sorted=False).values.amax(dim=1, keepdim=True)
    nearer, as_far = distances < last, distances == last
    room = count - nearer.sum(dim=1, keepdim=True)  # topk takes any of the points that are as far as the last
    rows = (nearer | (as_far & (as_far.cumsum(dim=1) <= room))).nonzero()[:, 1].view(-1, count)
    ordered = distances.gather(1, rows).sort(dim=1, stable=True)
    return Nearest(ordered.values, rows.gather(1, ordered.indices))
