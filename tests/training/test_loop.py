from __future__ import annotations

import dataclasses
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.gamma import GammaRamp
from tune_lpc.plan.learning_rate import LearningRate
from tune_lpc.plan.record import EpochRecord
from tune_lpc.plan.schedules import progress
from tune_lpc.plan.strengths import Strengths
from tune_lpc.plan.trial import Value
from tune_lpc.training.data import load_training_images
from tune_lpc.training.loop import Training
from tune_lpc.training.models import Output
from tune_lpc.training.objective import Loss

Data = tuple[Tensor, Tensor]

BOTH: dict[str, Value] = {
    "gamma_ramp": "two_regime",
    "gamma_start": 1e-4,
    "gamma_end": 1e2,
    "gamma_ramp_length": 0.6,
    "topological_weight_schedule": "rising",
    "topological_weight": 0.05,
    "beta_schedule": "sliding",
    "beta": 1.5,
    "groups": 4,
    "group_size": 8,
}
"""Both regularisers, each with a schedule that moves in every epoch."""
CNN13: dict[str, Value] = {
    "network": "cnn13",
    "head": "none",
    "optimizer": "sgd",
    "nesterov": True,
    "learning_rate": 0.02,
    "augmentation": "flip_crop",
    "batching": "grouped",
    "groups": 2,
    "group_size": 4,
    "precision": "float32",
}
"""Everything that draws at random or keeps a state: dropout, crops and flips, groups, momentum, batch statistics."""


def _blobs(n: int = 160, side: int = 8, channels: int = 1, classes: int = 4) -> Data:
    """Images of a class share a pattern under noise."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randint(0, 256, (classes, side, side, channels), generator=generator)
    labels = torch.arange(n) % classes
    noise = torch.randint(-60, 61, (n, side, side, channels), generator=generator)
    return (patterns[labels] + noise).clamp(0, 255).to(torch.uint8), labels


def _training(data: Data | None = None, /, **settings: Value) -> Training:
    """A training on the first three quarters of the images, validated on the rest."""
    images, labels = data if data is not None else _blobs()
    rows = torch.arange(len(images))
    cut = 3 * len(images) // 4
    values: dict[str, Value] = {"epochs": 3, "batch_size": 32, "penultimate_width": 16, **settings}
    return Training(TrialSpec.build(values), images, labels, rows[:cut], rows[cut:])


def _numbers(record: EpochRecord) -> dict[str, Any]:
    """Everything in a record but the times."""
    return {name: value for name, value in record.as_dict().items() if name not in ("seconds", "images_per_second")}


def _run(training: Training) -> list[dict[str, Any]]:
    return [_numbers(record) for record in training.epochs()]


BLOBS = _blobs()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """scikit-learn's digits, through the cache as in a search."""
    found = load_training_images("digits", cache_dir=tmp_path_factory.mktemp("cache"))
    return torch.from_numpy(found.images), torch.from_numpy(found.labels)


# Learning


def test_digits_are_learned(digits: Data) -> None:
    records = list(_training(digits, epochs=6, learning_rate=3e-3).epochs())
    assert [record.epoch for record in records] == [1, 2, 3, 4, 5, 6]
    last = records[-1]
    assert last.validation_accuracy is not None
    assert last.validation_accuracy > 0.9
    assert last.train_accuracy is not None
    assert last.train_accuracy > 0.97
    assert records[0].train_loss is not None
    assert last.train_loss is not None
    assert last.train_loss < 0.3 * records[0].train_loss
    assert all(record.diverged is None for record in records)


def test_digits_are_learned_with_both_regularisers_on_same_class_groups(digits: Data) -> None:
    settings = {**BOTH, "gamma_end": 1.0, "topological_weight": 0.01, "groups": 8}
    *_, last = _training(digits, epochs=10, learning_rate=3e-3, **settings).epochs()
    assert last.validation_accuracy is not None
    assert last.validation_accuracy > 0.9


