"""How far the penultimate representations of a class have collapsed (Papyan et al., arXiv 2008.08186)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_RANK_TOLERANCE = 1e-10


class MeasureError(ValueError):
    """A measure can't be computed on these representations; the message says why."""


def nc1(z: Tensor, grouping: Tensor) -> float:
    """Within-class variability collapse NC1 = tr(S_W pinv(S_B)) / C.

    z: (points, dim). grouping: (points,) whole numbers, the label of each point, true or predicted.
    S_W is the mean over classes of the within-class covariance (n - 1 in its denominator), S_B the mean over classes
    of the outer product of the centred class means, C the number of classes present. Computed in float64, without a
    dim x dim matrix.

    Raises MeasureError for fewer than two classes, a class of one point, values that are not finite, or class means
    that coincide.
    """
    if not bool(torch.isfinite(z).all()):
        raise MeasureError("NC1 needs finite representations, but some are infinite or not a number")
    _, group = grouping.unique(return_inverse=True)
    counts = torch.bincount(group).to(torch.float64)
    classes = counts.numel()
    if classes < 2:
        raise MeasureError(f"NC1 needs at least two classes, but found {classes}")
    if bool((counts < 2).any()):
        raise MeasureError("NC1 needs at least two points of each class, but a class has one")
    z = z.to(torch.float64)
    means = torch.zeros(classes, z.shape[1], dtype=z.dtype, device=z.device).index_add_(0, group, z) / counts[:, None]
    # The global mean is that of the points, so that the formula holds for classes of unequal size.
    centred = means - z.mean(dim=0)
    if not bool(centred.abs().max() > torch.finfo(torch.float32).tiny):
        raise MeasureError("NC1 needs class means that differ, but they coincide")
    # S_B = M'M / C with M the centred means, so tr(S_W pinv(S_B)) is C times the spread seen through pinv(M).
    seen = (z - means[group]) @ torch.linalg.pinv(centred, rtol=_RANK_TOLERANCE)
    spread = (seen.square().sum(dim=1) / (counts[group] - 1)).sum() / classes
    return float(spread)


def mean_norm(z: Tensor) -> float:
    """Mean Euclidean norm of the rows of z (points, dim); MeasureError when that is not finite."""
    norm = float(torch.linalg.vector_norm(z.to(torch.float64), dim=1).mean())
    if not math.isfinite(norm):
        raise MeasureError("the mean norm needs finite representations, but some are infinite or not a number")
    return norm
