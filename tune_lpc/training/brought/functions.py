"""Augmentations and loss terms that are functions of the user's own, by FILE.py:FUNCTION."""

from __future__ import annotations

import torch
from torch import Tensor

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import OwnCode
from tune_lpc.training.brought.backbones import told


class OwnAugmentation:
    """Calls `augment(images, generator)` of the user's own.

    images: (batch, channels, height, width) uint8 on the training device; generator: a torch.Generator there, of the
    epoch's seed. It returns such images again; the global random numbers have the epoch's seed, too.
    """

    def __init__(self, reference: str, code: OwnCode) -> None:
        self._reference, self._function = reference, code.function(reference)

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """pixels: (batch, height, width, channels) uint8; returns the same shape. Raises UserError with its name."""
        images = pixels.permute(0, 3, 1, 2)
        try:
            found = self._function(images, generator)
        except Exception as error:
            raise UserError(f"{self._reference} fails on images {tuple(images.shape)}: {told(error)}") from error
        if not isinstance(found, Tensor) or found.shape != images.shape or found.dtype != torch.uint8:
            raise UserError(
                f"{self._reference} gives {_described(found)}, but must give uint8 images of shape "
                f"{tuple(images.shape)} as it got them"
            )
        return found.permute(0, 2, 3, 1)


class OwnTerm:
    """Calls `term(z, logits, labels, progress)` of the user's own.

    z: (batch, penultimate_width) and logits: (batch, classes), float32; labels: (batch,); with grouped batches group
    after group. progress: of the training, from 0 to 1. It returns a scalar.
    """

    def __init__(self, reference: str, code: OwnCode) -> None:
        self._reference, self._function = reference, code.function(reference)

    def __call__(self, z: Tensor, logits: Tensor, labels: Tensor, progress: float) -> Tensor:
        """The term, a scalar. Raises UserError with its name."""
        try:
            found = self._function(z, logits, labels, progress)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            shapes = f"z {tuple(z.shape)}, logits {tuple(logits.shape)}"
            raise UserError(f"{self._reference} fails on {shapes}: {told(error)}") from error
        if not isinstance(found, Tensor) or found.ndim != 0 or not found.is_floating_point():
            raise UserError(f"{self._reference} gives {_described(found)}, but must give a scalar tensor")
        return found


def _described(found: object) -> str:
    if isinstance(found, Tensor):
        return f"a tensor {tuple(found.shape)} of {str(found.dtype).removeprefix('torch.')}"
    return type(found).__name__
