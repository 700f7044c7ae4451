from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.data.samples import write_folders
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.plan.trial import Value
from tune_lpc.training.prepare import Prepared, check_image_size, prepare, start_training


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path / "cache"))


def _prepared(tmp_path: Path, height: int, width: int) -> Prepared:
    labels = np.arange(12) % 3
    images = np.random.default_rng(0).integers(0, 256, (12, height, width, 3), dtype=np.uint8)
    write_folders(tmp_path / "data" / "mine", images, labels, ["ant", "bee", "cat"])
    return prepare(TrialSpec.build({"dataset": "mine"}), tmp_path / "data")


def _digits(**settings: Value) -> Prepared:
    return prepare(TrialSpec.build({"dataset": "digits", **settings}))


def test_digits_are_split_once_for_all() -> None:
    first, second = _digits(), _digits(seed=3, network="small_cnn", image_size=None)
    assert first.images.shape == (1437, 8, 8, 1)
    assert (first.images.dtype, first.labels.dtype) == (torch.uint8, torch.int64)
    assert len(first.split.train) + len(first.split.validation) == 1437
    assert first.split.hash == second.split.hash
    assert first.split.hash != _digits(split=1).split.hash


def test_the_pixels_are_not_copied() -> None:
    prepared = _digits()
    assert np.shares_memory(prepared.images.numpy(), prepared.source.images)


def test_a_small_sample_validates_on_as_many_images() -> None:
    prepared = _digits(train_size=200)
    assert (len(prepared.split.train), len(prepared.split.validation)) == (200, 200)
    told = "10 classes, 8 x 8 x 1; 200 to train, 200 to validate; 360 kept apart for a final test"
    assert prepared.describe().endswith(told)
    assert prepared.test_images == 360


def test_a_small_sample_validates_on_as_many_images_as_asked_and_trains_on_the_same() -> None:
    prepared, usual = _digits(train_size=200, validation_size=1000), _digits(train_size=200)
    assert len(prepared.split.validation) == 1000
    assert "200 to train, 1,000 to validate" in prepared.describe()
    assert prepared.split.train.tolist() == usual.split.train.tolist()
    with pytest.raises(UserError, match="validation_size is 2,000, but must be 1,237 or less"):
        _digits(train_size=200, validation_size=2000)


def test_images_are_scaled_when_asked() -> None:
    assert _digits(image_size=16).images.shape == (1437, 16, 16, 1)


def test_classes_too_small_for_the_groups_are_a_problem() -> None:
    with pytest.raises(UserError, match="too few training images for the groups"):
        prepare(TrialSpec.build({"train_size": 100}), group_size=16)


def test_a_training_starts_at_its_first_epoch() -> None:
    training = start_training(TrialSpec.build({"epochs": 2, "train_size": 100}), _digits(train_size=100))
    assert training.epochs_done == 0
    assert [record.epoch for record in training.epochs()] == [1, 2]


