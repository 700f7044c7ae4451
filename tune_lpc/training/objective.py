"""The loss that a trial trains on, and its parts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tune_lpc.plan.strengths import Strengths
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.losses import (
    arcface_loss,
    cosface_loss,
    densification_loss,
    point_collapse_penalty,
    supervised_contrastive_loss,
)
from tune_lpc.training.models import Output


class Loss(NamedTuple):
    """The whole loss and the parts that it is the sum of, each a scalar; 0 for a part that is off."""

    whole: Tensor
    classification: Tensor
    penalty: Tensor
    topological: Tensor
    contrastive: Tensor


def training_loss(spec: TrialSpec, strengths: Strengths, output: Output, labels: Tensor) -> Loss:
    """The loss of a batch. output: of the network, for a batch made as `spec` asks. labels: (batch,)."""
    classification = _classification(spec, strengths, output, labels)
    penalty = topological = contrastive = torch.zeros_like(classification)
    if strengths.gamma:
        assert spec.penalty_convention is not None
        penalty = strengths.gamma * point_collapse_penalty(output.z, spec.penalty_convention)
    if strengths.beta is not None and strengths.topological_weight:
        assert spec.distance is not None and spec.persistence_backend is not None
        groups = output.z.unflatten(0, (-1, spec.group_size))
        loss = densification_loss(groups, strengths.beta, spec.distance, spec.persistence_backend)
        topological = strengths.topological_weight * loss
    if spec.contrastive != "off":
        assert spec.contrastive_weight is not None and spec.contrastive_temperature is not None
        # With a penultimate layer the backbone's features, without one z, which is the same then.
        loss = supervised_contrastive_loss(output.features, labels, spec.contrastive_temperature)
        contrastive = spec.contrastive_weight * loss
    whole = classification + penalty + topological + contrastive
    return Loss(whole, classification, penalty, topological, contrastive)


def _classification(spec: TrialSpec, strengths: Strengths, output: Output, labels: Tensor) -> Tensor:
    if spec.classification == "cross_entropy":
        return cross_entropy(output.logits, labels)
    assert strengths.margin is not None and strengths.scale is not None
    loss = arcface_loss if spec.classification == "arcface" else cosface_loss
    return loss(output.logits, labels, strengths.margin, strengths.scale)
