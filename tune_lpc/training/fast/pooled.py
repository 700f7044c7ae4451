"""Convolution, batch norm, max-pooling and activation as one block, fast on CPUs.

torch goes ten times over the output of the convolution, forward and back, of which most is thrown away by the pooling.
Here batch norm, pooling and activation read it twice, their gradient once (kernels in `pooled_kernels.py`).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

from tune_lpc.training.fast.compiling import Kernel, compiled

MOST_THREADS = 2
"""With more of them torch's own operations should take less time, as they share the work out, which ours do not."""


class PooledBlock(nn.Sequential):
    """A 3 x 3 convolution, batch norm, 2 x 2 max-pooling and ReLU or LeakyReLU.

    The modules that it holds are the block, and say what it computes. On a CPU that trains on few threads, outside of
    torch.compile, the same is computed faster, up to rounding. There the bias of the convolution, which batch norm
    takes away again, only enters the running mean, and its gradient is exactly 0. Another batch norm that was put in
    the place of its own is left to do its work.
    """

    def __init__(self, channels: int, width: int, activation: nn.ReLU | nn.LeakyReLU) -> None:
        super().__init__(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.MaxPool2d(2), activation)

    def forward(self, images: Tensor) -> Tensor:
        """images (batch, channels, height, width) to (batch, width, height // 2, width // 2)."""
        if not (self.training and type(self[1]) is nn.BatchNorm2d and _is_worth_it(images)):
            for module in self:
                images = module(images)
            return images
        convolution, norm, _, activation = self
        assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None and isinstance(norm, nn.BatchNorm2d)
        x = conv2d(images, convolution.weight, None, padding=1)
        slope = activation.negative_slope if isinstance(activation, nn.LeakyReLU) else 0.0
        out: Tensor = _Pooled.apply(x, convolution.bias, norm.weight, norm.bias, norm, slope)
        return out


def warm_up(network: nn.Module, low_precision: torch.dtype | None) -> None:
    """Compile or load what the blocks of a network need on a CPU, so that no step waits for it.

    low_precision: of the convolutions under autocast. Compiled once a machine.
    """
    if low_precision in (None, torch.bfloat16) and any(isinstance(part, PooledBlock) for part in network.modules()):
        _kernels(low_precision is not None)


def _is_worth_it(images: Tensor) -> bool:
    """Whether the convolution of these images gives what the kernels take, and they are faster."""
    if images.device.type != "cpu" or torch.compiler.is_compiling() or torch.get_num_threads() > MOST_THREADS:
        return False
    if torch.is_autocast_enabled("cpu"):
        fits = torch.get_autocast_dtype("cpu") == torch.bfloat16
    else:
        fits = images.dtype == torch.float32
    return fits and len(images) > 0 and min(images.shape[2:]) > 1


class _Pooled(torch.autograd.Function):
    """Batch norm, pooling and activation of what a convolution gives without its bias, `dropped`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dropped: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d, slope: float
    ) -> Tensor:
        assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
        x = x.contiguous(memory_format=torch.channels_last)
        images, channels, height, width = x.shape
        shape = (images, height // 2, width // 2, channels)
        out, largest, corner = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint8)
        moments = np.empty((3, channels))
        _kernels(x.dtype == torch.bfloat16)[0](
            _array(x), _vector(dropped), _vector(weight), _vector(bias), norm.eps, slope, norm.momentum,
            norm.running_mean.numpy(), norm.running_var.numpy(), moments, largest, corner, out,
        )  # fmt: skip
        norm.num_batches_tracked.add_(1)
        result = torch.from_numpy(out).permute(0, 3, 1, 2)
        # Saved as tensors, all are let go after the backward pass; what else hangs on ctx lives into the next step.
        kept = (torch.from_numpy(array) for array in (largest, corner, moments))
        ctx.save_for_backward(x, dropped, weight, result, *kept)
        ctx.slope = slope
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
        x, dropped, weight, out, largest, corner, moments = ctx.saved_tensors
        of_out = of_out.contiguous(memory_format=torch.channels_last)
        of_x, of_weight, of_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
        _kernels(x.dtype == torch.bfloat16)[1](
            _array(of_out), _array(x), largest.numpy(), corner.numpy(), _array(out), _vector(weight), ctx.slope,
            moments.numpy(), _array(of_x), of_weight.numpy(), of_bias.numpy(),
        )  # fmt: skip
        return of_x, torch.zeros_like(dropped), of_weight, of_bias, None, None


def _array(images: Tensor) -> np.ndarray:
    """Channels-last images with their axes in that order: (batch, height, width, channels), bfloat16 as its bits."""
    values = images.detach().permute(0, 2, 3, 1)
    array: np.ndarray = (values.view(torch.uint16) if values.dtype == torch.bfloat16 else values).numpy()
    return array


def _vector(values: Tensor) -> np.ndarray:
    array: np.ndarray = values.detach().numpy()
    return array


@functools.cache
def _kernels(half: bool) -> tuple[Kernel, Kernel]:
    """Forward and backward, for x in bfloat16 or float32."""
    from tune_lpc.training.fast import pooled_kernels  # numba takes half a second, which few processes need spend

    x, values, corner = ("uint16" if half else "float32") + "[:,:,:,::1]", "float32[:,:,:,::1]", "uint8[:,:,:,::1]"
    channels, moments = "float32[::1]", "float64[:,::1]"
    to_out = [x, *[channels] * 3, "float64", "float32", "float64", *[channels] * 2, moments, values, corner, values]
    to_x = [values, x, values, corner, values, channels, "float32", moments, x, *[channels] * 2]
    return (
        compiled(pooled_kernels.forward(half), f"void({','.join(to_out)})", pooled_kernels.FAST_MATH),
        compiled(pooled_kernels.backward(half), f"void({','.join(to_x)})", pooled_kernels.FAST_MATH),
    )
