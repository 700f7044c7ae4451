"""Batch norm and dropout over a batch that several share, against the whole batch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.training.distributed.threads import together
from tune_lpc.training.distributed.group import Group
from tune_lpc.training.distributed.layers import SharedBatchNorm, SharedDropout, synchronise

SHAPE = (7, 3, 4, 5)


def images(dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    drawn = torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (3 * drawn + 5).to(dtype)


def norm(dtype: torch.dtype) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(3).to(dtype)
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.5, 1.0, -2.0]))
        made.bias.copy_(torch.tensor([0.0, 1.0, 3.0]))
    return made


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_batch_norm_is_that_of_the_whole_batch_forward_and_backward(size: int, dtype: torch.dtype) -> None:
    x, slopes, likeness = images(dtype), images(dtype, seed=1), norm(dtype)
    whole, wanted = copy.deepcopy(likeness), x.clone().requires_grad_()
    out = whole(wanted)
    out.backward(slopes)

    def work(group: Group) -> tuple[Tensor, ...]:
        rows = group.share(len(x)).rows
        layer, own = SharedBatchNorm(copy.deepcopy(likeness), group), x[rows].clone().requires_grad_()
        found = layer(own)
        found.backward(slopes[rows])
        assert own.grad is not None and layer.weight.grad is not None and layer.bias.grad is not None
        assert layer.running_mean is not None and layer.running_var is not None
        return found.detach(), own.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var

    parts = list(zip(*together(size, work), strict=True))
    assert wanted.grad is not None and whole.weight.grad is not None
    close = {torch.float64: 1e-12, torch.float32: 1e-5}[dtype]
    for found, expected in (
        (torch.cat(parts[0]), out.detach()),
        (torch.cat(parts[1]), wanted.grad),
        (sum(parts[2]), whole.weight.grad),
        (sum(parts[3]), whole.bias.grad),
        *((mean, whole.running_mean) for mean in parts[4]),
        *((variance, whole.running_var) for variance in parts[5]),
    ):
        torch.testing.assert_close(found, expected, rtol=close, atol=close)


def test_evaluation_uses_the_running_statistics_and_asks_nobody() -> None:
    likeness = norm(torch.float64)
    layer = SharedBatchNorm(likeness, Group(0, 2)).eval()  # a group whose others never answer
    torch.testing.assert_close(layer(images()), likeness.eval()(images()))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_drops_what_one_process_drops(layout: torch.memory_format) -> None:
    x = images(torch.float32).contiguous(memory_format=layout)
    torch.manual_seed(3)
    wanted = nn.Dropout(0.4)(x)
    for rank in (0, 1):
        share = Group(rank, 2).share(len(x))
        torch.manual_seed(3)
        assert torch.equal(SharedDropout(0.4, share)(x[share.rows]), wanted[share.rows])
    assert 0 < int((wanted == 0).sum()) < wanted.numel()
    assert torch.equal(SharedDropout(0.4, share).eval()(x), x)


def test_layers_are_replaced_under_their_names_with_what_they_hold() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), nn.Dropout(0.5))
    before = {name: value.data_ptr() for name, value in network.state_dict().items()}
    synchronise(network, Group(0, 2), Group(0, 2).share(4))
    assert {name: value.data_ptr() for name, value in network.state_dict().items()} == before
    assert isinstance(network[2], SharedDropout)
    kinds = [type(part) for part in network.modules()]
    assert SharedBatchNorm in kinds and nn.BatchNorm2d not in kinds
