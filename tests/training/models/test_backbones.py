from __future__ import annotations

import pytest
import torch
from torch import nn

from tune_lpc.training.models.backbones import BACKBONES, SMALLEST_SIDE, cnn13, resnet18_backbone, small_cnn


def _features(name: str, channels: int, side: int, activation: str = "silu") -> tuple[torch.Tensor, int]:
    torch.manual_seed(0)
    module, features = BACKBONES[name](channels, side, activation)
    with torch.inference_mode():
        return module.eval()(torch.randn(2, channels, side, side)), features


@pytest.mark.parametrize(
    ("name", "channels", "side", "features"),
    [
        ("mlp", 1, 8, 256),
        ("mlp", 3, 32, 256),
        ("small_cnn", 1, 28, 128),
        ("small_cnn", 3, 32, 128),
        ("cnn13", 3, 32, 128),
        ("cnn13", 1, 28, 128),
        ("resnet18", 3, 32, 512),
        ("resnet18", 1, 28, 512),
        ("resnet18", 3, 64, 512),
        ("resnet18", 1, 64, 512),
    ],
)
def test_a_backbone_turns_images_into_features(name: str, channels: int, side: int, features: int) -> None:
    out, promised = _features(name, channels, side)
    assert promised == features
    assert out.shape == (2, features)
    assert out.std(dim=0).max() > 0  # the two images differ, and so do their features


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_the_smallest_side_is_enough(name: str) -> None:
    out, features = _features(name, 1, SMALLEST_SIDE[name])
    assert out.shape == (2, features)


@pytest.mark.parametrize("name", ["small_cnn", "cnn13"])
def test_one_pixel_less_than_the_smallest_side_vanishes_in_the_pooling(name: str) -> None:
    with pytest.raises(RuntimeError):
        _features(name, 1, SMALLEST_SIDE[name] - 1)


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize(("activation", "kind"), [("silu", nn.SiLU), ("relu", nn.ReLU), ("leaky_relu", nn.LeakyReLU)])
def test_the_activation_is_that_asked_for_everywhere(name: str, activation: str, kind: type[nn.Module]) -> None:
    module, _ = BACKBONES[name](3, 32, activation)
    found = [part for part in module.modules() if isinstance(part, (nn.SiLU, nn.ReLU, nn.LeakyReLU))]
    assert found
    assert {type(part) for part in found} == {kind}
    assert {part.negative_slope for part in found if isinstance(part, nn.LeakyReLU)} <= {0.1}


def test_resnet_keeps_the_resolution_of_small_images_and_halves_that_of_large_ones() -> None:
    small, large = resnet18_backbone(3, 32, "silu")[0], resnet18_backbone(3, 64, "silu")[0]
    for module, kernel, stride in ((small, (3, 3), (1, 1)), (large, (7, 7), (2, 2))):
        assert isinstance(module.conv1, nn.Conv2d)
        assert (module.conv1.kernel_size, module.conv1.stride) == (kernel, stride)
    assert isinstance(small.maxpool, nn.Identity)
    assert isinstance(large.maxpool, nn.MaxPool2d)


def test_the_small_cnn_has_four_convolutions_of_the_paper() -> None:
    module = small_cnn(1, 28, "leaky_relu")[0]
    assert [part.out_channels for part in module.modules() if isinstance(part, nn.Conv2d)] == [8, 32, 64, 128]
    assert sum(isinstance(part, nn.MaxPool2d) for part in module.modules()) == 4


def test_cnn13_has_the_nine_convolutions_of_the_paper_and_pools_6_by_6() -> None:
    module = cnn13(3, 32, "leaky_relu")[0]
    layers = list(module.children())
    convolutions = [part for part in layers if isinstance(part, nn.Conv2d)]
    assert [part.out_channels for part in convolutions] == [128, 128, 128, 256, 256, 256, 512, 256, 128]
    assert [part.kernel_size[0] for part in convolutions] == [3] * 7 + [1] * 2
    assert sum(isinstance(part, nn.BatchNorm2d) for part in layers) == 9
    assert [part.p for part in layers if isinstance(part, nn.Dropout)] == [0.5, 0.5]
    with torch.inference_mode():
        before_pool = nn.Sequential(*layers[:-2]).eval()(torch.zeros(1, 3, 32, 32))
    assert before_pool.shape == (1, 128, 6, 6)
