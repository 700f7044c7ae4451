"""DeepFool: the smallest step that changes the prediction (Moosavi-Dezfooli et al., CVPR 2016, arXiv 1511.04599)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import MeasureError, images_at_once, in_float64

_BEYOND = 1e-4
"""Added to each step's length, so that an image on the border crosses it; the golden values have it too."""


@dataclass(frozen=True, eq=False)
class Fooling:
    """What DeepFool found for each image.

    perturbation: like the images. norms: (images,) its Euclidean norm. relative: (images,) the norm over that of the
    image; both float64. iterations: (images,) steps taken. original, fooled: (images,) predictions before and after,
    equal where the steps did not suffice. stuck: (images,) whether there was no gradient to follow, so no step either.
    """

    perturbation: Tensor
    norms: Tensor
    relative: Tensor
    iterations: Tensor
    original: Tensor
    fooled: Tensor
    stuck: Tensor


def deepfool(
    logits_of: Callable[[Tensor], Tensor],
    inputs: Tensor,
    overshoot: float = 0.02,
    max_steps: int = 50,
    candidates: int = 10,
    batch_size: int = 256,
) -> Fooling:
    """Perturb each image until its prediction changes, at most `max_steps` times.

    logits_of: differentiable, (images, channels, height, width) to (images, classes), each image by itself.
    A step goes to the nearest border of the linearised network, between the predicted class and one of the others among
    the `candidates` classes with the largest logits at the start; the perturbation is the sum of the steps times
    1 + overshoot.

    Raises MeasureError for inputs or logits that are not finite, no image, an image of zeros or one class only.
    """
    in_float64("DeepFool", inputs)
    with torch.inference_mode(False), torch.enable_grad():
        parts = [
            _Batch(logits_of, images.clone(), 1 + overshoot, candidates).run(max_steps)
            for images in inputs.split(images_at_once(inputs, batch_size))
        ]
    perturbation, iterations, original, fooled, stuck = (torch.cat(each) for each in zip(*parts, strict=True))
    norms = torch.linalg.vector_norm(perturbation.double().flatten(1), dim=1)
    sizes = torch.linalg.vector_norm(inputs.double().flatten(1), dim=1)
    if not bool((sizes > 0).all()):
        raise MeasureError("DeepFool relates the step to the norm of the image, but an image is 0 throughout")
    return Fooling(perturbation, norms, norms / sizes, iterations, original, fooled, stuck)


class _Seen(NamedTuple):
    """Images as the network saw them, with what the gradients need: images at, logits (images, classes)."""

    at: Tensor
    logits: Tensor


class _Batch:
    """Images (images, channels, height, width) that walk together; those that are done stay where they are."""

    def __init__(self, logits_of: Callable[[Tensor], Tensor], images: Tensor, stretch: float, candidates: int) -> None:
        self._logits_of = logits_of
        self._images = images
        self._stretch = stretch
        self._walked = torch.zeros_like(images)
        self._start = self._see(torch.arange(len(images), device=images.device))
        logits = self._start.logits.detach()
        if logits.shape[1] < 2:
            raise MeasureError("DeepFool needs at least two classes, but the network has one")
        self._order = logits.topk(min(candidates, logits.shape[1]), dim=1).indices
        self._original = self._order[:, 0]

    def run(self, max_steps: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Perturbation, iterations, original and fooled labels, and who is stuck."""
        iterations, fooled = torch.zeros_like(self._original), self._original.clone()
        stuck = torch.zeros_like(self._original, dtype=torch.bool)
        rows, seen = torch.arange(len(self._images), device=self._images.device), self._start
        standing = torch.ones_like(stuck)
        for _ in range(max_steps):
            step, movable = self._step(seen, self._order[rows])
            stuck[rows[standing & ~movable]] = True
            walking = standing & movable
            rows = rows[walking]
            if not len(rows):
                break
            self._walked[rows] += step[walking]
            iterations[rows] += 1
            seen = self._see(rows)
            fooled[rows] = seen.logits.detach().argmax(dim=1)
            standing = fooled[rows] == self._original[rows]
            if not bool(standing.any()):
                break
            # The gradients cost a backward pass a border, also for images that are done. Leaving those out costs the
            # others one more forward pass.
            borders = self._order.shape[1] - 1
            if borders * len(rows) > (borders + 1) * int(standing.sum()):
                rows = rows[standing]
                seen, standing = self._see(rows), standing[standing]
        return self._stretch * self._walked, iterations, self._original, fooled, stuck

    def _see(self, rows: Tensor) -> _Seen:
        """The images in `rows` where they stand now."""
        at = (self._images[rows] + self._stretch * self._walked[rows]).requires_grad_()
        logits = self._logits_of(at)
        if not bool(torch.isfinite(logits).all()):
            raise MeasureError("DeepFool needs finite logits, but some are infinite or not a number")
        return _Seen(at, logits)

    def _step(self, seen: _Seen, order: Tensor) -> tuple[Tensor, Tensor]:
        """The step of each image seen, and which of them have a direction to go. order: (images, candidates)."""
        logits = seen.logits.gather(1, order)
        gaps = logits[:, 1:] - logits[:, :1]
        last = gaps.shape[1] - 1
        # One backward pass for each border: images do not mix, so the gradient of the sum is that of each image.
        normals = torch.stack(
            [torch.autograd.grad(gaps[:, k].sum(), seen.at, retain_graph=k < last)[0] for k in range(last + 1)]
        )
        lengths = torch.linalg.vector_norm(normals.flatten(2), dim=2)
        distances = torch.where(lengths > 0, gaps.detach().abs().T / lengths, torch.inf)
        distance, nearest = distances.min(dim=0)
        everyone = torch.arange(len(order), device=order.device)
        scale = (distance + _BEYOND) / lengths[nearest, everyone]
        return normals[nearest, everyone] * scale[:, None, None, None], torch.isfinite(scale)
