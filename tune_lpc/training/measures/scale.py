"""The scale of the representations z (points, dim), and how it varies. Computed in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import Classes, MeasureError, in_float64


def mean_norm(z: Tensor) -> float:
    """Mean Euclidean norm of the rows of z (points, dim); MeasureError when they are not finite."""
    return float(_norms("the mean norm", z).mean())


def norm_variation(z: Tensor) -> float:
    """Coefficient of variation of the norms of the rows of z: their standard deviation over their mean.

    Raises MeasureError for values that are not finite, or all 0.
    """
    return _variation("the variation of the norm", _norms("the variation of the norm", z))


def entry_variation(z: Tensor) -> float:
    """Coefficient of variation of the absolute values of all entries of z.

    Raises MeasureError for values that are not finite, or all 0.
    """
    return _variation("the variation of the entries", in_float64("the variation of the entries", z).abs())


def within_class_covariance(z: Tensor, grouping: Tensor) -> float:
    """Mean of the entries of S_W, the mean over classes of the within-class covariance (n - 1 in its denominator).

    grouping: (points,) the class of each point. In the unit of z squared; `sigma_w` in the code of arXiv 2310.08224.
    It is the mean over classes of the variance of the mean entry of z, so it is never negative; it depends on the axes.

    Raises MeasureError for fewer than two classes, a class of one point, values that are not finite, or class means
    that coincide.
    """
    classes = Classes.of("the within-class covariance", z, grouping, at_least=2)
    # The sum of the entries of a covariance is the variance of the sum of the coordinates.
    squares = classes.deviations.mean(dim=1).square()
    return float((squares / (classes.counts[classes.group] - 1)).sum() / classes.counts.numel())


def within_class_covariance_relative(z: Tensor, grouping: Tensor) -> float:
    """`within_class_covariance` over the mean squared norm of the rows of z: it does not change when z is scaled."""
    covariance = within_class_covariance(z, grouping)
    return covariance / float(z.detach().to(torch.float64).square().sum(dim=1).mean())


def _norms(measure: str, z: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(in_float64(measure, z), dim=1)
    return norms


def _variation(measure: str, values: Tensor) -> float:
    mean = values.mean()
    if not bool(mean > 0):
        raise MeasureError(f"{measure} needs representations other than 0, but all are 0")
    return float(values.std(correction=0) / mean)
