"""Deaths on CPUs: Prim's algorithm compiled by numba, with distances computed when the tree needs them.

A group's points - 1 edges are all that is kept. Distances to the newest point are computed for four waiting points at
once: its coordinates are read once for the four, and the four sums do not wait for each other.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tune_lpc.training.persistence.compiling import Kernel, compiled

# Only the order of a sum may change, and a product be fused into it: NaN and infinity keep their meaning.
FAST_MATH = frozenset({"reassoc", "contract", "nsz"})
NAMES = {torch.float32: "float32", torch.float64: "float64"}
WORTH_A_THREAD = 2_000_000
"""Coordinate differences of all groups below which handing some to another thread costs more than it saves."""


def forward(z: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    """Deaths, rising (groups, points - 1), and the two points of each edge, int32 (groups, points - 1, 2).

    z: (groups, points, dim).
    """
    groups, points, dim = z.shape
    edges = max(points - 1, 0)
    deaths, ends = np.empty((groups, edges), NAMES[z.dtype]), np.empty((groups, edges, 2), np.int32)
    _by_group(_trees_kernel(z.dtype, metric), [_array(z), deaths, ends], groups * points * points * dim // 2)
    return torch.from_numpy(deaths), torch.from_numpy(ends)


def backward(slopes: Tensor, z: Tensor, deaths: Tensor, ends: Tensor, metric: str) -> Tensor:
    """Gradient of z (groups, points, dim) from that of the deaths (`slopes`) and what `forward` returned."""
    gradient = np.zeros(z.shape, NAMES[z.dtype])
    arrays = [_array(z), _array(deaths), _array(ends), _array(slopes), gradient]
    _by_group(_pull_kernel(z.dtype, metric), arrays, z.numel())
    return torch.from_numpy(gradient)


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().contiguous().numpy()
    return array


def _by_group(kernel: Kernel, arrays: list[np.ndarray], work: int) -> None:
    """Call the kernel on all groups, in as many parts as torch may use threads. The kernel releases the GIL."""
    groups = len(arrays[0])
    parts = min(torch.get_num_threads(), groups, work // WORTH_A_THREAD)
    if parts <= 1:
        kernel(*arrays)
        return
    bounds = [groups * part // parts for part in range(parts + 1)]
    chunks = [[array[start:stop] for array in arrays] for start, stop in pairwise(bounds)]
    others = [_helpers(parts - 1, os.getpid()).submit(kernel, *chunk) for chunk in chunks[1:]]
    kernel(*chunks[0])
    for other in others:
        other.result()


@functools.lru_cache(maxsize=4)
def _helpers(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads beside the calling one; a forked process gets its own, as threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="h0_deaths")


@functools.cache
def _trees_kernel(dtype: torch.dtype, metric: str) -> Kernel:
    """Fills deaths and ends from z."""
    signature = "void({0}[:,:,::1], {0}[:,::1], int32[:,:,::1])".format(NAMES[dtype])
    return compiled(_spanning_trees(metric == "l2"), signature, FAST_MATH)


@functools.cache
def _pull_kernel(dtype: torch.dtype, metric: str) -> Kernel:
    """Adds the gradient to zeros (groups, points, dim), from z, deaths, ends and slopes."""
    signature = "void({0}[:,:,::1], {0}[:,::1], int32[:,:,::1], {0}[:,::1], {0}[:,:,::1])"
    return compiled(_pulled_edges(metric == "l2"), signature.format(NAMES[dtype]), FAST_MATH)


def _spanning_trees(euclidean: bool) -> Kernel:
    """To be compiled. One function a metric: with both in one, the sums are not vectorised."""

    def trees(z: Any, deaths: Any, ends: Any) -> None:
        groups, points, dim = z.shape
        zero = z.dtype.type(0)
        largest = np.finfo(z.dtype).max
        waiting = np.zeros(points + 3, np.int64)  # points not in the tree; three more, as the last four may lack some
        fresh = np.empty(points + 3, z.dtype)  # their (squared) distances to the newest point of the tree
        nearest = np.empty(points, z.dtype)  # and to the nearest
        origin = np.empty(points, np.int64)  # which is this one
        for group in range(groups):
            for place in range(points - 1):
                waiting[place], nearest[place] = place + 1, np.inf
            newest = 0
            for edge in range(points - 1):
                left = points - 1 - edge
                start = z[group, newest]
                for place in range(0, left, 4):
                    first, second = z[group, waiting[place]], z[group, waiting[place + 1]]
                    third, fourth = z[group, waiting[place + 2]], z[group, waiting[place + 3]]
                    to_first, to_second, to_third, to_fourth = zero, zero, zero, zero
                    for k in range(dim):
                        step1, step2 = first[k] - start[k], second[k] - start[k]
                        step3, step4 = third[k] - start[k], fourth[k] - start[k]
                        to_first += step1 * step1 if euclidean else abs(step1)
                        to_second += step2 * step2 if euclidean else abs(step2)
                        to_third += step3 * step3 if euclidean else abs(step3)
                        to_fourth += step4 * step4 if euclidean else abs(step4)
                    fresh[place], fresh[place + 1] = to_first, to_second
                    fresh[place + 2], fresh[place + 3] = to_third, to_fourth
                best, chosen = z.dtype.type(np.inf), 0
                for place in range(left):
                    # A point joins the tree once even when its distances overflow or are NaN, so that deaths show it.
                    distance = fresh[place] if fresh[place] <= largest else largest
                    if distance < nearest[place]:
                        nearest[place], origin[place] = distance, newest
                    if nearest[place] < best:
                        best, chosen = nearest[place], place
                newest = waiting[chosen]
                ends[group, edge, 0], ends[group, edge, 1] = newest, origin[chosen]
                if best == largest:
                    # What was put aside above comes back: infinite or NaN.
                    best = zero
                    for k in range(dim):
                        step = z[group, newest, k] - z[group, origin[chosen], k]
                        best += step * step if euclidean else abs(step)
                deaths[group, edge] = np.sqrt(best) if euclidean else best
                # The last of the waiting points takes the place of the one that left.
                waiting[chosen], nearest[chosen] = waiting[left - 1], nearest[left - 1]
                origin[chosen] = origin[left - 1]
            # A sort by shrinking gaps; it takes as long as one point in a hundred, and no seconds to compile.
            gap = (points - 1) // 2
            while gap > 0:
                for edge in range(gap, points - 1):
                    death, one, other = deaths[group, edge], ends[group, edge, 0], ends[group, edge, 1]
                    place = edge
                    while place >= gap and not deaths[group, place - gap] <= death:
                        if np.isnan(death):
                            break  # NaN comes last
                        deaths[group, place] = deaths[group, place - gap]
                        ends[group, place, 0], ends[group, place, 1] = ends[group, place - gap]
                        place -= gap
                    deaths[group, place], ends[group, place, 0], ends[group, place, 1] = death, one, other
                gap //= 2

    return trees


def _pulled_edges(euclidean: bool) -> Kernel:
    """To be compiled. Each edge pulls at its two points."""

    def pull(z: Any, deaths: Any, ends: Any, slopes: Any, gradient: Any) -> None:
        for group in range(z.shape[0]):
            for edge in range(deaths.shape[1]):
                death, slope = deaths[group, edge], slopes[group, edge]
                if death == 0:
                    continue
                one, other = z[group, ends[group, edge, 0]], z[group, ends[group, edge, 1]]
                at_one, at_other = gradient[group, ends[group, edge, 0]], gradient[group, ends[group, edge, 1]]
                for k in range(z.shape[2]):
                    step = one[k] - other[k]
                    if euclidean:
                        force = slope * step / death
                    else:
                        # Of a coordinate that is NaN, so is the gradient.
                        force = slope if step > 0 else (-slope if step < 0 else step * 0)
                    at_one[k] += force
                    at_other[k] -= force

    return pull
