"""0-dimensional persistence of point groups, differentiable.

The death times of 0-dimensional Vietoris-Rips persistence are the edge lengths of a minimum spanning tree of the
pairwise distances, so only the points - 1 distances on the tree need a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ORDER = {"l2": 2, "l1": 1}


def h0_deaths(z: Tensor, metric: str = "l2") -> Tensor:
    """Death times of the 0-dimensional persistence of each group, rising (Hofer et al., arXiv 2002.04805).

    z: (groups, points, dim), floating point; half precision is lifted to float32.
    metric: "l2" (Euclidean) or "l1".
    Returns (groups, points - 1). Duplicate points give a death of 0, whose gradient is 0.
    Distances come from differences, never from a matrix product, which is wrong on tight groups.

    Raises ValueError for another shape, type or metric.
    """
    if z.ndim != 3 or not z.is_floating_point():
        raise ValueError(f"z is {tuple(z.shape)} of {z.dtype}, but must be (groups, points, dim), floating point")
    if metric not in _ORDER:
        raise ValueError(f"metric is {metric!r}, but must be 'l2' or 'l1'")
    if z.dtype in (torch.float16, torch.bfloat16):
        z = z.float()
    with torch.no_grad():
        child, parent = _spanning_tree(z, metric)
    group = torch.arange(z.shape[0], device=z.device)[:, None]
    edges = z[group, child] - z[group, parent]
    deaths: Tensor = torch.linalg.vector_norm(edges, ord=_ORDER[metric], dim=-1)
    return deaths.sort(dim=1).values


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
        distance = torch.linalg.vector_norm(z - z[group, newest][:, None], ord=_ORDER[metric], dim=-1)
        # Each point joins the tree once even when its distances overflow or are NaN, so that the deaths show it.
        distance = distance.nan_to_num(nan=largest, posinf=largest)
        closer = distance < nearest
        nearest = torch.where(closer, distance, nearest)
        parent = torch.where(closer, newest[:, None], parent)
        newest = nearest.masked_fill(in_tree, torch.inf).argmin(dim=1)
        children.append(newest[:, None])
        parents.append(parent[group, newest][:, None])
    return torch.cat(children, dim=1), torch.cat(parents, dim=1)
