"""Mean and deviation of the channels, by which training and validation images are normalised."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def channel_statistics(chunks: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, each (channels,) float32, pixels scaled to 0 … 1.

    chunks: some images at a time, (..., channels) uint8. A channel without any variation gets the deviation 1.
    """
    total = squares = torch.zeros((), dtype=torch.float64)
    pixels = 0
    for chunk in chunks:
        values = chunk.flatten(0, -2).double() / 255
        total, squares = total + values.sum(dim=0), squares + values.square().sum(dim=0)
        pixels += len(values)
    mean = total / pixels
    deviation = (squares / pixels - mean.square()).clamp_min(0).sqrt()
    # A channel without any variation is only centred.
    return mean.float(), torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)).float()
