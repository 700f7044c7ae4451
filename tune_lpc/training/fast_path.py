"""The one way to the kernels for CPUs in `training/fast/`, and what serves where they are absent: plain torch.

Both ways have the same names in a state dict and draw the same random numbers, so that a checkpoint of a machine with
the kernels goes on on one without.
"""

from __future__ import annotations

import logging

import torch
from torch import nn

try:
    from tune_lpc.training import fast as fast  # for persistence/operator.py too

    AVAILABLE = True
    """Whether the kernels are there: the folder is, and so is numba."""
except ImportError as error:
    logging.getLogger(__name__).info("training on CPUs goes without kernels of its own: %s", error)
    AVAILABLE = False


def pooled_block(channels: int, width: int, activation: nn.ReLU | nn.LeakyReLU) -> nn.Sequential:
    """A 3 x 3 convolution, batch norm, 2 x 2 max-pooling and a rising activation, halving the images.

    images (batch, channels, height, width) to (batch, width, height // 2, width // 2).
    """
    if AVAILABLE:
        return fast.PooledBlock(channels, width, activation)
    convolution = nn.Conv2d(channels, width, 3, padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.MaxPool2d(2), activation)


def quicken(network: nn.Module) -> None:
    """Replace the convolutions of `network` that have a faster way on CPUs; without the kernels none has."""
    if AVAILABLE:
        fast.gather_where_it_pays(network)


def warm_up(network: nn.Module, low_precision: torch.dtype | None) -> None:
    """Compile or load what `network` needs on a CPU, so that no step waits for it; nothing without the kernels.

    low_precision: of the convolutions under autocast, None for float32.
    """
    if AVAILABLE:
        fast.warm_up(network, low_precision)
