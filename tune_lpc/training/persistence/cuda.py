"""Deaths on GPUs: Prim's algorithm as one Triton kernel, a program a group, without a word to the host.

A program holds the distances of its points to the tree in registers, and reads the points again for each edge.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 8192
"""Coordinates that a program works on at once."""


def forward(z: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    """Deaths, rising (groups, points - 1), and the two points of each edge, int32 (groups, points - 1, 2).

    z: (groups, points, dim).
    """
    groups, points, dim = z.shape
    lengths = z.new_empty(groups, max(points - 1, 0))
    parents = torch.empty_like(lengths, dtype=torch.int32)
    if lengths.numel() > 0:
        rows = triton.next_power_of_2(points)
        columns = min(triton.next_power_of_2(max(dim, 1)), max(TILE // rows, 4))
        _spanning_trees[(groups,)](
            z.contiguous(), lengths, parents, points, dim, torch.finfo(z.dtype).max, metric == "l2", rows, columns,
            num_warps=4 if rows * columns <= 4096 else 8,
        )  # fmt: skip
    deaths, order = lengths.sort(dim=1)
    return deaths, torch.stack((order.int() + 1, parents.gather(1, order)), dim=2)


def backward(slopes: Tensor, z: Tensor, deaths: Tensor, ends: Tensor, metric: str) -> Tensor:
    """Gradient of z (groups, points, dim) from that of the deaths (`slopes`) and what `forward` returned."""
    groups, points, dim = z.shape
    gradient = torch.zeros(z.shape, dtype=z.dtype, device=z.device)
    if deaths.numel() > 0 and dim > 0:
        columns = min(triton.next_power_of_2(dim), 128)
        _pull_edges[(groups, triton.cdiv(dim, columns))](
            z.contiguous(), deaths.contiguous(), ends.contiguous(), slopes.contiguous(), gradient, points, dim,
            metric == "l2", columns, num_warps=4,
        )  # fmt: skip
    return gradient


@triton.jit  # type: ignore[untyped-decorator]
def _spanning_trees(  # type: ignore[no-untyped-def]
    z,
    lengths,
    parents,
    points,
    dim,
    largest: tl.constexpr,
    euclidean: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Of each point but the first, the length of its edge and the point it leads to: (groups, points - 1).

    z: (groups, points, dim). rows (points at least) and columns are powers of two.
    """
    group = tl.program_id(0).to(tl.int64)
    z += group * points * dim
    row = tl.arange(0, rows)
    column = tl.arange(0, columns)
    places = row[:, None] * dim + column[None, :]
    waiting = (row > 0) & (row < points)
    nearest = tl.full([rows], float("inf"), z.dtype.element_ty)
    parent = tl.zeros([rows], tl.int32)
    newest = 0
    for _ in range(points - 1):
        distance = tl.zeros([rows], z.dtype.element_ty)
        for first in range(0, dim, columns):
            inside = first + column < dim
            start = tl.load(z + newest * dim + first + column, mask=inside, other=0.0)
            tile = tl.load(z + first + places, mask=(row < points)[:, None] & inside[None, :], other=0.0)
            step = tile - start[None, :]
            distance += tl.sum(step * step if euclidean else tl.abs(step), axis=1)
        # Each point joins the tree once even when its distances overflow or are NaN, so that the deaths show it.
        distance = tl.where(distance <= largest, distance, largest)
        closer = waiting & (distance < nearest)
        nearest = tl.where(closer, distance, nearest)
        parent = tl.where(closer, newest, parent)
        newest = tl.argmin(tl.where(waiting, nearest, float("inf")), axis=0)
        waiting = waiting & (row != newest)
    # The lengths once more, so that what was put aside above comes back: infinite or NaN.
    length = tl.zeros([rows], z.dtype.element_ty)
    for first in range(0, dim, columns):
        inside = (row < points)[:, None] & (first + column < dim)[None, :]
        tile = tl.load(z + first + places, mask=inside, other=0.0)
        start = tl.load(z + first + parent[:, None] * dim + column[None, :], mask=inside, other=0.0)
        step = tile - start
        length += tl.sum(step * step if euclidean else tl.abs(step), axis=1)
    if euclidean:
        length = tl.sqrt(length)
    edge = group * (points - 1) + row - 1
    tl.store(lengths + edge, length, mask=(row > 0) & (row < points))
    tl.store(parents + edge, parent, mask=(row > 0) & (row < points))


@triton.jit  # type: ignore[untyped-decorator]
def _pull_edges(  # type: ignore[no-untyped-def]
    z, deaths, ends, slopes, gradient, points, dim, euclidean: tl.constexpr, columns: tl.constexpr
):
    """Add what each edge gives its two points to gradient: (groups, points, dim), which comes as zeros.

    A program takes some columns of one group, edge by edge: sums in a fixed order, the same in every run.
    """
    group = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    inside = column < dim
    z += group * points * dim
    gradient += group * points * dim
    for place in range(points - 1):
        edge = group * (points - 1) + place
        one = tl.load(ends + 2 * edge) * dim + column
        other = tl.load(ends + 2 * edge + 1) * dim + column
        death = tl.load(deaths + edge)
        slope = tl.load(slopes + edge)
        step = tl.load(z + one, mask=inside, other=0.0) - tl.load(z + other, mask=inside, other=0.0)
        if euclidean:
            pull = tl.where(death == 0, 0.0, slope * step / tl.where(death == 0, 1.0, death))
        else:
            # Of a coordinate that is NaN, so is the gradient.
            pull = tl.where(step > 0, slope, tl.where(step < 0, -slope, step * 0.0))
        tl.store(gradient + one, tl.load(gradient + one, mask=inside, other=0.0) + pull, mask=inside)
        # A thread may read what another has written: of the next edge, and where both ends are one row, of this one.
        tl.debug_barrier()
        tl.store(gradient + other, tl.load(gradient + other, mask=inside, other=0.0) - pull, mask=inside)
        tl.debug_barrier()
