"""H0 deaths on CPUs, by the kernels of `h0_kernels.py`: compiled when first called, spread over threads where it pays.

Groups of 16 points take microseconds, so the way to the kernels is short: arrays, no tensors in between.
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
from torch.autograd.function import once_differentiable

from tune_lpc.training.device import cpu_computes_in_bfloat16
from tune_lpc.training.fast.compiling import Kernel, compiled

WORTH_A_THREAD = 2_000_000
"""Coordinate differences of all groups below which handing some to another thread costs more than it saves."""
WORTH_PRODUCTS = (128, 32)
"""Points and dimensions from which a matrix product that narrows down which distances matter is worth its time."""
MOST_PRODUCTS = 2**26
"""Products held at once: 256 MiB in float32."""


def deaths(z: Tensor, metric: str) -> Tensor:
    """As `h0_deaths`. z: (groups, points, dim), float32 or float64."""
    result: Tensor = _Deaths.apply(z, metric)
    return result


def forward(z: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    """Deaths, rising (groups, points - 1), and the two points of each edge, int32 (groups, points - 1, 2).

    z: (groups, points, dim).
    """
    deaths, ends = _trees(_array(z), metric)
    return torch.from_numpy(deaths), torch.from_numpy(ends)


def backward(slopes: Tensor, z: Tensor, deaths: Tensor, ends: Tensor, metric: str) -> Tensor:
    """Gradient of z (groups, points, dim) from that of the deaths (`slopes`) and what `forward` returned."""
    return _pull(slopes, _array(z), _array(deaths), _array(ends), metric)


class _Deaths(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, metric: str) -> Tensor:
        points = _array(z)
        lengths, ends = _trees(points, metric)
        deaths = torch.from_numpy(lengths)
        ctx.save_for_backward(z, deaths)
        ctx.known = points, lengths, ends, metric
        return deaths

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
        # `once_differentiable` takes 4 microseconds, and is needed only where gradients are to be differentiated.
        return _pulled_once(ctx, slopes) if torch.is_grad_enabled() else _pulled(ctx, slopes)


def _pulled(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
    _saved = ctx.saved_tensors  # refused where one of them has been written to
    return _pull(slopes, *ctx.known), None


_pulled_once = once_differentiable(_pulled)


def _trees(z: np.ndarray, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Deaths and ends as `forward` returns them."""
    groups, points, dim = z.shape
    edges = points - 1 if points > 0 else 0
    deaths, ends = np.empty((groups, edges), z.dtype), np.empty((groups, edges, 2), np.int32)
    work = groups * points * points * dim // 2
    if metric == "l2" and _is_worth_products(z):
        _by_group(_narrowed_kernel(z.dtype), [z, *_lengths_and_products(z), deaths, ends], work)
    else:
        _by_group(_trees_kernel(z.dtype, metric), [z, deaths, ends], work)
    return deaths, ends


def _pull(slopes: Tensor, z: np.ndarray, deaths: np.ndarray, ends: np.ndarray, metric: str) -> Tensor:
    gradient = np.zeros(z.shape, z.dtype)
    # As they lie in memory: those of a sum are one value, seen from everywhere.
    _by_group(_pull_kernel(z.dtype, metric), [z, deaths, ends, slopes.detach().numpy(), gradient], gradient.size)
    return torch.from_numpy(gradient)


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = np.ascontiguousarray(tensor.numpy(force=True))
    return array


def _is_worth_products(z: np.ndarray) -> bool:
    groups, points, dim = z.shape
    if points < WORTH_PRODUCTS[0] or dim < WORTH_PRODUCTS[1] or groups * points * points > MOST_PRODUCTS:
        return False
    # A product of fewer bits than were reckoned with, which torch can be told to compute, keeps no bound.
    return z.dtype == np.float64 or _is_half(z.dtype) or torch.get_float32_matmul_precision() == "highest"


def _is_half(dtype: np.dtype) -> bool:
    """Whether products in bfloat16 take so little time that their bound, which is less tight, pays."""
    return dtype == np.float32 and cpu_computes_in_bfloat16()


def _lengths_and_products(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What bounds the distances: see `h0_kernels.centring`."""
    groups, points, _ = z.shape
    dtype = np.uint16 if _is_half(z.dtype) else z.dtype
    centred, lengths = np.empty(z.shape, dtype), np.empty((groups, points), z.dtype)
    _centre_kernel(z.dtype)(z, centred, lengths)
    products = np.empty((groups, points, points), dtype)
    rows = _tensor(centred)
    torch.bmm(rows, rows.mT, out=_tensor(products))  # autocast leaves alone what is told where to write
    return lengths, products


def _tensor(array: np.ndarray) -> Tensor:
    """The same values; what numpy holds as the bits of bfloat16 is that."""
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if array.dtype == np.uint16 else tensor


def _by_group(kernel: Kernel, arrays: list[np.ndarray], work: int) -> None:
    """Call the kernel on all groups, in as many parts as torch may use threads. The kernel releases the GIL."""
    parts = work // WORTH_A_THREAD
    if parts > 1:
        parts = min(parts, torch.get_num_threads(), len(arrays[0]))
    if parts <= 1:
        kernel(*arrays)
        return
    bounds = [len(arrays[0]) * part // parts for part in range(parts + 1)]
    chunks = [[array[start:stop] for array in arrays] for start, stop in pairwise(bounds)]
    others = [_helpers(parts - 1, os.getpid()).submit(kernel, *chunk) for chunk in chunks[1:]]
    kernel(*chunks[0])
    for other in others:
        other.result()


@functools.lru_cache(maxsize=4)
def _helpers(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads beside the calling one; a forked process gets its own, as threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="h0_deaths")


# numba takes half a second to import, which a process that trains on a GPU need not spend: hence the imports inside.
@functools.cache
def _trees_kernel(dtype: np.dtype, metric: str) -> Kernel:
    from tune_lpc.training.fast.h0_kernels import spanning_trees

    return _compiled(spanning_trees(metric == "l2"), "void({0}[:,:,::1], {0}[:,::1], int32[:,:,::1])", dtype)


@functools.cache
def _narrowed_kernel(dtype: np.dtype) -> Kernel:
    from tune_lpc.training.fast.h0_kernels import narrowed_trees

    signature = "void({0}[:,:,::1], {0}[:,::1], {1}[:,:,::1], {0}[:,::1], int32[:,:,::1])"
    return _compiled(narrowed_trees(_is_half(dtype)), signature, dtype)


@functools.cache
def _centre_kernel(dtype: np.dtype) -> Kernel:
    from tune_lpc.training.fast.h0_kernels import centring

    return _compiled(centring(_is_half(dtype)), "void({0}[:,:,::1], {1}[:,:,::1], {0}[:,::1])", dtype)


@functools.cache
def _pull_kernel(dtype: np.dtype, metric: str) -> Kernel:
    from tune_lpc.training.fast.h0_kernels import pulled_edges

    signature = "void({0}[:,:,::1], {0}[:,::1], int32[:,:,::1], {0}[:,:], {0}[:,:,::1])"
    return _compiled(pulled_edges(metric == "l2"), signature, dtype)


def _compiled(function: Kernel, signature: str, dtype: np.dtype) -> Kernel:
    """signature: with {0} for the type of the points, {1} for that of their products."""
    from tune_lpc.training.fast.h0_kernels import FAST_MATH

    of_products = "uint16" if _is_half(dtype) else dtype.name
    return compiled(function, signature.format(dtype.name, of_products), FAST_MATH)
