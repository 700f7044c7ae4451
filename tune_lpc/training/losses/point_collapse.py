"""Latent point collapse: a strong L2 penalty on the penultimate representation."""

from __future__ import annotations

from torch import Tensor


def point_collapse_penalty(z: Tensor, convention: str = "mean") -> Tensor:
    """Mean over the batch of z squared, times gamma the penalty of latent point collapse (arXiv 2310.08224).

    z: (batch, dim). convention "mean" also takes the mean over the dimensions, as the paper's code does, so that the
    weight on the squared norm is gamma / dim; "sum" takes the sum, so that it is gamma.
    Returns a scalar in float32 (float64 for float64), whatever the precision of the network.

    Raises ValueError for another convention.
    """
    squares = z.float().square() if z.dtype.itemsize < 4 else z.square()
    if convention == "mean":
        return squares.mean()
    if convention == "sum":
        return squares.sum(dim=1).mean()
    raise ValueError(f"convention is {convention!r}, but must be 'mean' or 'sum'")
