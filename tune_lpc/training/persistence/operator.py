"""The kernels as operations of torch: known to autograd, autocast and torch.compile.

There are two ways to the same kernels. torch.compile needs operators; outside of it a plain autograd function (on CPUs
that of `fast/h0.py`) costs a third of the overhead, which for groups of 16 points is more than the work.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tune_lpc.training import fast_path

MOST_POINTS_ON_A_GPU = 4096
"""Points of a group that one Triton program holds; each keeps its distance to the tree in registers."""

Trees = tuple[Tensor, Tensor]
"""Deaths, rising (groups, points - 1), and the two points of each edge, int32 (groups, points - 1, 2)."""


def fits(z: Tensor) -> bool:
    """Whether there is a kernel for these groups. z: (groups, points, dim), float32 or float64."""
    return (z.is_cpu and fast_path.AVAILABLE) or (z.is_cuda and z.shape[1] <= MOST_POINTS_ON_A_GPU)


def kernel_deaths(z: Tensor, metric: str) -> Tensor:
    """As `h0_deaths`, where `fits`. z: (groups, points, dim)."""
    deaths: Tensor
    if torch.compiler.is_compiling():
        deaths, _ = _forward_operator(z, metric)
    elif z.is_cuda:
        deaths = _DeathsOnCuda.apply(z, metric)
    else:
        deaths = fast_path.fast.h0.deaths(z, metric)
    return deaths


def _forward_on_cpu(z: Tensor, metric: str) -> Trees:
    return fast_path.fast.h0.forward(z, metric)


# Triton takes half a second to import, which a process that trains on a CPU need not spend: hence the imports inside.
def _forward_on_cuda(z: Tensor, metric: str) -> Trees:
    from tune_lpc.training.persistence import cuda

    return cuda.forward(z, metric)


def _backward_on_cpu(slopes: Tensor, z: Tensor, deaths: Tensor, ends: Tensor, metric: str) -> Tensor:
    return fast_path.fast.h0.backward(slopes, z, deaths, ends, metric)


def _backward_on_cuda(slopes: Tensor, z: Tensor, deaths: Tensor, ends: Tensor, metric: str) -> Tensor:
    from tune_lpc.training.persistence import cuda

    return cuda.backward(slopes, z, deaths, ends, metric)


class _DeathsOnCuda(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, metric: str) -> Tensor:
        deaths, ends = _forward_on_cuda(z, metric)
        ctx.save_for_backward(z, deaths, ends)
        ctx.metric = metric
        return deaths

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
        z, deaths, ends = ctx.saved_tensors
        return _backward_on_cuda(slopes, z, deaths, ends, ctx.metric), None


def _forward_shapes(z: Tensor, metric: str) -> Trees:
    groups, points, _ = z.shape
    edges = points - 1 if points > 0 else 0
    return z.new_empty(groups, edges), z.new_empty((groups, edges, 2), dtype=torch.int32)


def _backward_shapes(slopes: Tensor, z: Tensor, deaths: Tensor, ends: Tensor, metric: str) -> Tensor:
    return z.new_empty(z.shape)


def _remember(ctx: Any, inputs: tuple[Tensor, str], output: Trees) -> None:
    z, ctx.metric = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(z, *output)


def _gradient(ctx: Any, slopes: Tensor, _ends: None) -> tuple[Tensor, None]:
    return _backward_operator(slopes, *ctx.saved_tensors, ctx.metric), None


_forward_operator = torch.library.custom_op(
    "tune_lpc::h0_forward", _forward_on_cpu, mutates_args=(), device_types="cpu",
    schema="(Tensor z, str metric) -> (Tensor, Tensor)",
)  # fmt: skip
_forward_operator.register_kernel("cuda", _forward_on_cuda)
_forward_operator.register_fake(_forward_shapes)
_forward_operator.register_autograd(_gradient, setup_context=_remember)

_backward_operator = torch.library.custom_op(
    "tune_lpc::h0_backward", _backward_on_cpu, mutates_args=(), device_types="cpu",
    schema="(Tensor slopes, Tensor z, Tensor deaths, Tensor ends, str metric) -> Tensor",
)  # fmt: skip
_backward_operator.register_kernel("cuda", _backward_on_cuda)
_backward_operator.register_fake(_backward_shapes)