def test_the_penalty_shrinks_and_collapses_the_representation(digits: Data) -> None:
    ramp: dict[str, Value] = {"gamma_ramp": "exponential", "gamma_end": 1.0, "gamma_ramp_length": 0.8}
    *_, plain = _training(digits, epochs=8, learning_rate=3e-3).epochs()
    *_, collapsed = _training(digits, epochs=8, learning_rate=3e-3, **ramp).epochs()
    assert plain.mean_norm is not None
    assert collapsed.mean_norm is not None
    assert collapsed.mean_norm < 0.2 * plain.mean_norm
    assert plain.nc1 is not None
    assert collapsed.nc1 is not None
    assert collapsed.nc1 < 0.9 * plain.nc1


def test_the_topological_loss_brings_distances_within_a_class_near_to_beta(digits: Data) -> None:
    settings: dict[str, Value] = {"topological_weight_schedule": "constant", "beta": 2.0, "groups": 8, "group_size": 8}
    from_beta = []
    for weight in (1e-9, 0.1):
        *_, last = _training(digits, epochs=8, learning_rate=3e-3, topological_weight=weight, **settings).epochs()
        assert last.train_topological is not None
        from_beta.append(last.train_topological / weight / 7)  # 7 deaths a group
    assert from_beta[1] < 0.2 * from_beta[0]
    assert from_beta[1] < 1


# The record


@pytest.mark.parametrize("kind", ["two_regime", "exponential", "linear", "cosine"])
def test_each_epoch_has_the_strengths_of_its_last_step(kind: str) -> None:
    settings = {**BOTH, "gamma_ramp": kind, "gamma_ramp_begin": 0.2, "learning_rate_hold": 0.3}
    steps = 120 // 32  # an epoch
    for record in _training(epochs=5, learning_rate=2e-3, learning_rate_end=1e-5, **settings).epochs():
        t = progress(steps * record.epoch - 1, 5 * steps)
        assert record.gamma == GammaRamp(kind, 1e-4, 1e2, 0.2, 0.6)(t)
        assert record.topological_weight == pytest.approx(0.05 * t)
        assert record.beta == pytest.approx(1.5 * math.sqrt(1 - t))
        assert record.learning_rate == LearningRate(2e-3, 0.3, 1e-5)(t)


def test_a_short_run_comes_within_a_step_of_the_end_of_its_schedules() -> None:
    settings: dict[str, Value] = {**BOTH, "gamma_ramp": "exponential", "gamma_end": 1e7, "gamma_ramp_length": 1.0}
    steps = 120 // 8
    *_, last = _training(epochs=3, learning_rate=1e-4, **{**settings, "groups": 1}).epochs()
    left = 1 / (3 * steps) + 1e-3
    assert last.gamma >= 1e7 * 1e-11**left
    assert last.topological_weight >= 0.05 * (1 - left)
    assert last.beta is not None and last.beta <= 1.5 * math.sqrt(left)
    *_, last = _training(epochs=4, batch_size=2, learning_rate=1e-3).epochs()
    assert last.learning_rate < 1e-4 * 1e-3


def test_every_step_trains_with_its_own_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    training = _training(epochs=2, batch_size=30, learning_rate=1e-3, gamma_ramp="linear", gamma_end=8.0)
    objective = training._objective

    def noted(strengths: Strengths, output: Output, labels: Tensor) -> Loss:
        rates = [group["lr"] for group in training._optimizer.param_groups]
        assert rates == [strengths.learning_rate, strengths.output_learning_rate]
        seen.append(strengths)
        return objective(strengths, output, labels)

    monkeypatch.setattr(training, "_objective", noted)
    records = list(training.epochs())
    assert seen == [Strengths.at(training.spec, step / 8) for step in range(8)]
    assert [record.learning_rate for record in records] == [seen[3].learning_rate, seen[7].learning_rate]


def test_strengths_are_worked_out_once_for_each_value_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = Strengths.at
    monkeypatch.setattr(Strengths, "at", lambda spec, t: asked.append(t) or real(spec, t))
    list(_training(epochs=25, batch_size=2, gamma_ramp="linear").epochs())  # 1,500 steps
    assert len(asked) <= 1000 + 2 * 25


