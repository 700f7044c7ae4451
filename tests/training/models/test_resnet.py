from __future__ import annotations

import pytest
import torch
from torch import nn

from tune_lpc.training.models.resnet import resnet_backbone

META = torch.device("meta")
NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_resolution_of_small_images_is_kept_and_that_of_large_ones_halved(name: str, channels: int) -> None:
    for side, kernel, stride, pool in ((63, 3, 1, nn.Identity), (64, 7, 2, nn.MaxPool2d)):
        with META:
            module = resnet_backbone(name, channels, side, "silu")[0]
        assert isinstance(module.conv1, nn.Conv2d)
        assert (module.conv1.kernel_size, module.conv1.stride) == ((kernel, kernel), (stride, stride))
        assert module.conv1.in_channels == channels
        assert isinstance(module.maxpool, pool)


@pytest.mark.parametrize(
    ("name", "parameters"),  # torchvision's published counts for 1000 classes, less the output layer
    [("resnet18", 11_689_512 - 513_000), ("resnet152", 60_192_808 - 2_049_000), ("wide_resnet50_2", 66_834_240)],
)
def test_for_large_colour_images_it_is_the_network_of_imagenet(name: str, parameters: int) -> None:
    with META:
        module = resnet_backbone(name, 3, 224, "relu")[0]
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
