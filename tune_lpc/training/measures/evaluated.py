"""What the measures see of a trained network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from tune_lpc.training.measures.binarity import Binarity, binarity
from tune_lpc.training.measures.checks import MeasureError
from tune_lpc.training.measures.deepfool import Fooling, deepfool
from tune_lpc.training.measures.knn import neighbour_labels
from tune_lpc.training.measures.margin_gradient import MarginGradient, margin_gradient
from tune_lpc.training.measures.shortest_flip import ShortestFlip, shortest_flip

MOST_NEIGHBOURS = 200
"""Of which a measure may ask."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What a trained network gives on validation data.

    z: (points, dim) penultimate representations. labels: (points,) true class numbers. logits: (points, classes).
    output_weight: (classes, dim). inputs: (images, channels, height, width) normalised images, 1,000 at most, and
    input_labels: (images,). logits_of: normalised images to logits, differentiable, as in evaluation, each image by
    itself, in float32 or better (steps of an attack are smaller than the rounding of bfloat16).
    pixel_deviation, pixel_mean: (channels,) of the normalisation, in pixel units 0...1.
    training: called for the representations of the training images (n, dim), not augmented, in float32 or better, and
    their labels (n,); few measures need them.

    What several measures share is computed when the first of them asks for it, and kept.
    """

    z: Tensor
    labels: Tensor
    logits: Tensor
    output_weight: Tensor
    inputs: Tensor
    input_labels: Tensor
    logits_of: Callable[[Tensor], Tensor]
    pixel_deviation: Tensor
    pixel_mean: Tensor | None = None
    training: Callable[[], tuple[Tensor, Tensor]] | None = None

    @cached_property
    def binarity(self) -> Binarity:
        """The mixtures fitted to the dimensions of z."""
        return binarity(self.z)

    @cached_property
    def fooling(self) -> Fooling:
        """DeepFool on the images."""
        return deepfool(self.logits_of, self.inputs)

    @cached_property
    def flip(self) -> ShortestFlip:
        """The shortest flips of the images."""
        return shortest_flip(self.logits_of, self.inputs, self.fooling)

    @cached_property
    def neighbour_labels(self) -> Tensor:
        """Labels (points, 200, or as many as there are) of the training points nearest to each of z, nearest first.

        Raises MeasureError where there are no training representations.
        """
        if self.training is None:
            raise MeasureError("the accuracy of neighbours needs the training representations, but they are not given")
        training_z, training_labels = self.training()
        return neighbour_labels(self.z, training_z, training_labels, MOST_NEIGHBOURS)

    @cached_property
    def margin_gradient(self) -> MarginGradient:
        """The margins of the images and the norms of their gradients."""
        return margin_gradient(self.logits_of, self.inputs, self.input_labels)
