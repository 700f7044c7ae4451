"""How well the nearest training representations foretell the class."""

from __future__ import annotations

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import MeasureError, in_float64
from tune_lpc.training.measures.neighbours import nearest


def knn_accuracy(z: Tensor, labels: Tensor, training_z: Tensor, training_labels: Tensor, neighbours: int) -> float:
    """Share of points whose class is that of most of their nearest training points (Euclidean distances).

    z: (points, dim) with true class numbers labels: (points,). training_z: (n, dim), training_labels: (n,).
    Of training points equally far the first ones count as nearer. Where several classes have most votes, the one whose
    nearest point is nearest wins.

    Raises MeasureError for values that are not finite, or fewer training points than neighbours.
    """
    return vote_accuracy(neighbour_labels(z, training_z, training_labels, neighbours), labels, neighbours)


def neighbour_labels(z: Tensor, training_z: Tensor, training_labels: Tensor, most: int) -> Tensor:
    """Labels (points, neighbours) of the nearest training points of each of z, the nearest first.

    So many as `most`, or as there are training points. Raises MeasureError for values that are not finite.
    """
    z, training_z = in_float64("the accuracy of neighbours", z), in_float64("the accuracy of neighbours", training_z)
    return training_labels[nearest(z, training_z, min(most, len(training_z))).rows]


def vote_accuracy(of_neighbours: Tensor, labels: Tensor, neighbours: int) -> float:
    """As `knn_accuracy`, from the labels of neighbours (points, neighbours or more), the nearest first.

    Raises MeasureError where there are fewer than `neighbours`.
    """
    if of_neighbours.shape[1] < neighbours:
        found = of_neighbours.shape[1]
        raise MeasureError(f"the accuracy of {neighbours} neighbours needs as many training points, but found {found}")
    of_neighbours = of_neighbours[:, :neighbours]
    votes = of_neighbours.new_zeros(len(labels), int(of_neighbours.max()) + 1)
    votes.scatter_add_(1, of_neighbours, torch.ones_like(of_neighbours))
    leads = votes.gather(1, of_neighbours) == votes.amax(dim=1, keepdim=True)
    # The nearest point of a class that leads; of equal values, argmax takes the first.
    first = leads.long().argmax(dim=1, keepdim=True)
    return float((of_neighbours.gather(1, first)[:, 0] == labels).double().mean())
