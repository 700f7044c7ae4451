"""The same deaths by other libraries, so that a result can be checked against them; none of them is needed.

Pairs that are born and die at 0, of which every duplicate point has one, are part of the result: where a library drops
them, they are put back, so that all ways agree.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tune_lpc.training.persistence.backends import check_backend, package
from tune_lpc.training.persistence.plain import ORDER


def gudhi_deaths(z: Tensor, metric: str) -> Tensor:
    """As `h0_deaths`, by gudhi in float64 on the CPU. z: (groups, points, dim). Raises UserError without gudhi."""
    gudhi = package("gudhi")
    if z.shape[1] < 2:
        return complete([group.new_empty(0) for group in z], z)
    deaths = []
    for group in z:
        exact = group.detach().cpu().double()
        # As in `plain_deaths`: gudhi knows no NaN, and each point is to join, so that the deaths show it.
        largest = torch.finfo(torch.float64).max
        distances = _distances(exact, metric).nan_to_num(nan=largest, posinf=largest)
        complex_of_group = gudhi.RipsComplex(distance_matrix=distances.numpy()).create_simplex_tree(max_dimension=1)
        complex_of_group.compute_persistence(min_persistence=-1)  # -1 keeps pairs that are born and die at 0
        ends = torch.from_numpy(complex_of_group.flag_persistence_generators()[0][:, 1:].copy()).to(z.device)
        edges = group[ends[:, 0]] - group[ends[:, 1]]
        deaths.append(torch.linalg.vector_norm(edges, ord=ORDER[metric], dim=-1))
    return complete(deaths, z)


def torchph_deaths(z: Tensor, metric: str) -> Tensor:
    """As `h0_deaths`, by torchph. z: (groups, points, dim), float32 on a GPU.

    Raises UserError without torchph or on another device, ValueError for float64.
    """
    check_backend("torchph", z.device)
    if z.dtype != torch.float32:
        raise ValueError(f"z is {z.dtype}, but torchph takes torch.float32 only")
    pershom = package("torchph.pershom")
    deaths = []
    for group in z:
        if metric == "l1":
            barcodes = pershom.vr_persistence_l1(group.contiguous(), 0, 0)
        else:
            barcodes = pershom.vr_persistence(_distances(group, metric), 0, 0)
        deaths.append(barcodes[0][0][:, 1])
    # What torchph makes of values that are not finite is nowhere said: such a group has no deaths.
    known = z.isfinite().all(dim=2).all(dim=1)
    return complete(deaths, z).where(known[:, None], torch.nan)


def _distances(group: Tensor, metric: str) -> Tensor:
    """All distances from differences. group: (points, dim). Returns (points, points)."""
    distances: Tensor = torch.linalg.vector_norm(group[:, None] - group[None], ord=ORDER[metric], dim=-1)
    return distances


def complete(deaths: list[Tensor], z: Tensor) -> Tensor:
    """The deaths of each group, rising, with a 0 for each pair that was left out. Returns (groups, points - 1)."""
    edges = max(z.shape[1] - 1, 0)
    if not deaths:
        return z.new_empty(0, edges)
    return torch.stack([torch.cat([found.new_zeros(edges - len(found)), found.sort().values]) for found in deaths])
