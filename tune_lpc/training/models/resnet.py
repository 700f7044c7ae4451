"""torchvision's residual networks as backbones, for small images and for large ones."""

from __future__ import annotations

from torch import nn

from tune_lpc.training.fast_path import quicken
from tune_lpc.training.models.activations import ACTIVATIONS

SMALL_IMAGE = 64
"""From this side on, ResNet keeps ImageNet's 7 x 7 stem and max-pool; below, a 3 x 3 stem (arXiv 2310.08224)."""


def resnet_backbone(name: str, channels: int, side: int, activation: str) -> tuple[nn.Module, int]:
    """A ResNet of torchvision with the activation chosen and, below 64 pixels, a 3 x 3 stem without max-pool.

    name: as torchvision calls it, "resnet18" to "resnet152" (arXiv 1512.03385) or "wide_resnet50_2" (arXiv 1605.07146).
    """
    from torchvision.models import get_model  # 160 MB, which the process that drives a search does without

    network = get_model(name, weights=None)
    features = network.fc.in_features
    network.fc = nn.Identity()
    if side < SMALL_IMAGE:
        network.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        network.maxpool = nn.Identity()
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    for module in list(network.modules()):
        if hasattr(module, "relu"):
            module.relu = ACTIVATIONS[activation]()
    quicken(network)
    return network, features
