"""What in a network depends on the whole batch, while each process has its share: gradient, batch norm and dropout.

torch's own SyncBatchNorm refuses tensors on CPUs; these work on both, to the numbers of one process up to rounding.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import dropout
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from tune_lpc.plan.errors import UserError
from tune_lpc.training.distributed.group import Group, Share


def synchronise(network: nn.Module, group: Group, share: Share) -> None:
    """Put layers that know the whole batch in the place of batch norm and dropout; names in a state dict stay.

    Raises UserError for a batch norm of another kind, as networks of others may have it.
    """
    if (problem := why_not_shared(network)) is not None:
        raise UserError(f"the network {problem}")
    for name, part in list(network.named_modules()):
        if type(part) is nn.BatchNorm2d:
            network.set_submodule(name, SharedBatchNorm(part, group))
        elif type(part) is nn.Dropout:
            network.set_submodule(name, SharedDropout(part.p, share))


def why_not_shared(network: nn.Module) -> str | None:
    """Why a network can't be trained in several processes, as of it; None where it can."""
    for part in network.modules():
        if isinstance(part, _BatchNorm) and type(part) is not nn.BatchNorm2d:
            kind = type(part).__name__
            return f"has {kind}, which can't be computed over several processes, only BatchNorm2d can; train it in one"
    return None


def with_common_gradient(network: nn.Module) -> DistributedDataParallel:
    """The network with gradients that are the mean over the processes, from the same parameters in each."""
    # The processes have the same running means and variances without being told.
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters:
        return DistributedDataParallel(network, forward_sync_buffers=False)
    return DistributedDataParallel(network, broadcast_buffers=False)  # before torch 2.14, say


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm with mean and variance over the images of all processes.

    likeness: the layer whose place it takes, with its parameters and buffers.
    """

    def __init__(self, likeness: nn.BatchNorm2d, group: Group) -> None:
        super().__init__(likeness.num_features, likeness.eps, likeness.momentum, device="meta")
        self.weight, self.bias = likeness.weight, likeness.bias
        self.running_mean, self.running_var = likeness.running_mean, likeness.running_var
        self.num_batches_tracked = likeness.num_batches_tracked
        self._group = group

    def forward(self, images: Tensor) -> Tensor:
        """images (batch, channels, height, width) to the same shape."""
        if not self.training:
            return super().forward(images)
        out, mean, variance, count = _Normalised.apply(images, self.weight, self.bias, self.eps, self._group)
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            unbiased = variance * (count / (count - 1).clamp(min=1))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
        normalised: Tensor = out
        return normalised


class SharedDropout(nn.Module):
    """Dropout that draws for the whole batch, as one process does, and applies the part for its own rows."""

    def __init__(self, p: float, share: Share) -> None:
        super().__init__()
        self.p, self._share = p, share

    def forward(self, rows: Tensor) -> Tensor:
        """rows: (own rows, *shape), of a batch to train on, to the same shape."""
        if not self.training:
            return rows
        layout = torch.contiguous_format
        if rows.dim() == 4 and rows.is_contiguous(memory_format=torch.channels_last):
            layout = torch.channels_last  # numbers are drawn in the order in memory
        whole = torch.empty(
            (self._share.whole, *rows.shape[1:]), dtype=rows.dtype, device=rows.device, memory_format=layout
        ).fill_(1)
        return rows * dropout(whole, self.p)[self._share.rows]


class _Normalised(torch.autograd.Function):
    """Normalised images, and mean, variance (channels,) and number of the values per channel over all processes."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, eps: float, group: Group
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = _lifted(images)
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        own = mean.new_full((1,), x.numel() / x.shape[1], dtype=torch.float64)
        parts = group.stack(torch.cat([own, mean.double(), variance.double()]))
        counts, means, variances = parts.split([1, len(mean), len(mean)], dim=1)
        count = counts.sum()
        whole_mean = (counts * means).sum(dim=0) / count
        whole_variance = (counts * (variances + (means - whole_mean).square())).sum(dim=0) / count
        scale = (whole_variance + eps).rsqrt()
        ctx.save_for_backward(images, weight, whole_mean, scale, count)
        ctx.group = group
        slope = scale * weight
        out = x * _by_channel(slope, x) + _by_channel(bias - whole_mean * slope, x)
        ctx.mark_non_differentiable(whole_mean, whole_variance, count)
        return out.to(images.dtype), whole_mean, whole_variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_out: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        images, weight, mean, scale, count = ctx.saved_tensors
        x, slopes = _lifted(images), _lifted(of_out)
        normal = (x - _by_channel(mean, x)) * _by_channel(scale, x)
        # Those of weight and bias are this process's own: they are added up with those of all other parameters.
        of_bias, of_weight = slopes.sum(dim=(0, 2, 3)), (slopes * normal).sum(dim=(0, 2, 3))
        sums = ctx.group.sum(torch.stack([of_bias, of_weight]).double()) / count
        centred = slopes - _by_channel(sums[0], x) - normal * _by_channel(sums[1], x)
        of_images = centred * _by_channel(scale * weight, x)
        return of_images.to(images.dtype), of_weight.to(weight.dtype), of_bias.to(weight.dtype), None, None


def _lifted(values: Tensor) -> Tensor:
    return values.float() if values.dtype.itemsize < 4 else values


def _by_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype)[:, None, None]
