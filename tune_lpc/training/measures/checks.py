"""What every measure asks of its input first, and the class means that several of them share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SAME = 1e-12
"""Means closer than this share of the largest entry coincide: their difference is rounding."""


class MeasureError(ValueError):
    """A measure can't be computed on what it was given; the message says why."""


def in_float64(measure: str, values: Tensor) -> Tensor:
    """`values` (points, ...) as float64; MeasureError when there are none, or some are not finite."""
    if values.numel() == 0:
        raise MeasureError(f"{measure} needs at least one point, but found none")
    values = values.detach().to(torch.float64)
    if not bool(torch.isfinite(values).all()):
        raise MeasureError(f"{measure} needs finite values, but some are infinite or not a number")
    return values


def images_at_once(inputs: Tensor, batch_size: int) -> int:
    """How many of the images (images, channels, height, width) to attack at once: `batch_size` of 32 x 32 pixels, and
    fewer of larger ones, whose activations are all kept for the gradients.
    """
    return max(1, min(batch_size, batch_size * 32 * 32 // (inputs.shape[-1] * inputs.shape[-2])))


def direct_distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean distances (points, others) of the rows of `one` and `other`, from their differences.

    The usual shortcut through a matrix product takes small differences of large numbers, which leaves nothing of the
    distances within a collapsed class.
    """
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(frozen=True, eq=False)
class Classes:
    """Points z (points, dim) in float64, less the mean of all points, with the classes that they form.

    names: (classes,) the values of the grouping that occur. group: (points,) the row of each point's class in `names`,
    `counts` (classes,), `means` (classes, dim). rounding: a distance that is no more than rounding at the scale of the
    points as they came.
    """

    z: Tensor
    names: Tensor
    group: Tensor
    counts: Tensor
    means: Tensor
    rounding: float

    @classmethod
    def of(cls, measure: str, z: Tensor, grouping: Tensor, at_least: int = 1) -> Classes:
        """The classes of z (points, dim) by `grouping` (points,).

        Raises MeasureError for values that are not finite, fewer than two classes, a class of fewer than `at_least`
        points, or class means that all coincide.
        """
        z = in_float64(measure, z)
        names, group = grouping.to(z.device).unique(return_inverse=True)
        counts = torch.bincount(group).to(torch.float64)
        classes = counts.numel()
        if classes < 2:
            raise MeasureError(f"{measure} needs at least two classes, but found {classes}")
        if bool((counts < at_least).any()):
            raise MeasureError(f"{measure} needs at least two points of each class, but a class has one")
        rounding = _SAME * float(z.abs().max())
        # The global mean is that of the points, so that the formulas hold for classes of unequal size. It is taken off
        # first, and what rounding left of it once more: else points crushed to an offset are all rounding.
        z = z - z.mean(dim=0)
        z = z - z.mean(dim=0)
        sums = torch.zeros(classes, z.shape[1], dtype=z.dtype, device=z.device).index_add_(0, group, z)
        found = cls(z, names, group, counts, sums / counts[:, None], rounding)
        if not bool((found.distances_to_centre > found.rounding).any()):
            raise MeasureError(f"{measure} needs class means that differ, but they coincide")
        return found

    @property
    def distances_to_centre(self) -> Tensor:
        """(classes,) the distance of each class mean to the mean of all points."""
        norms: Tensor = torch.linalg.vector_norm(self.means, dim=1)
        return norms

    @property
    def deviations(self) -> Tensor:
        """(points, dim) each point less the mean of its class."""
        return self.z - self.means[self.group]
