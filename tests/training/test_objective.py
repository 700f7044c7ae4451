"""The loss of a batch and its parts."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.strengths import Strengths
from tune_lpc.training.losses import arcface_loss, supervised_contrastive_loss
from tune_lpc.training.models import Output
from tune_lpc.training.objective import Objective

GROUPS, SIZE, WIDTH, CLASSES = 3, 4, 5, 3


def batch() -> tuple[Output, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(GROUPS * SIZE, WIDTH, generator=generator)
    logits = torch.randn(GROUPS * SIZE, CLASSES, generator=generator)
    features = torch.randn(GROUPS * SIZE, 7, generator=generator)
    return Output(logits, z, features), torch.arange(GROUPS).repeat_interleave(SIZE)


def loss_of(**settings: str | float | int) -> tuple[TrialSpec, Strengths, tuple[float, ...]]:
    spec = TrialSpec.build({"epochs": 10, "groups": GROUPS, "group_size": SIZE, **settings})
    strengths = Strengths.at(spec, 0.4)
    output, labels = batch()
    return spec, strengths, tuple(float(part) for part in Objective(spec)(strengths, output, labels))


def test_cross_entropy_alone() -> None:
    _, _, (whole, classification, *others) = loss_of()
    output, labels = batch()
    assert whole == classification == float(cross_entropy(output.logits, labels))
    assert others == [0, 0, 0, 0]


def test_the_whole_is_the_sum_of_its_parts() -> None:
    _, strengths, (whole, classification, penalty, topological, contrastive, extra) = loss_of(
        gamma_ramp="linear",
        gamma_end=2.0,
        topological_weight_schedule="rising",
        topological_weight=0.3,
        beta=0.5,
        contrastive="supervised",
        contrastive_weight=0.7,
    )
    assert whole == pytest.approx(classification + penalty + topological + contrastive) and extra == 0
    assert min(penalty, topological, contrastive) > 0
    output, labels = batch()
    assert penalty == pytest.approx(strengths.gamma * float(output.z.square().mean()))
    assert contrastive == pytest.approx(0.7 * float(supervised_contrastive_loss(output.features, labels, 0.05)))


def test_arcface_takes_the_place_of_cross_entropy_at_the_margin_in_force() -> None:
    _, strengths, (_, classification, *_) = loss_of(classification="arcface", margin=0.5)
    output, labels = batch()
    cosines = Output(output.logits.tanh(), output.z, output.features)
    spec = TrialSpec.build({"epochs": 10, "classification": "arcface", "margin": 0.5})
    found = Objective(spec)(strengths, cosines, labels)
    expected = arcface_loss(cosines.logits, labels, strengths.margin, strengths.scale)
    assert float(found.classification) == pytest.approx(float(expected))
    assert float(found.classification) != pytest.approx(classification)
