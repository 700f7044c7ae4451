from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.record import EpochRecord
from tune_lpc.plan.trial import Value
from tune_lpc.training.data import load_training_images
from tune_lpc.training.data.batches import select_rows
from tune_lpc.training.loop import Training
from tune_lpc.training.losses import densification_loss, point_collapse_penalty

FULL_RAMP: dict[str, Value] = {
    "epochs": 20,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "gamma_ramp": "two_regime",
    "gamma_start": 1e-4,
    "gamma_end": 1e6,
    "gamma_ramp_length": 0.9,
    "topological_weight_schedule": "constant",
    "topological_weight": 0.01,
    "beta_schedule": "sliding",
    "beta": 1.0,
}
"""On digits: from no penalty to speak of, over the collapse, to mean squares of z near 1e-6 under a gamma of 1e6."""
LEARNING = 6
"""Epochs in which the network still tells the classes apart."""

Run = tuple[Training, list[EpochRecord], Tensor]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """By precision: the training (the MLP, which takes bfloat16 only when told to), its records, z in the end."""
    found = load_training_images("digits", cache_dir=tmp_path_factory.mktemp("cache"))
    images, labels = torch.from_numpy(found.images), torch.from_numpy(found.labels)
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    cut, runs = len(images) * 9 // 10, {}
    for precision in ("float32", "bfloat16"):
        spec = TrialSpec.build({**FULL_RAMP, "precision": precision})
        training = Training(spec, images, labels, rows[:cut], rows[cut:])
        records = list(training.epochs())
        _, z, _ = training.represent(select_rows(images, labels, rows[:cut], torch.device("cpu")))
        runs[precision] = (training, records, z)
    return runs


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_whole_ramp_is_walked_with_finite_values(runs: dict[str, Run], precision: str) -> None:
    _, records, _ = runs[precision]
    assert len(records) == 20
    assert records[-1].gamma == 1e6
    for record in records:
        assert record.diverged is None
        assert record.train_penalty is not None
        assert record.train_penalty > 0
        assert record.train_topological is not None
        assert record.train_topological > 0
        assert record.train_loss is not None
        assert math.isfinite(record.train_loss)


def test_bfloat16_gives_the_penalties_of_float32(runs: dict[str, Run]) -> None:
    # While the network learns, rounding to 8 bits averages out: 0.3 % apart at most were seen. What follows is chaotic:
    # z is as small as the steps of the optimiser make it, and another seed moves the penalty by 10-30 %.
    for epoch, (full, low) in enumerate(zip(runs["float32"][1], runs["bfloat16"][1], strict=True), start=1):
        for name, later in (("train_penalty", 0.5), ("train_topological", 0.02)):
            one, other = getattr(full, name), getattr(low, name)
            assert other == pytest.approx(one, rel=0.01 if epoch <= LEARNING else later), (epoch, name)


def test_bfloat16_learns_as_float32_does(runs: dict[str, Run]) -> None:
    one, other = (runs[precision][1][LEARNING - 1].validation_accuracy for precision in ("float32", "bfloat16"))
    assert one is not None
    assert other is not None
    assert one > 0.85
    assert other == pytest.approx(one, abs=0.03)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_collapsed_representation_keeps_all_digits(runs: dict[str, Run], precision: str) -> None:
    _, _, z = runs[precision]
    assert z.dtype == torch.float32
    assert float(z.square().mean()) < 1e-5
    # Values cancel to 0 by chance alone, and hardly one is among those that bfloat16 could hold.
    assert float((z == 0).double().mean()) < 0.001
    assert float((z == z.bfloat16().float()).double().mean()) < 0.01
    # Points nearer to each other than bfloat16 could tell are still apart.
    assert len(z.unique(dim=0)) > 0.95 * len(z)


def test_penalty_and_distances_are_exact_to_float32_at_a_million(runs: dict[str, Run]) -> None:
    _, _, z = runs["bfloat16"]
    assert 1e6 * float(point_collapse_penalty(z)) == pytest.approx(1e6 * float(z.double().square().mean()), rel=1e-5)
    groups = z[: len(z) // 16 * 16].unflatten(0, (-1, 16))
    with torch.autocast("cpu", torch.bfloat16):
        found = float(densification_loss(groups, 0.0))
    assert found == pytest.approx(float(densification_loss(groups.double(), 0.0)), rel=1e-5)


def test_gradients_at_a_million_stay_finite_and_alive(runs: dict[str, Run]) -> None:
    _, _, z = runs["bfloat16"]
    z = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(1e6 * point_collapse_penalty(z), z)
    assert bool(gradient.isfinite().all())
    torch.testing.assert_close(gradient, 2e6 * z.detach() / z.numel(), rtol=1e-5, atol=0)


def test_the_ramp_shrinks_the_representation_all_the_way(runs: dict[str, Run]) -> None:
    norms = [record.mean_norm for record in runs["bfloat16"][1]]
    assert all(norm is not None and norm > 0 for norm in norms)
    assert norms[-1] is not None
    assert norms[1] is not None
    assert norms[-1] < 0.01 * norms[1]
