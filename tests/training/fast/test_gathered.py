"""Convolutions by gathered matrix products against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tune_lpc.plan import TrialSpec
from tune_lpc.training.fast.gathered import GatheredConvolution, gather_where_it_pays
from tune_lpc.training.models import build_network

SIZES = [(4, 4, 1), (8, 8, 2), (7, 7, 2), (2, 3, 1), (1, 1, 1), (5, 2, 2), (1, 16, 1)]
"""Height, width, stride: all with 16 pixels or fewer in the output."""


def _pair(stride: int, channels: int = 12, width: int = 10) -> tuple[nn.Conv2d, GatheredConvolution]:
    torch.manual_seed(0)
    plain = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False).to(memory_format=torch.channels_last)
    return plain, GatheredConvolution(plain)


def _images(height: int, width: int, channels: int = 12, images: int = 5) -> Tensor:
    random = torch.Generator().manual_seed(1)
    values = torch.randn(images, channels, height, width, generator=random)
    return values.contiguous(memory_format=torch.channels_last)


def _step(convolution: nn.Conv2d, images: Tensor) -> tuple[Tensor, ...]:
    images = images.detach().requires_grad_()
    out = convolution(images)
    slopes = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(out.dtype)
    return out.detach(), *torch.autograd.grad(out, [images, convolution.weight], slopes)


@pytest.mark.parametrize(("height", "width", "stride"), SIZES)
@pytest.mark.parametrize("images", [5, 0])
def test_it_computes_what_the_convolution_does(height: int, width: int, stride: int, images: int) -> None:
    plain, gathered = _pair(stride)
    batch = _images(height, width, images=images)
    for found, expected in zip(_step(gathered, batch), _step(plain, batch), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_its_gradient_is_that_of_its_output(stride: int) -> None:
    gathered = _pair(stride, 3, 2)[1].double()
    images = _images(4, 3, 3, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(gathered, images)
    assert torch.autograd.gradcheck(
        lambda weight: torch.func.functional_call(gathered, {"weight": weight}, images.detach()), gathered.weight
    )


@pytest.mark.parametrize(("height", "width", "stride"), [(4, 4, 1), (8, 8, 2)])
def test_bfloat16_is_as_near_to_the_exact_result_as_torch_is(height: int, width: int, stride: int) -> None:
    plain, gathered = _pair(stride, 64, 48)
    images = _images(height, width, 64)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = _step(gathered, images), _step(plain, images)
    for found, other, exact in zip(ours, theirs, _step(plain, images), strict=True):
        assert found.dtype == other.dtype
        error = (found.float() - exact.float()).norm() / exact.norm()
        assert error < 1.2 * (other.float() - exact.float()).norm() / exact.norm()


def test_more_pixels_are_left_to_torch() -> None:
    plain, gathered = _pair(1)
    images = _images(5, 4)
    for found, expected in zip(_step(gathered, images), _step(plain, images), strict=True):
        assert torch.equal(found, expected)


def test_torch_compile_sees_the_convolution() -> None:
    plain, gathered = _pair(1)
    images = _images(4, 4)
    explained = torch._dynamo.explain(gathered)(images)
    assert explained.graph_break_count == 0
    torch.testing.assert_close(torch.compile(gathered, backend="eager")(images), plain(images))


def test_only_what_may_gain_is_replaced() -> None:
    fit = nn.Conv2d(256, 8, 3, 2, padding=1, bias=False)
    others = [
        nn.Conv2d(255, 8, 3, padding=1, bias=False),
        nn.Conv2d(256, 8, 1, bias=False),
        nn.Conv2d(256, 8, 3, bias=False),
        nn.Conv2d(256, 8, 3, padding=1),
        nn.Conv2d(256, 8, 3, padding=1, bias=False, groups=2),
        nn.Conv2d(256, 8, 3, padding=1, bias=False, dilation=2),
        nn.Conv2d(256, 8, 3, (1, 2), padding=1, bias=False),
        nn.Conv2d(256, 8, 3, padding=1, bias=False, padding_mode="reflect"),
    ]
    network = nn.Sequential(nn.Sequential(fit), *others)
    state, random = network.state_dict(), torch.get_rng_state()
    gather_where_it_pays(network)
    assert isinstance(network[0][0], GatheredConvolution)
    assert network[0][0].weight is fit.weight
    assert list(network)[1:] == others
    assert list(network.state_dict()) == list(state)
    assert torch.equal(torch.get_rng_state(), random)


def test_resnet18_gathers_in_its_last_stage() -> None:
    backbone = build_network(TrialSpec.build({"network": "resnet18"}), 10, 3, 32).backbone
    replaced = [name for name, part in backbone.named_modules() if isinstance(part, GatheredConvolution)]
    assert replaced == [
        *("layer3.0.conv2", "layer3.1.conv1", "layer3.1.conv2"),
        *("layer4.0.conv1", "layer4.0.conv2", "layer4.1.conv1", "layer4.1.conv2"),
    ]