def test_images_that_are_not_square_are_a_problem(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        check_image_size("mlp", _prepared(tmp_path, 12, 10))
    assert caught.value.problems == ["the images are 12 x 10, but must be square; scale them with --set image_size=10"]


@pytest.mark.parametrize(("network", "least"), [("small_cnn", 16), ("cnn13", 12)])
def test_images_too_small_for_the_backbone_are_a_problem(network: str, least: int) -> None:
    with pytest.raises(UserError) as caught:
        check_image_size(network, _digits())
    (problem,) = caught.value.problems
    assert problem.startswith(f"the images are 8 x 8, but {network} needs {least} pixels or more")


@pytest.mark.parametrize("network", ["mlp", "resnet18"])
def test_images_large_enough_are_fine(network: str) -> None:
    check_image_size(network, _digits())


def test_images_of_three_channels_train(tmp_path: Path) -> None:
    training = start_training(TrialSpec.build({"dataset": "mine", "epochs": 1}), _prepared(tmp_path, 8, 8))
    assert next(training.epochs()).validation_accuracy is not None


# Image folders that stay on disk


def _colours(root: Path) -> Path:
    """90 images of different sizes, of three classes that differ in colour."""
    generator = np.random.default_rng(0)
    for i in range(90):
        pixels = generator.integers(0, 120, (int(generator.integers(20, 40)), int(generator.integers(20, 40)), 3))
        pixels[:, :, i % 3] += 130
        file = root / "mine/train" / f"class{i % 3}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(file)
    return root


def _from_disk(**settings: Value) -> TrialSpec:
    return TrialSpec.build(
        {
            "dataset": "mine",
            "data_from": "disk",
            "data_workers": 0,
            "image_size": 16,
            "network": "small_cnn",
            "augmentation": "resized_crop",
            "validation_share": 0.2,
            "batch_size": 16,
            "epochs": 3,
            **settings,
        }
    )


def test_a_network_learns_from_images_on_disk(tmp_path: Path) -> None:
    prepared = prepare(_from_disk(), _colours(tmp_path))
    check_image_size("small_cnn", prepared)
    told = "3 classes, 16 x 16 x 3; 65 to train, 16 to validate; 9 kept apart for a final test"
    assert prepared.describe().endswith(told)
    assert "read from disk" in prepared.describe()
    assert not list((tmp_path / "cache").rglob("images.npy"))
    *_, last = start_training(_from_disk(epochs=8), prepared).epochs()
    assert last.validation_accuracy is not None and last.validation_accuracy > 0.9


def test_disk_and_memory_are_split_alike(tmp_path: Path) -> None:
    root = _colours(tmp_path)
    disk, memory = prepare(_from_disk(), root), prepare(_from_disk(data_from="memory"), root)
    assert disk.split.hash == memory.split.hash
    assert torch.equal(disk.labels, memory.labels)


def test_a_restored_training_goes_on_as_if_never_interrupted(tmp_path: Path) -> None:
    spec = _from_disk(dropout=0.2)
    prepared = prepare(spec, _colours(tmp_path))
    whole = start_training(spec, prepared)
    records = list(whole.epochs())
    first = start_training(spec, prepared)
    next(first.epochs())
    first.save(tmp_path / "state.pt")
    resumed = start_training(_from_disk(dropout=0.2, data_workers=1), prepared)
    resumed.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    for wanted, got in zip(records[1:], resumed.epochs(), strict=True):
        assert (got.train_loss, got.validation_loss) == (wanted.train_loss, wanted.validation_loss)


# Copies of an image


@pytest.mark.parametrize("data_from", ["memory", "disk"])
def test_copies_of_an_image_stay_on_one_side_and_are_told(tmp_path: Path, data_from: str) -> None:
    train = _colours(tmp_path) / "mine/train"
    for i in range(0, 36, 3):
        shutil.copy(train / "class0" / f"{i}.png", train / "class0" / f"copy-{i}.png")
    for i in range(2):
        shutil.copy(train / "class0" / f"{3 * i}.png", train / "class1" / f"wrong-{i}.png")
    prepared = prepare(_from_disk(data_from=data_from, hold_out=0.0), tmp_path)
    told = "12 images occur more than once, 2 of them with different labels; copies stay on one side"
    assert prepared.describe().endswith(f"none kept apart for a final test; {told}")
    digests = prepared.source.digests
    sides = [{digests[row].tobytes() for row in rows} for rows in (prepared.split.train, prepared.split.validation)]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 90
    assert (len(prepared.split.train), len(prepared.split.validation)) == (83, 21)


def test_classes_too_small_to_keep_images_apart_are_named(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    write_folders(tmp_path / "mine", draw.integers(0, 256, (9, 16, 16, 3), dtype=np.uint8), np.arange(9) % 3, "abc")
    (tmp_path / "mine/train/b/00001.png").unlink()
    for data_from in ("memory", "disk"):
        with pytest.raises(UserError, match=r"class 'b' has 2, but with hold_out=0\.1 each class needs 3.*hold_out=0"):
            prepare(_from_disk(data_from=data_from), tmp_path)
        assert len(prepare(_from_disk(data_from=data_from, hold_out=0.0), tmp_path).split.train) == 5


def test_images_on_disk_need_folders_and_a_size() -> None:
    with pytest.raises(UserError) as caught:
        prepare(_from_disk(dataset="digits", image_size=None))
    assert len(caught.value.problems) == 2
