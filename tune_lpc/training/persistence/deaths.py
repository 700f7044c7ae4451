"""`h0_deaths`: checks what it is given, and picks the way that is fastest on its device."""

from __future__ import annotations

import torch
from torch import Tensor

from tune_lpc.training.persistence import operator
from tune_lpc.training.persistence.backends import BACKENDS
from tune_lpc.training.persistence.peers import gudhi_deaths, torchph_deaths
from tune_lpc.training.persistence.plain import ORDER, plain_deaths

HALF = frozenset({torch.float16, torch.bfloat16})


def h0_deaths(z: Tensor, metric: str = "l2", backend: str = "auto") -> Tensor:
    """Death times of the 0-dimensional persistence of each group, rising (Hofer et al., arXiv 2002.04805).

    z: (groups, points, dim), floating point; half precision is lifted to float32.
    metric: "l2" (Euclidean) or "l1".
    backend: what a trial's setting `persistence_backend` says. "auto" takes the compiled kernel on CPUs (where
        `training/fast/` and numba are there) and the Triton kernel on GPUs, "plain" batched torch operations, which
        also serve where no kernel fits, such as groups of more than 4096 points on GPUs; "gudhi" (on the CPU, also for
        points on a GPU) and "torchph" (GPUs alone) are there to check a result with.
    Returns (groups, points - 1). Duplicate points give a death of 0, whose gradient is 0.
    Distances come from differences, never from a matrix product, which is wrong on tight groups.
    On CPUs it uses the threads of torch; the deaths do not depend on how many.

    The first call in a process loads the kernel, the first on a machine compiles it, which takes seconds: see
    `warm_up`.

    Raises ValueError for another shape, type, metric or backend, UserError where a backend's package is missing or it
    can't compute on this device; `check_backend` tells that before a search.
    """
    if z.ndim != 3 or not z.is_floating_point():
        raise ValueError(f"z is {tuple(z.shape)} of {z.dtype}, but must be (groups, points, dim), floating point")
    if metric not in ORDER:
        raise ValueError(f"metric is {metric!r}, but must be 'l2' or 'l1'")
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, but must be one of {', '.join(map(repr, BACKENDS))}")
    if z.dtype in HALF:
        z = z.float()
    if backend == "auto" and operator.fits(z):
        return operator.kernel_deaths(z, metric)
    if backend == "gudhi":
        return gudhi_deaths(z, metric)
    if backend == "torchph":
        return torchph_deaths(z, metric)
    return plain_deaths(z, metric)


def warm_up(
    shape: tuple[int, int, int],
    metric: str = "l2",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    backend: str = "auto",
) -> None:
    """Compile or load what `h0_deaths` and its gradient need for points of this shape, so that no step waits for it.

    shape: (groups, points, dim). Compiled once a machine; a second call in the same process costs nothing to speak of.
    """
    h0_deaths(torch.zeros(shape, dtype=dtype, device=device, requires_grad=True), metric, backend).sum().backward()
