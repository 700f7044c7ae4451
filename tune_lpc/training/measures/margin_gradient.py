"""How steep the margin of a network is in its input: an estimate of its local Lipschitz constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import MeasureError, images_at_once, in_float64


@dataclass(frozen=True, eq=False)
class MarginGradient:
    """Of each image: margin (images,), in logits, and norm (images,) of its gradient; float64."""

    margin: Tensor
    norm: Tensor

    @property
    def mean_margin(self) -> float:
        """Mean over images of |margin|; MeasureError when that is 0."""
        mean = float(self.margin.abs().mean())
        if mean == 0:
            raise MeasureError("the relative margin gradient needs a margin, but it is 0 at every image")
        return mean


def margin_of(logits: Tensor, labels: Tensor) -> Tensor:
    """(images,) the logit of the true class less the best other one: positive where the network is right.

    logits: (images, classes), two classes or more. labels: (images,) class numbers.
    """
    if logits.shape[1] < 2:
        raise MeasureError("a margin needs at least two classes, but the network has one")
    own = labels[:, None]
    return logits.gather(1, own)[:, 0] - logits.scatter(1, own, -torch.inf).amax(dim=1)


def margin_gradient(
    logits_of: Callable[[Tensor], Tensor], inputs: Tensor, labels: Tensor, batch_size: int = 256
) -> MarginGradient:
    """Norm, over inputs (images, channels, height, width), of the gradient of (true logit - best other logit).

    logits_of: differentiable, (images, channels, height, width) to (images, classes), each image by itself.
    labels: (images,) class numbers.

    Raises MeasureError for inputs, logits or gradients that are not finite, no image, or one class only.
    """
    in_float64("the margin gradient", inputs)
    margins, gradients = [], []
    size = images_at_once(inputs, batch_size)
    with torch.inference_mode(False), torch.enable_grad():
        for images, own in zip(inputs.split(size), labels.split(size), strict=True):
            images = images.clone().requires_grad_()
            margin = margin_of(logits_of(images), own.clone())
            (gradient,) = torch.autograd.grad(margin.sum(), images)
            margins.append(margin.detach().double())
            gradients.append(torch.linalg.vector_norm(gradient.double().flatten(1), dim=1))
    norm = in_float64("the margin gradient", torch.cat(gradients))
    return MarginGradient(in_float64("the margin gradient", torch.cat(margins)), norm)
