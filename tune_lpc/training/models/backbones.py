"""Backbones, each a function (channels, side, activation) -> (module, features): images in, (batch, features) out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision.models import resnet18

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.1),
}
SMALL_IMAGE = 64
"""From this side on, ResNet keeps ImageNet's 7 x 7 stem and max-pool; below, a 3 x 3 stem (arXiv 2310.08224)."""


def mlp(channels: int, side: int, activation: str) -> tuple[nn.Module, int]:
    """Two hidden layers of 256."""
    act = ACTIVATIONS[activation]
    layers = [nn.Flatten(), nn.Linear(channels * side * side, 256), act(), nn.Linear(256, 256), act()]
    return nn.Sequential(*layers), 256


def small_cnn(channels: int, side: int, activation: str) -> tuple[nn.Module, int]:
    """Four convolutions of 8 to 128 channels, each halved by max-pooling (the MNIST network of arXiv 2002.04805)."""
    layers: list[nn.Module] = []
    for width in (8, 32, 64, 128):
        layers += [*_convolution(channels, width, 3, 1, activation), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 128


def cnn13(channels: int, side: int, activation: str) -> tuple[nn.Module, int]:
    """CNN-13 (the SVHN and CIFAR network of arXiv 2002.04805); on 32 pixels the last pool covers 6 x 6."""
    layers: list[nn.Module] = []
    for width in (128, 256):
        for _ in range(3):
            layers += _convolution(channels, width, 3, 1, activation)
            channels = width
        layers += [nn.MaxPool2d(2), nn.Dropout(0.5)]
    for width, kernel in ((512, 3), (256, 1), (128, 1)):
        layers += _convolution(channels, width, kernel, 0, activation)
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 128


def resnet18_backbone(channels: int, side: int, activation: str) -> tuple[nn.Module, int]:
    """torchvision's ResNet-18 with the activation chosen and, below 64 pixels, a 3 x 3 stem without max-pool."""
    network = resnet18(weights=None)
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
    return network, features


def _convolution(channels: int, width: int, kernel: int, padding: int, activation: str) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, kernel, padding=padding), nn.BatchNorm2d(width), ACTIVATIONS[activation]()]


BACKBONES: dict[str, Callable[[int, int, str], tuple[nn.Module, int]]] = {
    "mlp": mlp,
    "small_cnn": small_cnn,
    "cnn13": cnn13,
    "resnet18": resnet18_backbone,
}
SMALLEST_SIDE = {"mlp": 1, "small_cnn": 16, "cnn13": 12, "resnet18": 8}
"""Images of a smaller side vanish in the backbone's pooling."""
