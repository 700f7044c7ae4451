"""Supervised contrastive loss: features of one class are drawn together, those of others pushed away."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

SMALLEST_NORM = 1e-7
"""Features are divided by this at least, so that a vector of zeros has a finite gradient."""


def supervised_contrastive_loss(
    features: Tensor, labels: Tensor, temperature: float, rows: slice = slice(None)
) -> Tensor:
    """Mean over images of the negative log-probability of the other images of their class (arXiv 2004.11362, eq. 2).

    features: (batch, dim), scaled to length 1 here. labels: (batch,). Returns a scalar in float32 (float64 for
    float64), also under autocast. The probability of an image is its share among all others of the batch in
    exp(cosine / temperature); its logarithm is averaged over the other images of the class.

    An image that is alone of its class counts 0 in the mean, as in the code of arXiv 2310.08224; it still repels the
    others. A batch without any two images of one class has loss 0 and gradient 0.

    rows: of the images that the mean is over; all by default. The others are still attracted and repelled by them.
    """
    with torch.autocast(features.device.type, enabled=False):
        lifted = features.float() if features.dtype.itemsize < 4 else features
        directions = normalize(lifted, dim=1, eps=SMALLEST_NORM)
        similarities = directions[rows] @ directions.T / temperature
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)[rows]
    partners = (labels[rows, None] == labels[None, :]) & ~itself
    others = similarities.masked_fill(itself, -torch.inf)
    log_shares = similarities - others.logsumexp(dim=1, keepdim=True)
    sums = log_shares.where(partners, 0.0).sum(dim=1)
    return -(sums / partners.sum(dim=1).clamp(min=1)).mean()
