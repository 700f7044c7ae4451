"""Convolutions whose output has few pixels, as matrix products, fast on CPUs.

The last blocks of a ResNet give 4 x 4 pixels of hundreds of channels, where oneDNN spends a third of a training step in
bfloat16. A product of the gathered inputs and the weights takes a fifth to two thirds of that time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

MOST_PIXELS = 16
"""Of an output. With 64 of them only the gradient of the weights gained, and that in bfloat16 alone."""
FEWEST_CHANNELS = 256
"""Of an input. With 128 of them oneDNN is faster."""
_SIDE, _BORDER = 3, 1
"""Of the kernel, and of zeros around the images, in pixels."""


class GatheredConvolution(nn.Conv2d):
    """A 3 x 3 convolution with padding 1 and no bias; on a CPU and for few pixels by a matrix product, up to rounding.

    likeness: the convolution whose place it takes, with its weight.
    """

    def __init__(self, likeness: nn.Conv2d) -> None:
        channels, width, stride = likeness.in_channels, likeness.out_channels, likeness.stride[0]
        super().__init__(channels, width, _SIDE, stride, _BORDER, bias=False, device="meta")
        self.weight = likeness.weight

    def forward(self, images: Tensor) -> Tensor:
        """images (batch, channels, height, width) to (batch, width of the layer, height / stride, width / stride)."""
        if not self._is_worth_it(images):
            return super().forward(images)
        autocast = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if autocast else images.dtype
        out: Tensor = _Gathered.apply(images.to(dtype), self.weight.to(dtype), self.stride[0])
        return out

    def _is_worth_it(self, images: Tensor) -> bool:
        if images.device.type != "cpu" or torch.compiler.is_compiling():
            return False
        height, width = (_out(side, self.stride[0]) for side in images.shape[2:])
        return height * width <= MOST_PIXELS


def gather_where_it_pays(network: nn.Module) -> None:
    """Put `GatheredConvolution` in the place of each convolution of `network` that may gain by it."""
    for name, part in list(network.named_modules()):
        if type(part) is nn.Conv2d and part.in_channels >= FEWEST_CHANNELS and _fits(part):
            network.set_submodule(name, GatheredConvolution(part))


def _fits(part: nn.Conv2d) -> bool:
    shape = (part.kernel_size, part.padding, part.dilation, part.groups, part.padding_mode, part.bias)
    return shape == ((3, 3), (1, 1), (1, 1), 1, "zeros", None) and part.stride[0] == part.stride[1]


def _out(side: int, stride: int) -> int:
    return (side + 2 * _BORDER - _SIDE) // stride + 1


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride = stride
        height, width = (_out(side, stride) for side in images.shape[2:])
        out = _gather(images, stride) @ _rows(weight).t()
        return out.view(len(images), height, width, len(weight)).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        of_rows = of_out.permute(0, 2, 3, 1).reshape(-1, len(weight))
        of_images, of_weight = None, None
        if ctx.needs_input_grad[0]:
            of_images = _scatter(of_rows @ _rows(weight), images, ctx.stride)
        if ctx.needs_input_grad[1]:
            of_weight = (of_rows.t() @ _gather(images, ctx.stride)).view(len(weight), _SIDE, _SIDE, -1)
            of_weight = of_weight.permute(0, 3, 1, 2)
        return of_images, of_weight, None


def _rows(weight: Tensor) -> Tensor:
    """(width, channels, 3, 3) to (width, 9 * channels), no copy if channels-last."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _gather(images: Tensor, stride: int) -> Tensor:
    """What each pixel of the output sees, (batch * height * width, 9 * channels)."""
    images = images.permute(0, 2, 3, 1)
    framed = pad(images, (0, 0, _BORDER, _BORDER, _BORDER, _BORDER))
    windows = framed.unfold(1, _SIDE, stride).unfold(2, _SIDE, stride)  # batch, height, width, channels, 3, 3
    return windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, _SIDE * _SIDE * images.shape[3])


def _scatter(seen: Tensor, images: Tensor, stride: int) -> Tensor:
    """The gradient of `images`, from that of what `_gather` made of them; summed in float32 at least."""
    batch, channels, *sides = images.shape
    height, width = (_out(side, stride) for side in sides)
    seen = seen.view(batch, height, width, _SIDE, _SIDE, channels)
    total = seen.new_zeros(
        (batch, *(side + 2 * _BORDER for side in sides), channels), dtype=torch.promote_types(seen.dtype, torch.float32)
    )
    for row in range(_SIDE):
        for column in range(_SIDE):
            reached = total[:, row : row + stride * height : stride, column : column + stride * width : stride]
            reached += seen[:, :, :, row, column]
    return total[:, _BORDER:-_BORDER, _BORDER:-_BORDER].to(seen.dtype).permute(0, 3, 1, 2)
