"""Robust accuracy under projected gradient descent (Madry et al., ICLR 2018, arXiv 1706.06083)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from tune_lpc.training.measures.checks import MeasureError, images_at_once, in_float64
from tune_lpc.training.measures.margin_gradient import margin_of

Ball = Literal["l2", "linf"]

EPSILON: dict[Ball, float] = {"l2": 0.5, "linf": 8 / 255}
"""Radius of the ball, in pixel units: a pixel is between 0 and 1."""

STEPS = 20
_STEP_SHARE = 2.5
"""A step is so many times epsilon / steps: all steps together could cross the ball and some more."""

_TINY = 1e-30


def pgd_accuracy(
    logits_of: Callable[[Tensor], Tensor],
    inputs: Tensor,
    labels: Tensor,
    pixel_deviation: Tensor,
    ball: Ball,
    *,
    epsilon: float | None = None,
    steps: int = STEPS,
    pixel_mean: Tensor | None = None,
    seed: int = 0,
    batch_size: int = 256,
) -> float:
    """Share of images that stay rightly classified at every point of an attack within the ball.

    logits_of: differentiable, normalised images (images, channels, height, width) to logits (images, classes), each
    image by itself. labels: (images,) class numbers. pixel_deviation, pixel_mean: (channels,) of the normalisation
    (pixel - mean) / deviation. epsilon: in pixel units, by default 0.5 for L2 and 8/255 for L-infinity; the step is
    2.5 epsilon / steps: 0.0625 and 1/255 for 20 steps. With `pixel_mean` the pixels stay between 0 and 1; without,
    they may leave that range, and the attack is a little stronger.

    The attack starts at random in the ball (by `seed`, once) and descends the margin, true logit less best other logit.
    Cross-entropy would not do: with large margins, as collapsed networks have, its float32 gradient is 0.

    Raises MeasureError for inputs or logits that are not finite, no image, or one class only.
    """
    in_float64("the robust accuracy", inputs)
    radius = EPSILON[ball] if epsilon is None else epsilon
    generator = torch.Generator().manual_seed(seed)
    deviation = pixel_deviation.to(inputs)[:, None, None]
    mean = None if pixel_mean is None else pixel_mean.to(inputs)[:, None, None]
    standing = 0
    size = images_at_once(inputs, batch_size)
    with torch.inference_mode(False), torch.enable_grad():
        for images, own in zip(inputs.split(size), labels.split(size), strict=True):
            attack = _Attack(logits_of, ball, radius, _STEP_SHARE * radius / steps, deviation.clone(), mean)
            standing += attack.survivors(images.clone(), own.clone(), steps, generator)
    return standing / len(inputs)


class _Attack:
    def __init__(
        self,
        logits_of: Callable[[Tensor], Tensor],
        ball: Ball,
        radius: float,
        step: float,
        deviation: Tensor,
        mean: Tensor | None,
    ) -> None:
        self._logits_of = logits_of
        self._ball = ball
        self._radius = radius
        self._step = step
        self._deviation = deviation
        self._mean = mean

    def survivors(self, images: Tensor, labels: Tensor, steps: int, generator: torch.Generator) -> int:
        """How many images are right at first and after every step; those that fall are left out at once."""
        shift = self._allowed(images, self._start(images, generator))
        with torch.no_grad():
            rows = (self._margin(images, labels) > 0).nonzero()[:, 0]
        images, labels, shift = images[rows], labels[rows], shift[rows]
        for step in range(steps + 1):
            if not len(images):
                break
            shift.requires_grad_()
            margin = self._margin(images + shift / self._deviation, labels)
            right = margin.detach() > 0
            if step < steps:
                (gradient,) = torch.autograd.grad(margin.sum(), shift)
                shift = self._allowed(images, self._within(shift.detach() - self._step * self._direction(gradient)))
            images, labels, shift = images[right], labels[right], shift.detach()[right]
        return len(images)

    def _margin(self, images: Tensor, labels: Tensor) -> Tensor:
        logits = self._logits_of(images)
        if not bool(torch.isfinite(logits).all()):
            raise MeasureError("the robust accuracy needs finite logits, but some are infinite or not a number")
        return margin_of(logits, labels)

    def _start(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A uniform draw from the ball for each image; drawn on the CPU, so that a GPU starts at the same place."""
        if self._ball == "linf":
            share = 2 * torch.rand(images.shape, generator=generator) - 1
            return self._radius * share.to(images)
        towards = torch.randn(images.shape, generator=generator)
        length = torch.rand(len(images), generator=generator) ** (1 / images[0].numel())
        return (self._radius * length[:, None, None, None] * towards / _norms(towards)).to(images)

    def _direction(self, gradient: Tensor) -> Tensor:
        return gradient.sign() if self._ball == "linf" else gradient / _norms(gradient)

    def _within(self, shift: Tensor) -> Tensor:
        if self._ball == "linf":
            return shift.clamp(-self._radius, self._radius)
        return shift * (self._radius / _norms(shift)).clamp(max=1)

    def _allowed(self, images: Tensor, shift: Tensor) -> Tensor:
        """The part of the shift that keeps the pixels between 0 and 1; all of it where the mean is not known."""
        if self._mean is None:
            return shift
        pixels = images * self._deviation + self._mean
        return (pixels + shift).clamp(0, 1) - pixels


def _norms(images: Tensor) -> Tensor:
    """(images, 1, 1, 1) the norm of each image, never 0."""
    norms: Tensor = torch.linalg.vector_norm(images.flatten(1), dim=1).clamp_min(_TINY)
    return norms[:, None, None, None]