def test_the_optimiser_trains_with_the_learning_rate_of_the_record() -> None:
    # Without momentum a step is as long as its learning rate: nothing moves once that has fallen to almost nothing.
    settings: dict[str, Value] = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.1}
    training = _training(epochs=2, learning_rate_end=0.0, **settings)
    moved = []
    before = [parameter.detach().clone() for parameter in training.network.parameters()]
    for record in training.epochs():
        after = [parameter.detach().clone() for parameter in training.network.parameters()]
        length = sum(float((a - b).square().sum()) for a, b in zip(after, before, strict=True)) ** 0.5
        moved.append((record.learning_rate, length))
        before = after
    # Three steps an epoch: the last ones stand at 2 and at 5 sixths of the training.
    assert [rate for rate, _ in moved] == pytest.approx([0.0751, 0.0067], rel=0.01)
    assert moved[1][1] < moved[0][1]


def test_the_parts_of_the_loss_add_up() -> None:
    for record in _training(epochs=5, **BOTH).epochs():
        parts = (record.train_classification, record.train_penalty, record.train_topological)
        assert all(part is not None for part in parts)
        assert record.train_loss == pytest.approx(sum(part for part in parts if part is not None), rel=1e-5)
        assert record.train_penalty is not None
        assert record.train_penalty > 0
        assert record.train_topological is not None
        assert record.train_topological > 0


def test_a_weight_that_rises_from_0_leaves_the_first_step_without_its_part() -> None:
    (record,) = _training(epochs=1, **{**BOTH, "groups": 15}).epochs()
    assert (record.train_topological, record.topological_weight) == (0.0, 0.0)


def test_a_regulariser_that_is_off_has_no_part() -> None:
    record = next(_training().epochs())
    assert (record.train_penalty, record.train_topological) == (0.0, 0.0)
    assert (record.gamma, record.topological_weight, record.beta) == (0.0, 0.0, None)
    assert record.train_loss == record.train_classification


@pytest.mark.parametrize("only", ["gamma", "topological"])
def test_one_regulariser_alone_has_its_part_alone(only: str) -> None:
    settings: dict[str, Value] = (
        {"gamma_ramp": "linear"}
        if only == "gamma"
        else {"topological_weight_schedule": "constant", "groups": 4, "group_size": 8}
    )
    record = next(_training(**settings).epochs())
    assert record.train_penalty is not None
    assert record.train_topological is not None
    assert (record.train_penalty > 0, record.train_topological > 0) == (only == "gamma", only == "topological")
    assert (record.beta is None) is (only == "gamma")


def test_the_penalty_is_gamma_times_the_mean_square_in_either_convention() -> None:
    ramp: dict[str, Value] = {"gamma_ramp": "linear", "gamma_start": 1.6, "gamma_end": 3.2, "epochs": 1}
    (of_mean,) = _run(_training(**ramp))
    ramp |= {"gamma_start": 0.1, "gamma_end": 0.2, "penalty_convention": "sum"}  # 16 dimensions
    (of_sum,) = _run(_training(**ramp))
    assert of_sum["train_penalty"] == pytest.approx(of_mean["train_penalty"], rel=1e-3)
    assert of_sum["train_loss"] == pytest.approx(of_mean["train_loss"], rel=1e-3)


def test_what_is_measured_after_an_epoch_is_that_of_the_network_on_the_validation_images() -> None:
    images, labels = _blobs()
    training = _training((images, labels), epochs=1)
    (record,) = training.epochs()
    scaled = images[:120].double() / 255
    normalised = ((images[120:].double() / 255 - scaled.mean()) / scaled.std(correction=0)).float().permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits, z, _ = training.network.eval()(normalised)
    loss = torch.nn.functional.cross_entropy(logits, labels[120:])
    assert record.validation_loss == pytest.approx(float(loss), rel=1e-4)
    assert record.validation_accuracy == pytest.approx(float((logits.argmax(1) == labels[120:]).float().mean()))
    assert record.mean_norm == pytest.approx(float(z.norm(dim=1).mean()), rel=1e-4)


