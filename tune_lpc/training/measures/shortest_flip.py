"""The shortest perturbation that changes a prediction, by whatever way it is found.

DeepFool and PGD follow gradients at the image. A network whose classes have collapsed is flat there and steep between
the classes, so the first step of DeepFool overshoots far past the border, and what it reports is no distance (gradient
masking; Athalye et al. 2018, arXiv 1802.00420). Here four ways are taken, and the shortest flip counts: an upper bound
of the distance to the border, as every attack's, but a much closer one.

1. Along DeepFool's perturbation: the first flip on it.
2. Along the lines to the nearest images that the network puts in another class: no gradient.
3. From the best so far along the border, where gradients are not masked: towards the foot of the perpendicular from the
   image to the border's tangent (in the family of Brendel and Bethge 2019, arXiv 1907.01003).
4. Along a perturbation of another network, where one is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import MeasureError, images_at_once, in_float64
from tune_lpc.training.measures.deepfool import Fooling

NEAREST = 5
"""Images of another class to which lines are drawn."""
STEPS = 60
"""Along the border."""
BEYOND = 1e-3
"""The share of its length by which a flip lies beyond the border, so that it is one in other arithmetic, too."""
_ALONG_PERTURBATION = torch.logspace(-2.5, 0, 48)
"""Where a perturbation is looked at, in its lengths: densely near the image, as it may overshoot a hundred times."""
_ALONG_LINE = torch.linspace(0, 1, 25)[1:]
_BISECTIONS = 12
_BISECTIONS_OF_STEP = 7
_TRANSFERRED = 4.0
"""Lengths of another network's perturbation that are searched."""


@dataclass(frozen=True, eq=False)
class ShortestFlip:
    """The shortest flip of each image.

    perturbation: like the images. norms: (images,) its Euclidean norm. relative: (images,) the norm over that of the
    image. nearest: (images,) the distance to the nearest image that the network puts in another class, over the same.
    All three float64.
    """

    perturbation: Tensor
    norms: Tensor
    relative: Tensor
    nearest: Tensor


def shortest_flip(
    logits_of: Callable[[Tensor], Tensor],
    inputs: Tensor,
    fooling: Fooling,
    transferred: Tensor | None = None,
    steps: int = STEPS,
    batch_size: int = 256,
) -> ShortestFlip:
    """The shortest flip that the ways above find, never longer than DeepFool's own where that is one.

    logits_of: differentiable, (images, channels, height, width) to (images, classes), each image by itself.
    inputs: the images; each is also one to which lines may lead. fooling: what DeepFool found on them.
    transferred: perturbations of the same images that were found on another network.

    Raises MeasureError for inputs or logits that are not finite, and where the network puts all images in one class.
    """
    in_float64("the shortest flip", inputs)
    original = _predicted(logits_of, inputs, batch_size)
    if len(original.unique()) < 2:
        raise MeasureError("the shortest flip needs images of two classes, but the network puts all in one")
    sizes = torch.linalg.vector_norm(inputs.double().flatten(1), dim=1)
    distances, others = _nearest_of_another_class(inputs, original)
    parts = []
    with torch.inference_mode(False), torch.enable_grad():
        for rows in torch.arange(len(inputs), device=inputs.device).split(images_at_once(inputs, batch_size)):
            search = _Search(logits_of, inputs[rows].clone(), original[rows])
            search.along(fooling.perturbation[rows], _ALONG_PERTURBATION)
            for k in range(others.shape[1]):
                search.along(inputs[others[rows, k]] - inputs[rows], _ALONG_LINE)
            if transferred is not None:
                search.along(_TRANSFERRED * transferred[rows], _ALONG_PERTURBATION)
            search.along_border(steps)
            fooled = (fooling.fooled != fooling.original)[rows]
            parts.append(search.best(torch.where(fooled, fooling.norms[rows], torch.inf)))
    perturbation = torch.cat(parts)
    norms = torch.linalg.vector_norm(perturbation.double().flatten(1), dim=1)
    return ShortestFlip(perturbation, norms, norms / sizes, distances / sizes)


def _nearest_of_another_class(inputs: Tensor, original: Tensor) -> tuple[Tensor, Tensor]:
    """The distance of each image to the nearest one that is put in another class, (images,) float64, and the rows of
    the NEAREST of these, or as many as there are, (images, k), nearest first."""
    flat = inputs.flatten(1).double()
    fewest = int((original[:, None] != original[None, :]).sum(dim=1).min())
    distances, rows = [], []
    for block in torch.arange(len(flat), device=flat.device).split(256):
        # Not by products, which lose what is small between images that are alike.
        apart = torch.cdist(flat[block], flat, compute_mode="donot_use_mm_for_euclid_dist")
        apart[original[block][:, None] == original[None, :]] = torch.inf
        found = apart.topk(min(NEAREST, fewest), dim=1, largest=False)
        distances.append(found.values[:, 0])
        rows.append(found.indices)
    return torch.cat(distances), torch.cat(rows)


def _predicted(logits_of: Callable[[Tensor], Tensor], images: Tensor, batch_size: int = 1024) -> Tensor:
    """The predictions, (images,). Raises MeasureError for logits that are not finite."""
    found = []
    with torch.no_grad():
        for batch in images.split(batch_size):
            logits = logits_of(batch)
            if not bool(torch.isfinite(logits).all()):
                raise MeasureError("the shortest flip needs finite logits, but some are infinite or not a number")
            found.append(logits.argmax(dim=1))
    return torch.cat(found)


