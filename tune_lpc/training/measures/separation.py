"""How far the classes lie apart among the representations."""

from __future__ import annotations

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import Classes, MeasureError, direct_distances


def distance_margin(z: Tensor, grouping: Tensor) -> float:
    """Mean over points of the distance to the nearest other class mean over the distance to the own class mean.

    z: (points, dim). grouping: (points,) the class of each point. It does not change when z is scaled, moved or turned.

    Raises MeasureError for fewer than two classes, values that are not finite, class means that coincide, or a point
    that lies at the mean of its class (a class of one point does), where the ratio has no value.
    """
    classes = Classes.of("the distance margin", z, grouping)
    distances = direct_distances(classes.z, classes.means)
    own_column = classes.group[:, None]
    own = distances.gather(1, own_column)[:, 0]
    at_mean = int((own <= 0).sum())
    if at_mean:
        raise MeasureError(f"the distance margin needs a distance to the class mean, but {at_mean} points lie at it")
    other = distances.scatter(1, own_column, torch.inf).amin(dim=1)
    return float((other / own).mean())
