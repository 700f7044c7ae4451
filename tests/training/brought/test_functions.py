"""Augmentations and loss terms of the user's own, in training."""

from __future__ import annotations

import pytest
import torch

from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.plan.own_code import OwnCode
from tune_lpc.training.loop import Training

CODE = OwnCode(
    {
        "mine.py": b"""
import torch

seen = []

def invert(images, generator):
    seen.append(tuple(images.shape))
    return 255 - images

def noise(images, generator):
    return torch.randint(256, images.shape, generator=generator, dtype=torch.uint8)

def global_noise(images, generator):
    return torch.randint(256, images.shape, dtype=torch.uint8)

def term(z, logits, labels, progress):
    seen.append(progress)
    return z.square().mean()

def late(z, logits, labels, progress):
    if progress > 0.5:
        raise RuntimeError("late")
    return z.mean()
"""
    }
)
ROWS = torch.arange(64)


def training(**settings: object) -> Training:
    values = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "weight_decay": 0.0, **settings}
    images = torch.randint(256, (80, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Training(TrialSpec.build(values), images, torch.arange(80) % 4, ROWS, torch.arange(64, 80), "cpu", CODE)


def batches(one: Training, epoch: int) -> torch.Tensor:
    torch.manual_seed(epoch)
    return torch.cat([images for images, _ in one.batches(epoch)])


def test_an_augmentation_changes_what_trains_and_not_what_is_validated() -> None:
    plain, inverted = training(), training(augmentation="mine.py:invert")
    pixels = [batches(one, 1) * inverted._stream.deviation.view(3, 1, 1) for one in (plain, inverted)]
    mean = inverted._stream.mean.view(3, 1, 1)
    torch.testing.assert_close(pixels[0] + mean, 1 - (pixels[1] + mean))
    for one, other in zip(plain.represent(plain._validation), inverted.represent(inverted._validation), strict=True):
        assert torch.equal(one, other)
    assert (16, 3, 8, 8) in CODE.function("mine.py:invert").__globals__["seen"]


@pytest.mark.parametrize("name", ["noise", "global_noise"])
def test_its_random_numbers_follow_from_seed_and_epoch(name: str) -> None:
    settings = {"augmentation": f"mine.py:{name}", "dropout": 0.2}
    whole, first, again = (training(**settings) for _ in range(3))
    records = list(whole.epochs())
    next(first.epochs())
    again.restore(first.state())
    (last,) = again.epochs()
    assert last.train_loss == records[-1].train_loss != records[0].train_loss
    other = training(**settings, seed=1)
    assert next(other.epochs()).train_loss != records[0].train_loss


def test_a_term_is_added_with_its_weight_and_told() -> None:
    settings = {"extra_loss": "mine.py:term", "extra_loss_weight": 0.5, "learning_rate": 1e-9}
    settings |= {"learning_rate_end": 0.0, "gamma_ramp": "off", "topological_weight_schedule": "off"}
    (record, _), (plain, _) = training(**settings).epochs(), training(**(settings | {"extra_loss": "off"})).epochs()
    assert plain.train_extra is None and record.train_extra is not None and record.train_extra > 0
    assert record.train_loss == pytest.approx(record.train_classification + record.train_extra, rel=1e-6)
    assert record.train_classification == pytest.approx(plain.train_classification, rel=1e-5)
    twice, _ = training(**(settings | {"extra_loss_weight": 1.0})).epochs()
    assert twice.train_extra == pytest.approx(2 * record.train_extra, rel=1e-5)
    assert {0.0, 0.5} <= set(CODE.function("mine.py:term").__globals__["seen"])


def test_a_term_trains_the_network() -> None:
    norms = []
    for weight in (1e-6, 100.0):
        *_, last = training(extra_loss="mine.py:term", extra_loss_weight=weight, epochs=8, gamma_ramp="off").epochs()
        norms.append(last.mean_norm)
    assert norms[1] < 0.5 * norms[0]


def test_what_goes_wrong_later_names_the_function() -> None:
    with pytest.raises(UserError, match=r"^mine\.py:late fails on z \(16, 64\), logits \(16, 4\): RuntimeError: late"):
        list(training(extra_loss="mine.py:late").epochs())
