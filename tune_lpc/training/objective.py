"""The loss that a trial trains on, and its parts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tune_lpc.plan.batching import GroupedBatches
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.strengths import Strengths
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.brought.functions import OwnTerm
from tune_lpc.training.distributed.group import Group, Share
from tune_lpc.training.losses import (
    arcface_loss,
    cosface_loss,
    densification_loss,
    point_collapse_penalty,
    supervised_contrastive_loss,
)
from tune_lpc.training.models import Output

_ANGULAR = {"arcface": arcface_loss, "cosface": cosface_loss}


class Loss(NamedTuple):
    """The whole loss and the parts that it is the sum of, each a scalar; 0 for a part that is off."""

    whole: Tensor
    classification: Tensor
    penalty: Tensor
    topological: Tensor
    contrastive: Tensor
    extra: Tensor


class Objective:
    """The loss of a trial's batches, at the strengths in force.

    code: where the trial has a term of the user's own. group, share: of the processes that share each batch, and of
    this one; the loss is that of its own rows then.
    """

    def __init__(
        self, spec: TrialSpec, code: OwnCode = NO_CODE, group: Group | None = None, share: Share | None = None
    ) -> None:
        self._group, self._share = group, share
        self._gamma, self._topology, self._contrast = spec.gamma, spec.topology, spec.contrast
        self._margin, self._batches = spec.angular_margin, spec.batches
        self._own_term = None
        if spec.own_term is not None:
            self._own_weight, self._own_term = spec.own_term.weight, OwnTerm(spec.own_term.reference, code)

    def __call__(self, strengths: Strengths, output: Output, labels: Tensor) -> Loss:
        """The loss of a batch. output: of the network, for a batch made as the trial asks. labels: (batch,)."""
        classification = self._classification(strengths, output, labels)
        penalty = topological = contrastive = extra = torch.zeros_like(classification)
        if self._gamma is not None:
            penalty = strengths.gamma * point_collapse_penalty(output.z, self._gamma.convention)
        # A weight that rises from 0 costs no persistence before it does.
        if self._topology is not None and isinstance(self._batches, GroupedBatches) and strengths.topological_weight:
            groups = output.z.unflatten(0, (-1, self._batches.group_size))
            loss = densification_loss(groups, strengths.beta, self._topology.distance, self._topology.backend)
            topological = strengths.topological_weight * loss
        if self._contrast is not None:
            contrastive = self._contrast.weight * self._contrastive(output.features, labels, self._contrast.temperature)
        if self._own_term is not None:
            extra = self._own_weight * self._own_term(output.z, output.logits, labels, strengths.progress)
        whole = classification + penalty + topological + contrastive + extra
        return Loss(whole, classification, penalty, topological, contrastive, extra)

    def _contrastive(self, features: Tensor, labels: Tensor, temperature: float) -> Tensor:
        """Of the features: with a penultimate layer the backbone's, without one z, which is the same then."""
        if self._group is None or self._share is None:
            return supervised_contrastive_loss(features, labels, temperature)
        # Each image is compared with those of the whole batch.
        features, labels = (self._group.rows_of_all(rows, self._share) for rows in (features, labels))
        return supervised_contrastive_loss(features, labels, temperature, self._share.rows)

    def _classification(self, strengths: Strengths, output: Output, labels: Tensor) -> Tensor:
        if self._margin is None:
            return cross_entropy(output.logits, labels)
        return _ANGULAR[self._margin.kind](output.logits, labels, strengths.margin, strengths.scale)
