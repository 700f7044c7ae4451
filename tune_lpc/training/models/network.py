"""A classifier that also returns its penultimate representation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.settings import in_effect
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.brought.backbones import brought_backbone
from tune_lpc.training.models.activations import ACTIVATIONS
from tune_lpc.training.models.backbones import BACKBONES

SMALLEST_NORM = 1e-7
"""Vectors are divided by this at least, so that the cosine of a vector of zeros, and its gradient, stay finite."""


class Output(NamedTuple):
    """What a network says of a batch, all in float32 (float64 for a network in float64).

    logits: (batch, classes). z: (batch, penultimate_width), the penultimate representation, before any dropout.
    features: (batch, features) of the backbone; the same as z without a penultimate layer.
    """

    logits: Tensor
    z: Tensor
    features: Tensor


class Network(nn.Module):
    """Backbone, penultimate layer ("linear", "nonlinear" or "none"), linear output layer.

    dropout: share of the dimensions of z that the output layer does not see, in training only.
    cosine_output: logits are cosines between z and the weights of each class, for ArcFace and CosFace; no bias.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        classes: int,
        head: str,
        width: int | None,
        activation: str | None,
        dropout: float = 0.0,
        cosine_output: bool = False,
    ):
        super().__init__()
        self.backbone = backbone
        self.penultimate: nn.Module = nn.Identity()
        self.penultimate_width = features
        if head != "none":
            assert width is not None
            self.penultimate_width = width
            self.penultimate = nn.Linear(features, width)
            if head == "nonlinear":
                assert activation is not None
                self.penultimate = nn.Sequential(self.penultimate, ACTIVATIONS[activation]())
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.cosine_output = cosine_output
        self.output = nn.Linear(self.penultimate_width, classes, bias=not cosine_output)

    def forward(self, images: Tensor) -> Output:
        """images (batch, channels, height, width) to logits, z and features.

        Under autocast only the backbone runs in low precision: z of a collapsed class differs by less than
        bfloat16 can hold.
        """
        features = self.backbone(images)
        with torch.autocast(images.device.type, enabled=False):
            features = features.float() if features.dtype.itemsize < 4 else features
            z = self.penultimate(features)
            return Output(self._logits(self.dropout(z)), z, features)

    def _logits(self, z: Tensor) -> Tensor:
        if not self.cosine_output:
            logits: Tensor = self.output(z)
            return logits
        weights = normalize(self.output.weight, dim=1, eps=SMALLEST_NORM)
        # Rounding takes the cosine of parallel vectors a little beyond 1.
        return linear(normalize(z, dim=1, eps=SMALLEST_NORM), weights).clamp(-1.0, 1.0)


def build_network(spec: TrialSpec, classes: int, channels: int, side: int, code: OwnCode = NO_CODE) -> Network:
    """The network that `spec` describes, for square images of `side` pixels; initialised from torch's random state.

    With classification "arcface" or "cosface" its logits are cosines, to which the loss adds margin and scale.
    code: of the user's own, where the network is.
    Raises UserError for a network of other packages or of the user's own that is not there or does not work.
    """
    if spec.network in BACKBONES:
        backbone, features = BACKBONES[spec.network](channels, side, in_effect(spec.activation))
    else:
        backbone, features = brought_backbone(
            spec.network, classes, channels, side, code, pretrained=bool(spec.pretrained), file=spec.pretrained_file
        )
    cosine_output = spec.classification in ("arcface", "cosface")
    return Network(
        backbone,
        features,
        classes,
        spec.head,
        spec.penultimate_width,
        spec.activation,
        spec.dropout,
        cosine_output,
    )
