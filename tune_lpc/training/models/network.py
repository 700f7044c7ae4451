"""A classifier that also returns its penultimate representation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tune_lpc.spec.trial import TrialSpec
from tune_lpc.training.models.backbones import ACTIVATIONS, BACKBONES


class Network(nn.Module):
    """Backbone, penultimate layer ("linear", "nonlinear" or "none"), linear output layer."""

    def __init__(self, backbone: nn.Module, features: int, classes: int, head: str, width: int | None, activation: str):
        super().__init__()
        self.backbone = backbone
        self.penultimate: nn.Module = nn.Identity()
        self.penultimate_width = features
        if head != "none":
            assert width is not None
            self.penultimate_width = width
            self.penultimate = nn.Linear(features, width)
            if head == "nonlinear":
                self.penultimate = nn.Sequential(self.penultimate, ACTIVATIONS[activation]())
        self.output = nn.Linear(self.penultimate_width, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (batch, channels, height, width) to logits (batch, classes) and z (batch, penultimate_width).

        Under autocast only the backbone runs in low precision: z of a collapsed class differs by less than
        bfloat16 can hold.
        """
        features = self.backbone(images)
        with torch.autocast(images.device.type, enabled=False):
            z = self.penultimate(features.float())
            return self.output(z), z


def build_network(spec: TrialSpec, classes: int, channels: int, side: int) -> Network:
    """The network that `spec` describes, for square images of `side` pixels; initialised from torch's random state."""
    backbone, features = BACKBONES[spec.network](channels, side, spec.activation)
    return Network(backbone, features, classes, spec.head, spec.penultimate_width, spec.activation)