class _Search:
    """Images (images, channels, height, width) whose best flips so far get shorter."""

    def __init__(self, logits_of: Callable[[Tensor], Tensor], images: Tensor, original: Tensor) -> None:
        self._logits_of, self._images, self._original = logits_of, images, original
        self._best = torch.zeros_like(images)
        self._norms = torch.full((len(images),), torch.inf, dtype=torch.float64, device=images.device)

    def best(self, most: Tensor) -> Tensor:
        """The shortest flips, a little beyond the border where that is a flip, too, and not longer than `most`."""
        further = self._best * (1 + BEYOND)
        fits = self._flips(further) & (_norms(further) <= most)
        return torch.where(_wide(fits), further, self._best)

    def along(self, direction: Tensor, grid: Tensor) -> None:
        """Take the first flip on the way from each image along `direction`, like the images, looked at where `grid`
        says, in lengths of it."""
        count = len(self._images)
        low = torch.zeros(count, device=direction.device)
        high = torch.full((count,), torch.nan, device=direction.device)
        # Beyond the best so far nothing is of use: it is the last point that is looked at.
        most = (self._norms / _norms(direction)).to(direction.dtype)
        open_rows = torch.arange(count, device=direction.device)
        for point in grid.tolist():
            points = most[open_rows].clamp(max=point)
            flipped = self._flips(_wide(points) * direction[open_rows], open_rows)
            high[open_rows[flipped]] = points[flipped]
            low[open_rows[~flipped]] = points[~flipped]
            open_rows = open_rows[~flipped & (points == point)]
            if not len(open_rows):
                break
        rows = torch.nonzero(high.isfinite()).flatten()
        if len(rows):
            self._keep(rows, self._bisected(direction[rows], low[rows], high[rows], rows, _BISECTIONS))

    def along_border(self, steps: int) -> None:
        """Walk along the border towards the image."""
        share = torch.ones(len(self._images), device=self._images.device)
        rows = torch.nonzero(self._norms.isfinite()).flatten()
        for _ in range(steps):
            if not len(rows):
                return
            best = self._best[rows]
            normal = self._normal(rows)
            height = (best * normal).flatten(1).sum(dim=1)
            target = best + _wide(share[rows]) * (_wide(height) * normal - best)
            lengths = _norms(target)
            # On the way through the target, as far as the best so far reaches: whether that is still across.
            reach = (self._norms[rows] / lengths.clamp(min=torch.finfo(torch.float64).tiny)).to(target.dtype)
            direction = target * _wide(reach)
            across = self._flips(direction, rows) & (height > 0) & direction.flatten(1).isfinite().all(dim=1)
            gained = rows[across]
            if len(gained):
                high = torch.ones(len(gained), device=direction.device)
                # The foot itself is not yet across where the border is straight.
                low = (0.98 * height[across] / self._norms[gained]).clamp(0, 1).to(high.dtype)
                low[self._flips(_wide(low) * direction[across], gained)] = 0
                before = self._norms[gained]
                self._keep(gained, self._bisected(direction[across], low, high, gained, _BISECTIONS_OF_STEP))
                share[gained[self._norms[gained] < before]] *= 1.5
                share[gained[self._norms[gained] >= before]] /= 2
            share[rows[~across]] /= 2
            share.clamp_(max=1.0)
            rows = rows[share[rows] > 1e-3]

    def _keep(self, rows: Tensor, perturbation: Tensor) -> None:
        """Take flips of the images in `rows` where they are shorter."""
        norms = _norms(perturbation)
        shorter = norms < self._norms[rows]
        self._best[rows[shorter]], self._norms[rows[shorter]] = perturbation[shorter], norms[shorter]

    def _bisected(self, direction: Tensor, low: Tensor, high: Tensor, rows: Tensor, times: int) -> Tensor:
        """A flip near the border between `low`, where there is none, and `high`, where there is, in lengths."""
        for _ in range(times):
            middle = (low + high) / 2
            flipped = self._flips(_wide(middle) * direction, rows)
            high, low = torch.where(flipped, middle, high), torch.where(flipped, low, middle)
        return _wide(high) * direction

    def _flips(self, perturbation: Tensor, rows: Tensor | None = None) -> Tensor:
        """Whether the prediction of the images in `rows`, all where None, changes under their perturbations."""
        images = self._images if rows is None else self._images[rows]
        original = self._original if rows is None else self._original[rows]
        return _predicted(self._logits_of, images + perturbation) != original

    def _normal(self, rows: Tensor) -> Tensor:
        """The direction in which the class across the border gains most on the original one, of norm 1."""
        at = (self._images[rows] + self._best[rows]).detach().requires_grad_()
        logits = self._logits_of(at)
        original = self._original[rows]
        across = logits.detach().scatter(1, original[:, None], -torch.inf).argmax(dim=1)
        gap = logits.gather(1, across[:, None]) - logits.gather(1, original[:, None])
        (gradient,) = torch.autograd.grad(gap.sum(), at)
        norms = _norms(gradient)
        # Without a gradient there is no border to follow: then the step fails, and the image is left where it is.
        return gradient / _wide(norms.clamp(min=torch.finfo(gradient.dtype).tiny).to(gradient.dtype))


def _norms(perturbation: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(perturbation.double().flatten(1), dim=1)
    return norms


def _wide(values: Tensor) -> Tensor:
    """(images,) as (images, 1, 1, 1)."""
    return values[:, None, None, None]
