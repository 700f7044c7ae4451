"""Neural collapse: NC1 to NC4 of the penultimate representations (Papyan et al., PNAS 2020, arXiv 2008.08186).

All take z: (points, dim) and grouping: (points,) whole numbers, the class of each point by its true or its predicted
label. Class means are centred by the mean of all points. Computed in float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import Classes, MeasureError, direct_distances, in_float64

_RANK_TOLERANCE = 1e-10


def nc1(z: Tensor, grouping: Tensor) -> float:
    """Within-class variability collapse NC1 = tr(S_W pinv(S_B)) / C; 0 for collapsed classes.

    S_W is the mean over classes of the within-class covariance (n - 1 in its denominator), S_B the mean over classes
    of the outer product of the centred class means, C the number of classes present. No dim x dim matrix is built.

    Raises MeasureError for fewer than two classes, a class of one point, values that are not finite, or class means
    that coincide.
    """
    classes = Classes.of("NC1", z, grouping, at_least=2)
    # S_B = M'M / C with M the centred means, so tr(S_W pinv(S_B)) is C times the spread seen through pinv(M).
    seen = classes.deviations @ torch.linalg.pinv(classes.means, rtol=_RANK_TOLERANCE)
    per_point = seen.square().sum(dim=1) / (classes.counts[classes.group] - 1)
    return float(per_point.sum() / classes.counts.numel())


def nc2_equinorm(z: Tensor, grouping: Tensor) -> float:
    """Spread of the distances of the class means to the global mean: their deviation over their mean.

    Raises MeasureError for fewer than two classes, values that are not finite, or class means that coincide.
    """
    norms = Classes.of("NC2", z, grouping).distances_to_centre
    return float(norms.std(correction=0) / norms.mean())


def nc2_equiangular(z: Tensor, grouping: Tensor) -> float:
    """Standard deviation of the cosines between the centred class means, over all pairs of classes.

    Raises MeasureError as `nc2_equinorm`, and for a class mean at the global mean, which has no direction.
    """
    return float(_cosines(z, grouping).std(correction=0))


def nc2_max_angle(z: Tensor, grouping: Tensor) -> float:
    """Mean over all pairs of classes of |cos + 1/(C - 1)|, the gap to the largest angle that C classes can have.

    Raises MeasureError as `nc2_equiangular`.
    """
    cosines = _cosines(z, grouping)
    classes = grouping.unique().numel()
    return float((cosines + 1 / (classes - 1)).abs().mean())


def nc3_self_duality(z: Tensor, grouping: Tensor, output_weight: Tensor) -> float:
    """Squared distance of the classifier and the centred class means M, each of Frobenius norm 1.

    output_weight: (classes, dim), the weight W of the output layer, its rows in the order of the class numbers.
    ||W/||W|| - M/||M||||^2, between 0 (W is parallel to M) and 4.

    Raises MeasureError as `nc2_equinorm`, and where a class has no point or the weight is 0 or not finite.
    """
    classes = Classes.of("NC3", z, grouping)
    weight = in_float64("NC3", output_weight)
    if not torch.equal(classes.names.cpu(), torch.arange(len(weight))):
        raise MeasureError(f"NC3 needs a point of each of {len(weight)} classes, but found {classes.names.numel()}")
    size = torch.linalg.vector_norm(weight)
    if not bool(size > 0):
        raise MeasureError("NC3 needs an output layer with a weight, but all of its weights are 0")
    centred = classes.means
    return float((weight / size - centred / torch.linalg.vector_norm(centred)).square().sum())


def nc4_disagreement(z: Tensor, grouping: Tensor, logits: Tensor) -> float:
    """Share of points on which the nearest class mean and the classifier disagree.

    logits: (points, classes), their columns in the order of the class numbers.
    Raises MeasureError as `nc2_equinorm`, and for logits that are not finite.
    """
    classes = Classes.of("NC4", z, grouping)
    nearest = classes.names[direct_distances(classes.z, classes.means).argmin(dim=1)]
    predicted = in_float64("NC4", logits).argmax(dim=1)
    return float((nearest != predicted).double().mean())


def _cosines(z: Tensor, grouping: Tensor) -> Tensor:
    """(pairs,) the cosine between the centred means of each pair of classes."""
    classes = Classes.of("NC2", z, grouping)
    norms = classes.distances_to_centre
    if not bool((norms > classes.rounding).all()):
        raise MeasureError("NC2 needs the direction of each class mean, but one lies at the mean of all points")
    directions = classes.means / norms[:, None]
    cosines = directions @ directions.T
    one, other = torch.triu_indices(len(cosines), len(cosines), 1, device=z.device)
    return cosines[one, other]
