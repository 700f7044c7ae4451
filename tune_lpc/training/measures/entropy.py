"""Differential entropy of the representations, from the distances to neighbours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import MeasureError, in_float64
from tune_lpc.training.measures.neighbours import nearest

NEIGHBOURS = 20


def entropy(z: Tensor, neighbours: int = NEIGHBOURS) -> float:
    """Differential entropy per dimension of standardised z; it does not change when a dimension is scaled or shifted.

    As `entropy_raw`, after each dimension was brought to mean 0 and variance 1 over all points.
    Raises MeasureError as `entropy_raw`, and for a dimension that is constant.
    """
    return entropy_raw(standardised("the entropy", z), neighbours)


def entropy_raw(z: Tensor, neighbours: int = NEIGHBOURS) -> float:
    """Kozachenko-Leonenko estimate of the differential entropy of z (points, dim), over dim; natural logarithm.

    (psi(n) - psi(k) + log V + dim * mean(log r)) / dim, with k the number of neighbours, r the distance of a point to
    its k-th neighbour, V the volume of the unit ball and psi the digamma function.

    Raises MeasureError for values that are not finite, no more points than neighbours, or a point with k duplicates,
    whose distance is 0 and has no logarithm.
    """
    z = in_float64("the entropy", z)
    points, dim = z.shape
    if points <= neighbours:
        raise MeasureError(f"the entropy needs more than {neighbours} points, its number of neighbours, found {points}")
    distance = neighbour_distances(z, neighbours)
    duplicates = int((distance == 0).sum())
    if duplicates:
        raise MeasureError(
            f"the entropy needs points that differ, but {duplicates} of {points} equal their {neighbours} nearest"
            " neighbours (a distance of 0 has no logarithm)"
        )
    counts = torch.tensor([points, neighbours], dtype=torch.float64).digamma()
    log_volume = dim / 2 * math.log(math.pi) - math.lgamma(dim / 2 + 1)
    return (float(counts[0] - counts[1]) + log_volume) / dim + float(distance.log().mean())


def neighbour_distances(z: Tensor, neighbours: int) -> Tensor:
    """(points,) the distance of each row of z (points, dim) to its k-th nearest other row, exact to rounding."""
    # The point itself is among its neighbours at distance 0, hence one more.
    return nearest(z, z, neighbours + 1).distances[:, -1]


def standardised(measure: str, z: Tensor) -> Tensor:
    """z (points, dim) in float64 with each dimension at mean 0 and variance 1; MeasureError for a constant one."""
    z = in_float64(measure, z)
    constant = (z.amax(dim=0) == z.amin(dim=0)).nonzero().flatten().tolist()
    if constant:
        raise MeasureError(
            f"{measure} needs dimensions that vary, but {len(constant)} of {z.shape[1]} are constant, the first is"
            f" number {constant[0]}"
        )
    return (z - z.mean(dim=0)) / z.std(dim=0, correction=0)
