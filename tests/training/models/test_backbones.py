from __future__ import annotations

import pytest
import torch
from torch import nn

from tune_lpc.plan.trial import NETWORKS
from tune_lpc.training.models.backbones import BACKBONES, SMALLEST_SIDE, cnn13, small_cnn

META = torch.device("meta")
"""Shapes and counts without numbers: quick for the largest networks too."""
RESIDUAL = sorted(set(BACKBONES) - {"mlp", "small_cnn", "cnn13"})
FEATURES = {
    **dict.fromkeys(("small_cnn", "cnn13"), 128),
    **dict.fromkeys(("resnet18", "resnet34"), 512),
    **dict.fromkeys(("resnet50", "resnet101", "resnet152", "wide_resnet50_2"), 2048),
    **{"mlp": 256, "wrn16_8": 512, "wrn28_10": 640, "wrn40_4": 256},
}


def _features(
    name: str, channels: int, side: int, activation: str = "silu", device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, int]:
    torch.manual_seed(0)
    with torch.inference_mode(), torch.device(device):
        module, features = BACKBONES[name](channels, side, activation)
        return module.eval()(torch.randn(2, channels, side, side)), features


def _layers(module: nn.Module) -> list[nn.Module]:
    """The layers of a network without branches, those of blocks one by one."""
    parts = (part if isinstance(part, nn.Sequential) else [part] for part in module.children())
    return [layer for part in parts for layer in part]


def test_every_network_that_a_trial_may_name_has_a_backbone_and_a_smallest_side() -> None:
    assert set(BACKBONES) == set(NETWORKS) == set(SMALLEST_SIDE)


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (1, 64), (3, 224)])
def test_a_backbone_turns_images_into_features(name: str, channels: int, side: int) -> None:
    out, promised = _features(name, channels, side, device=META)
    assert promised == FEATURES[name]
    assert out.shape == (2, promised)


@pytest.mark.parametrize(
    ("name", "side"), [("mlp", 8), ("small_cnn", 16), ("cnn13", 12), ("resnet18", 8), ("resnet50", 8), ("wrn16_8", 4)]
)
def test_different_images_have_different_features(name: str, side: int) -> None:
    out, _ = _features(name, 1, side)
    assert bool(torch.isfinite(out).all())
    assert out.std(dim=0).max() > 0


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_the_smallest_side_is_enough(name: str) -> None:
    out, features = _features(name, 1, SMALLEST_SIDE[name], device=META)
    assert out.shape == (2, features)


@pytest.mark.parametrize("name", ["small_cnn", "cnn13"])
def test_one_pixel_less_than_the_smallest_side_vanishes_in_the_pooling(name: str) -> None:
    with pytest.raises(RuntimeError):
        _features(name, 1, SMALLEST_SIDE[name] - 1)


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize(("activation", "kind"), [("silu", nn.SiLU), ("relu", nn.ReLU), ("leaky_relu", nn.LeakyReLU)])
def test_the_activation_is_that_asked_for_everywhere(
    name: str, side: int, activation: str, kind: type[nn.Module]
) -> None:
    with META:
        module, _ = BACKBONES[name](3, side, activation)
    found = [part for part in module.modules() if isinstance(part, (nn.SiLU, nn.ReLU, nn.LeakyReLU))]
    assert found
    assert {type(part) for part in found} == {kind}
    assert {part.negative_slope for part in found if isinstance(part, nn.LeakyReLU)} <= {0.1}


def test_the_small_cnn_has_four_convolutions_of_the_paper() -> None:
    module = small_cnn(1, 28, "leaky_relu")[0]
    assert [part.out_channels for part in module.modules() if isinstance(part, nn.Conv2d)] == [8, 32, 64, 128]
    assert sum(isinstance(part, nn.MaxPool2d) for part in module.modules()) == 4


def test_cnn13_has_the_nine_convolutions_of_the_paper_and_pools_6_by_6() -> None:
    module = cnn13(3, 32, "leaky_relu")[0]
    layers = _layers(module)
    convolutions = [part for part in layers if isinstance(part, nn.Conv2d)]
    assert [part.out_channels for part in convolutions] == [128, 128, 128, 256, 256, 256, 512, 256, 128]
    assert [part.kernel_size[0] for part in convolutions] == [3] * 7 + [1] * 2
    assert sum(isinstance(part, nn.BatchNorm2d) for part in layers) == 9
    assert [part.p for part in layers if isinstance(part, nn.Dropout)] == [0.5, 0.5]
    with torch.inference_mode():
        before_pool = nn.Sequential(*layers[:-2]).eval()(torch.zeros(1, 3, 32, 32))
    assert before_pool.shape == (1, 128, 6, 6)


@pytest.mark.parametrize(
    ("name", "activation"), [("small_cnn", "relu"), ("small_cnn", "leaky_relu"), ("cnn13", "relu")]
)
def test_pooling_before_a_rising_activation_gives_what_pooling_after_it_gives(name: str, activation: str) -> None:
    torch.manual_seed(0)
    module, _ = BACKBONES[name](1, 20, activation)
    layers = _layers(module.eval())
    pooled = [i for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    assert pooled
    for i in pooled:
        layers[i], layers[i + 1] = layers[i + 1], layers[i]
    assert all(isinstance(layers[i], nn.ReLU | nn.LeakyReLU) for i in pooled)
    images = torch.randn(3, 1, 20, 20, requires_grad=True)
    gradients = []
    for network in (module, nn.Sequential(*layers)):
        out = network(images)
        gradients.append((out, *torch.autograd.grad(out.square().sum(), images)))
    assert torch.equal(gradients[0][0], gradients[1][0])
    torch.testing.assert_close(gradients[0][1], gradients[1][1])


def test_silu_is_pooled_after_it_has_acted() -> None:
    # It falls below -1.3, so the largest of some values need not stay the largest.
    layers = _layers(small_cnn(1, 28, "silu")[0])
    assert [type(layers[i - 1]) for i in range(len(layers)) if isinstance(layers[i], nn.MaxPool2d)] == [nn.SiLU] * 4
