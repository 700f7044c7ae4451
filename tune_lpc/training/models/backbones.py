"""Backbones, each a function (channels, side, activation) -> (module, features): images in, (batch, features) out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from tune_lpc.training.fast_path import pooled_block
from tune_lpc.training.models.activations import ACTIVATIONS
from tune_lpc.training.models.resnet import resnet_backbone
from tune_lpc.training.models.wide_resnet import wide_resnet_backbone


def mlp(channels: int, side: int, activation: str) -> tuple[nn.Module, int]:
    """Two hidden layers of 256."""
    act = ACTIVATIONS[activation]
    layers = [nn.Flatten(), nn.Linear(channels * side * side, 256), act(), nn.Linear(256, 256), act()]
    return nn.Sequential(*layers), 256


def small_cnn(channels: int, side: int, activation: str) -> tuple[nn.Module, int]:
    """Four convolutions of 8 to 128 channels, each halved by max-pooling (the MNIST network of arXiv 2002.04805)."""
    layers: list[nn.Module] = []
    for width in (8, 32, 64, 128):
        layers += _pooled(channels, width, activation)
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 128


def cnn13(channels: int, side: int, activation: str) -> tuple[nn.Module, int]:
    """CNN-13 (the SVHN and CIFAR network of arXiv 2002.04805); on 32 pixels the last pool covers 6 x 6."""
    layers: list[nn.Module] = []
    for width in (128, 256):
        for before in (channels, width):
            layers += _convolution(before, width, 3, 1, activation)
        layers += [*_pooled(width, width, activation), nn.Dropout(0.5)]
        channels = width
    for width, kernel in ((512, 3), (256, 1), (128, 1)):
        layers += _convolution(channels, width, kernel, 0, activation)
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 128


def _convolution(channels: int, width: int, kernel: int, padding: int, activation: str) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, kernel, padding=padding), nn.BatchNorm2d(width), ACTIVATIONS[activation]()]


def _pooled(channels: int, width: int, activation: str) -> list[nn.Module]:
    """A 3 x 3 convolution with batch norm, halved by max-pooling; before a rising activation, which then has a quarter
    of the work and the same result.
    """
    act = ACTIVATIONS[activation]()
    if isinstance(act, nn.ReLU | nn.LeakyReLU):
        return [pooled_block(channels, width, act)]
    return [*_convolution(channels, width, 3, 1, activation), nn.MaxPool2d(2)]


RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2")
"""Under the names that torchvision gives them."""
WIDE_RESNETS = {"wrn16_8": (16, 8), "wrn28_10": (28, 10), "wrn40_4": (40, 4)}
"""Depth and widening factor."""

BACKBONES: dict[str, Callable[[int, int, str], tuple[nn.Module, int]]] = {
    "mlp": mlp,
    "small_cnn": small_cnn,
    "cnn13": cnn13,
    **{name: partial(resnet_backbone, name) for name in RESNETS},
    **{name: partial(wide_resnet_backbone, *size) for name, size in WIDE_RESNETS.items()},
}
SMALLEST_SIDE = {
    "mlp": 1,
    "small_cnn": 16,
    "cnn13": 12,
    **dict.fromkeys(RESNETS, 8),
    **dict.fromkeys(WIDE_RESNETS, 4),
}
"""In pixels. Smaller images vanish in the pooling of the CNNs; residual networks bring them to one pixel early."""