def test_a_measure_that_cannot_be_computed_is_none() -> None:
    images, labels = _blobs(n=16, classes=4)  # one validation image a class: no covariance within a class
    (record,) = _training((images, labels), epochs=1, batch_size=4).epochs()
    assert record.nc1 is None
    assert record.mean_norm is not None
    assert record.diverged is None


def test_times_are_positive_and_images_are_counted() -> None:
    (record,) = _training(epochs=1).epochs()
    assert record.seconds > 0
    # 96 of 120 images fill batches of 32; validation belongs to the seconds, not to the rate.
    assert record.images_per_second * record.seconds > 96


# Repeating, saving, going on


@pytest.mark.parametrize("settings", [{}, BOTH, {"network": "small_cnn", "precision": "bfloat16"}])
def test_the_same_seed_gives_the_same_numbers(settings: dict[str, Value]) -> None:
    data = _blobs(side=16)
    assert _run(_training(data, **settings)) == _run(_training(data, **settings))


def test_another_seed_gives_other_numbers() -> None:
    one, two = _run(_training(seed=0)), _run(_training(seed=1))
    assert one[0]["train_loss"] != two[0]["train_loss"]


@pytest.mark.parametrize(
    ("settings", "side"),
    [
        (BOTH, 8),
        ({"optimizer": "sgd", "learning_rate": 0.05, "input_noise": 0.1}, 8),
        ({**CNN13, "epochs": 3}, 12),
    ],
    ids=["adamw with both regularisers", "sgd with noise", "cnn13 with dropout, crops and flips"],
)
def test_a_restored_run_goes_on_with_the_numbers_of_one_not_interrupted(
    settings: dict[str, Value], side: int, tmp_path: Path
) -> None:
    data = _blobs(n=48 if side == 12 else 160, side=side)
    file = tmp_path / "training.pt"
    uninterrupted = _training(data, **settings)
    expected = _run(uninterrupted)

    first = _training(data, **settings)
    records = first.epochs()
    began = [_numbers(next(records))]
    first.save(file)
    torch.randn(1000)  # the process goes on to do other things
    second = _training(data, **settings)
    second.restore(torch.load(file, weights_only=True))
    assert second.epochs_done == 1
    assert began + _run(second) == expected
    for name, value in uninterrupted.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], value), name


def test_a_run_restored_at_its_end_has_nothing_left_to_do(tmp_path: Path) -> None:
    training = _training(epochs=2)
    list(training.epochs())
    training.save(tmp_path / "training.pt")
    again = _training(epochs=2)
    again.restore(torch.load(tmp_path / "training.pt", weights_only=True))
    assert list(again.epochs()) == []


def test_a_saved_state_is_data_alone(tmp_path: Path) -> None:
    training = _training(epochs=1, optimizer="sgd")
    list(training.epochs())
    training.save(tmp_path / "training.pt")
    assert zipfile.is_zipfile(tmp_path / "training.pt")
    state = torch.load(tmp_path / "training.pt", weights_only=True)
    assert state["epochs_done"] == 1
    assert set(state["network"]) == set(training.network.state_dict())


def test_two_trainings_side_by_side_do_not_change_each_other() -> None:
    data = _blobs(n=32, side=12)
    settings = {**CNN13, "epochs": 2}
    alone = [_run(_training(data, seed=seed, **settings)) for seed in (0, 1)]
    one, two = _training(data, seed=0, **settings), _training(data, seed=1, **settings)
    together = [[_numbers(a), _numbers(b)] for a, b in zip(one.epochs(), two.epochs(), strict=True)]
    assert [list(records) for records in zip(*together, strict=True)] == alone


def test_the_random_state_of_the_caller_is_left_alone_and_does_not_matter() -> None:
    data = _blobs(n=32, side=12)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = _run(_training(data, **{**CNN13, "epochs": 1}))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert _run(_training(data, **{**CNN13, "epochs": 1})) == one


def test_the_images_are_not_changed() -> None:
    images, labels = _blobs(n=32, side=12)
    before = images.clone()
    list(_training((images, labels), **{**CNN13, "epochs": 1}).epochs())
    assert torch.equal(images, before)


