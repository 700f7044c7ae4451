"""Deaths in batched torch operations: the reference, and the way where no kernel fits.

The death times of 0-dimensional Vietoris-Rips persistence are the edge lengths of a minimum spanning tree of the
pairwise distances, so only the points - 1 distances on the tree need a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

ORDER = {"l2": 2, "l1": 1}
"""The order of the norm, by metric."""


def deaths_of_edges(z: Tensor, child: Tensor, parent: Tensor, metric: str) -> Tensor:
    """Lengths of the edges between points `child` and `parent`, rising in each group.

    z: (groups, points, dim). child, parent: whole numbers (groups, edges). Returns (groups, edges).
    """
    group = torch.arange(z.shape[0], device=z.device)[:, None]
    edges = z[group, child] - z[group, parent]
    lengths: Tensor = torch.linalg.vector_norm(edges, ord=ORDER[metric], dim=-1)
    return lengths.sort(dim=1).values


def plain_deaths(z: Tensor, metric: str) -> Tensor:
    """As `h0_deaths`, for float32 and float64 on any device. z: (groups, points, dim)."""
    with torch.no_grad():
        child, parent = _spanning_tree(z, metric)
    return deaths_of_edges(z, child, parent, metric)


def _spanning_tree(z: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    """Prim's algorithm on all groups at once; both ends of the points - 1 edges, each (groups, points - 1)."""
    groups, points, _ = z.shape
    group = torch.arange(groups, device=z.device)
    largest = torch.finfo(z.dtype).max
    newest = torch.zeros(groups, dtype=torch.long, device=z.device)
    nearest = z.new_full((groups, points), torch.inf)
    parent = newest[:, None].expand(groups, points)
    in_tree = torch.zeros(groups, points, dtype=torch.bool, device=z.device)
    children, parents = [newest[:0].new_empty(groups, 0)], [newest[:0].new_empty(groups, 0)]
    for _ in range(points - 1):
        in_tree[group, newest] = True
        distance = torch.linalg.vector_norm(z - z[group, newest][:, None], ord=ORDER[metric], dim=-1)
        # Each point joins the tree once even when its distances overflow or are NaN, so that the deaths show it.
        distance = distance.nan_to_num(nan=largest, posinf=largest)
        closer = distance < nearest
        nearest = torch.where(closer, distance, nearest)
        parent = torch.where(closer, newest[:, None], parent)
        newest = nearest.masked_fill(in_tree, torch.inf).argmin(dim=1)
        children.append(newest[:, None])
        parents.append(parent[group, newest][:, None])
    return torch.cat(children, dim=1), torch.cat(parents, dim=1)
