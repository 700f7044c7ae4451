"""The fast way of a pooled block against torch's own modules in float64."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from tune_lpc.training.fast.pooled import PooledBlock, warm_up

LEAKY = nn.LeakyReLU(0.1)
SIZES = [(1, 8, 28, 28), (3, 8, 6, 5), (8, 32, 14, 14), (2, 5, 7, 3), (4, 48, 2, 3), (2, 3, 9, 12)]
"""Channels in and out, height and width."""


class Step(NamedTuple):
    """What a training step of a block gives."""

    out: Tensor
    of_images: Tensor
    of_weight: Tensor
    of_norm_weight: Tensor
    of_norm_bias: Tensor
    running_mean: Tensor
    running_var: Tensor


def _block(channels: int, width: int, activation: nn.ReLU | nn.LeakyReLU = LEAKY) -> PooledBlock:
    """With weights of both signs in its batch norm."""
    torch.manual_seed(0)
    block = PooledBlock(channels, width, activation).to(memory_format=torch.channels_last)
    nn.init.normal_(block[1].weight)
    nn.init.normal_(block[1].bias)
    return block


def _plain(block: PooledBlock) -> nn.Sequential:
    """The same modules, called one after another, in float64."""
    return nn.Sequential(*copy.deepcopy(block)).double()


def _images(channels: int, height: int, width: int, images: int = 6) -> Tensor:
    random = torch.Generator().manual_seed(1)
    values = torch.randn(images, channels, height, width, generator=random)
    return values.contiguous(memory_format=torch.channels_last)


def _step(block: nn.Sequential, images: Tensor) -> Step:
    images = images.to(next(block.parameters()).dtype).detach().requires_grad_()
    out = block(images)
    slopes = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(out.dtype)
    convolution, norm = block[0], block[1]
    gradients = torch.autograd.grad(out, [images, convolution.weight, norm.weight, norm.bias], slopes)
    return Step(out.detach(), *gradients, norm.running_mean, norm.running_var)


def _assert_close(found: Step, expected: Step, tolerance: float) -> None:
    for name, one, other in zip(Step._fields, found, expected, strict=True):
        scale = float(other.abs().max())
        torch.testing.assert_close(
            one.double(), other, rtol=0, atol=tolerance * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.fixture
def threads() -> Iterator[None]:
    """Give the threads back that a test takes."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("activation", [LEAKY, nn.ReLU()])
@pytest.mark.parametrize(("channels", "width", "height", "side"), SIZES)
def test_it_trains_as_its_modules_do(
    channels: int, width: int, height: int, side: int, activation: nn.ReLU | nn.LeakyReLU
) -> None:
    block = _block(channels, width, activation)
    plain, images = _plain(block), _images(channels, height, side)
    _assert_close(_step(block, images), _step(plain, images), 5e-6)
    assert block[1].num_batches_tracked == plain[1].num_batches_tracked == 1


def test_values_far_from_zero_keep_their_variance() -> None:
    block = _block(1, 8)
    with torch.no_grad():
        block[0].weight.zero_()
        block[0].weight[:, 0, 1, 1] = 1  # the image itself
    plain, images = _plain(block), _images(1, 8, 8) + 1000
    images[0] = 0  # and one image far from all others
    _assert_close(_step(block, images[1:]), _step(plain, images[1:]), 2e-3)
    _assert_close(_step(block, images), _step(plain, images), 2e-3)


def test_of_equal_values_the_first_gets_the_gradient() -> None:
    block = _block(1, 8)
    images = torch.zeros(4, 1, 12, 12)
    images[:, :, :3, :3] = _images(1, 3, 3, 4)
    plain = _plain(block)
    _assert_close(_step(block, images), _step(plain, images), 5e-6)


def test_in_bfloat16_it_trains_as_its_modules_do_with_the_same_rounded_values() -> None:
    block = _block(1, 16)
    with torch.no_grad():
        # The convolution hands on the image times a power of two, which bfloat16 holds without rounding.
        block[0].weight.zero_()
        block[0].weight[:, 0, 1, 1] = 2.0 ** torch.arange(-8, 8)
    plain, images = _plain(block), _images(1, 9, 10).bfloat16().float()
    with torch.autocast("cpu", torch.bfloat16):
        found = _step(block, images)
    expected = _step(plain, images)
    rounded = {"of_images", "of_weight"}  # these pass the convolution in bfloat16
    for name, one, other in zip(Step._fields, found, expected, strict=True):
        atol = (2e-2 if name in rounded else 5e-6) * float(other.abs().max())
        torch.testing.assert_close(one.double(), other, rtol=0, atol=atol)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("low_precision", [False, True])
def test_what_is_not_finite_shows(value: float, low_precision: bool) -> None:
    block, images = _block(1, 8), _images(1, 8, 8)
    images[2, 0, 3, 3] = value
    images.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
        out = block(images)
    assert bool(out.isnan().all())
    assert bool(torch.autograd.grad(out.sum(), block[1].weight)[0].isnan().all())
    assert bool(block[1].running_var.isnan().all())


def test_the_bias_that_batch_norm_takes_away_has_no_gradient_but_counts_in_validation() -> None:
    block = _block(3, 8)
    plain, images = _plain(block), _images(3, 8, 8)
    block(images).square().sum().backward()
    assert torch.equal(block[0].bias.grad, torch.zeros(8))
    plain(images.double())
    block.eval()
    plain.eval()
    torch.testing.assert_close(block(images).double(), plain(images.double()), rtol=1e-5, atol=1e-5)


def test_images_in_another_memory_layout_give_the_same() -> None:
    block, images = _block(3, 8), _images(3, 8, 8)
    _assert_close(_step(copy.deepcopy(block), images.contiguous()), _step(_plain(block), images), 5e-6)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_threads_gives_the_same(count: int) -> None:
    block, images = _block(3, 8), _images(3, 8, 8)
    expected = _step(_plain(block), images)
    torch.set_num_threads(count)
    _assert_close(_step(block, images), expected, 5e-6)


def test_two_runs_are_alike_to_the_last_bit() -> None:
    block, images = _block(8, 32), _images(8, 14, 14)
    first, second = _step(copy.deepcopy(block), images), _step(copy.deepcopy(block), images)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types_pass_the_modules(dtype: torch.dtype) -> None:
    block, images = _block(3, 8).to(dtype), _images(3, 8, 8).to(dtype)
    plain = nn.Sequential(*copy.deepcopy(block))
    out = block(images)
    assert out.dtype == dtype
    assert torch.equal(out, plain(images))


def test_a_row_of_pixels_is_refused_as_it_is_by_the_modules() -> None:
    block, images = _block(3, 8), torch.zeros(1, 3, 1, 4)
    with pytest.raises(RuntimeError, match="too small"):
        nn.Sequential(*copy.deepcopy(block))(images)
    with pytest.raises(RuntimeError, match="too small"):
        block(images)


def test_torch_compile_sees_the_modules() -> None:
    block, images = _block(3, 8), _images(3, 8, 8)
    # aot_eager traces forward and backward as inductor does, and needs no C++ compiler.
    compiled = torch.compile(copy.deepcopy(block), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(images), block(images))


@pytest.mark.parametrize("low_precision", [None, torch.bfloat16, torch.float16])
def test_a_network_can_be_warmed_up_whatever_its_precision(low_precision: torch.dtype | None) -> None:
    warm_up(nn.Sequential(_block(3, 8)), low_precision)
    warm_up(nn.Linear(2, 2), low_precision)