# What goes wrong


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "learning_rate": 1e10},
        {"optimizer": "adamw", "learning_rate": 1e6},
        {"optimizer": "sgd", "learning_rate": 1e10, **BOTH, "topological_weight_schedule": "constant"},
    ],
    ids=["sgd", "adamw", "both regularisers"],
)
def test_a_training_that_diverges_ends_with_a_reason_and_nulls(settings: dict[str, Value]) -> None:
    records = list(_training(epochs=20, **settings).epochs())
    *before, last = records
    assert len(records) <= 4
    assert all(record.diverged is None for record in before)
    assert last.diverged is not None
    assert f"in epoch {last.epoch}" in last.diverged
    assert "loss became" in last.diverged
    assert last.validation_accuracy is None
    for name, value in last.as_dict().items():
        assert not isinstance(value, float) or math.isfinite(value), name


def test_a_network_that_is_not_finite_has_no_accuracy() -> None:
    training = _training(epochs=1)
    with torch.no_grad():
        training.network.output.weight.fill_(torch.nan)
    (record,) = training.epochs()
    assert record.diverged == "train_loss became nan in epoch 1"
    assert (record.train_accuracy, record.validation_accuracy, record.validation_loss) == (None, None, None)


@pytest.mark.parametrize("convention", ["mean", "sum"])
@pytest.mark.parametrize("network", ["mlp", "small_cnn"])
def test_a_gamma_of_a_million_does_not_overflow(network: str, convention: str) -> None:
    settings: dict[str, Value] = {"network": network, "penalty_convention": convention, "gamma_ramp": "exponential"}
    data = _blobs(side=16)
    for record in _training(data, gamma_start=1e5, gamma_end=1e6, gamma_ramp_length=0.1, **settings).epochs():
        assert record.diverged is None
        assert record.train_penalty is not None
        assert record.validation_accuracy is not None
    assert record.gamma == 1e6


# Noise on the training images


def _all_images(training: Training, epoch: int) -> Tensor:
    return torch.cat([images for images, _ in training.batches(epoch)])


def test_noise_is_gaussian_of_its_standard_deviation_on_the_normalised_training_images_alone() -> None:
    plain, noisy = _training(), _training(input_noise=0.25)
    noise = _all_images(noisy, 1) - _all_images(plain, 1)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(0.25, rel=0.05)
    assert float((noise.abs() < 0.25).float().mean()) == pytest.approx(0.683, abs=0.03)
    assert torch.equal(plain.evaluated().inputs, noisy.evaluated().inputs)
    assert next(iter(noisy.batches(1)))[0].is_contiguous(memory_format=torch.channels_last)


def test_noise_is_a_function_of_seed_and_epoch() -> None:
    training = _training(input_noise=0.1)
    first = _all_images(training, 1)
    list(training.validate_in_parts())
    torch.randn(100)
    assert torch.equal(_all_images(training, 1), first)
    plain = _training()
    noises = [_all_images(training, epoch) - _all_images(plain, epoch) for epoch in (1, 2)]
    assert not torch.equal(*noises)
    other = _all_images(_training(input_noise=0.1, seed=1), 1) - _all_images(_training(seed=1), 1)
    assert not torch.equal(other, noises[0])


@pytest.mark.parametrize("seed", [0, 7])
def test_noise_is_drawn_from_other_numbers_than_the_order(seed: int) -> None:
    images, labels = _blobs()
    rows = torch.arange(128)
    spec = TrialSpec.build({"epochs": 3, "batch_size": 128, "seed": seed, "input_noise": 1.0})
    noisy = Training(spec, torch.zeros_like(images), labels, rows, rows)
    plain = Training(dataclasses.replace(spec, input_noise=0.0), images, torch.arange(len(images)), rows, rows)
    for epoch in (1, 2):
        ((noise, _),), ((_, order),) = noisy.batches(epoch), plain.batches(epoch)
        of_order = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        assert torch.equal(torch.randperm(128, generator=of_order), order)  # else the next line tells nothing
        again = torch.randn(noise.permute(0, 2, 3, 1).shape, generator=of_order.manual_seed(of_order.initial_seed()))
        assert not torch.allclose(noise.permute(0, 2, 3, 1), again)


