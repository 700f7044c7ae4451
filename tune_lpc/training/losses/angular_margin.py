"""ArcFace and CosFace: cross-entropy of scaled cosines, after a margin has made the true class harder to reach."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import cross_entropy

SMALLEST_SQUARE = 1e-12
"""Floor of sine squared: where the sine is 0 its slope is infinite, and here the floor's, which is 0."""


def arcface_loss(cosines: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """Additive angular margin: the true class's angle theta counts as theta + margin (Deng et al., arXiv 1801.07698).

    cosines: (batch, classes), between representations and class weights. labels: (batch,). margin: in radians.
    Returns a scalar in float32 (float64 for float64), with finite gradients for cosines from -1 to 1.

    The margin applies to every angle (no "easy margin"). Beyond pi - margin, where cos(theta + margin) would rise
    again, the authors' code takes cos(theta) - margin * sin(margin) instead, and so do we; the code of
    arXiv 2310.08224 also cuts this at -1, which leaves the worst images without a gradient from their own class.
    """
    cosines = _lifted(cosines)
    true = cosines.gather(1, labels[:, None])
    # (1 - c)(1 + c) loses no digits near 1, where 1 - c * c does.
    sine = ((1.0 - true) * (1.0 + true)).clamp(min=SMALLEST_SQUARE).sqrt()
    moved = true * math.cos(margin) - sine * math.sin(margin)
    continued = true - margin * math.sin(margin)
    return _scaled_cross_entropy(cosines, moved.where(true > -math.cos(margin), continued), labels, scale)


def cosface_loss(cosines: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """Large margin cosine loss: the true class's cosine counts as cosine - margin.

    Source: Wang et al., arXiv 1801.09414, eq. 4.
    cosines: (batch, classes), between representations and class weights. labels: (batch,).
    Returns a scalar in float32 (float64 for float64).
    """
    cosines = _lifted(cosines)
    return _scaled_cross_entropy(cosines, cosines.gather(1, labels[:, None]) - margin, labels, scale)


def _scaled_cross_entropy(cosines: Tensor, true: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Cross-entropy of the cosines (batch, classes) with those of the true classes replaced by `true` (batch, 1)."""
    return cross_entropy(scale * cosines.scatter(1, labels[:, None], true), labels)


def _lifted(cosines: Tensor) -> Tensor:
    return cosines.float() if cosines.dtype.itemsize < 4 else cosines