def test_a_little_noise_changes_the_numbers_and_none_does_not() -> None:
    plain, without, noisy = (_run(_training(BLOBS, epochs=1, input_noise=noise)) for noise in (0, 0.0, 1e-3))
    assert plain == without == _run(_training(BLOBS, epochs=1))
    assert noisy[0]["train_loss"] != plain[0]["train_loss"]


def test_bfloat16_trains_the_small_cnn_with_finite_values() -> None:
    data = _blobs(side=16)
    settings: dict[str, Value] = {"network": "small_cnn", "precision": "bfloat16", "learning_rate": 3e-3}
    records = list(_training(data, epochs=6, **{**BOTH, "gamma_end": 1.0}, **settings).epochs())
    for record in records:
        for name, value in record.as_dict().items():
            assert not isinstance(value, float) or math.isfinite(value), name
    assert records[-1].diverged is None
    assert records[-1].nc1 is not None
    assert records[-1].validation_accuracy is not None
    assert records[-1].validation_accuracy > 0.9


def test_epochs_of_anchors_draw_a_group_for_each_image() -> None:
    settings: dict[str, Value] = {"batching": "grouped", "groups": 4, "group_size": 8, "epochs": 1}
    drawn = {}
    for unit in ("images", "anchors"):
        training = _training(epoch_unit=unit, **settings)
        (record,) = training.epochs()
        steps = training._optimizer.state_dict()["state"][0]["step"]
        drawn[unit] = int(steps)
        assert record.validation_accuracy is not None
    assert drawn == {"images": 120 // 32, "anchors": 120 // 4}


# Speed, without a clock


class _Reads(TorchDispatchMode):
    """Counts the numbers that are read from tensors, each of which waits for a GPU to be done."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "settings",
    [
        {**BOTH, "topological_weight_schedule": "constant"},
        {"optimizer": "sgd", "contrastive": "supervised", "augmentation": "flip_crop"},
        {"classification": "arcface"},
    ],
    ids=["adamw with both regularisers", "sgd, contrastive", "arcface"],
)
def test_no_step_reads_a_number_from_the_device(settings: dict[str, Value]) -> None:
    reads = []
    for batch_size in (60, 12):
        groups: dict[str, Value] = {"groups": batch_size // 6, "group_size": 6}
        training = _training(epochs=2, **{**settings, "batch_size": batch_size, **groups})
        records = training.epochs()
        next(records)
        with _Reads() as found:
            next(records)
        reads.append(found.count)
    assert reads[0] == reads[1]


def test_a_compiled_network_learns_what_the_network_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    real = torch.compile

    def without_a_compiler(network: nn.Module, **options: Any) -> Any:
        asked.append(options)
        return real(network, backend="eager", dynamic=options["dynamic"])

    monkeypatch.setattr(torch, "compile", without_a_compiler)
    plain, compiled = _run(_training(BLOBS, epochs=2)), _run(_training(BLOBS, epochs=2, compile="default"))
    assert [options["mode"] for options in asked] == ["default"]
    for one, other in zip(plain, compiled, strict=True):
        for name in ("train_loss", "train_accuracy", "validation_loss", "mean_norm"):
            assert other[name] == pytest.approx(one[name], rel=1e-5), name
    training = _training(BLOBS, epochs=1, compile="reduce-overhead")
    assert asked[-1]["mode"] == "reduce-overhead"
    assert set(training.state()["network"]) == set(_training(BLOBS).state()["network"])


def test_where_nothing_can_be_compiled_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.compile

    def fails(*_: Any) -> Any:
        raise RuntimeError("no working C++ compiler")

    monkeypatch.setattr(torch, "compile", lambda network, **_: real(network, backend=fails))
    with pytest.raises(UserError, match=r"compile is 'default', but torch.compile failed here: .*choose compile=off"):
        list(_training(compile="default").epochs())
