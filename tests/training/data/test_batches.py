from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training.data.samples import random_images
from tune_lpc.plan import TrialSpec
from tune_lpc.plan.trial import Value
from tune_lpc.training.data.augmentation import augment
from tune_lpc.training.data.batches import BatchStream, Images, grouped_batches, shuffled_batches

CPU = torch.device("cpu")


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _labels(*counts: int) -> Tensor:
    """So many labels of each class, in mixed order."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=_seeded())]


def _images(n: int = 60, size: int = 8, channels: int = 3, rows: Tensor | None = None) -> tuple[Tensor, Images]:
    pixels = torch.from_numpy(random_images(n, size, channels))
    rows = torch.arange(n) if rows is None else rows
    return pixels, Images(pixels, torch.arange(n) % 3, rows, CPU)


def _stream(images: Images, **settings: Value) -> BatchStream:
    return BatchStream(images, TrialSpec.build(settings))


# Shuffled batches


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(2, 64), st.integers(0, 2**31))
def test_shuffled_batches_are_full_and_hold_no_image_twice(images: int, batch_size: int, seed: int) -> None:
    batches = shuffled_batches(images, batch_size, _seeded(seed))
    drawn = torch.cat(batches)
    assert len(drawn.unique()) == len(drawn) == (images // batch_size * batch_size or images)
    assert drawn.min() >= 0
    assert drawn.max() < images
    assert {len(batch) for batch in batches} == {min(batch_size, images)}


def test_another_epoch_leaves_other_images_out() -> None:
    generator = _seeded()
    left_out = [set(range(10)) - set(torch.cat(shuffled_batches(10, 4, generator)).tolist()) for _ in range(20)]
    assert len({frozenset(rows) for rows in left_out}) > 5


# Grouped batches


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.integers(1, 8),
    st.integers(2, 12),
    st.sampled_from(["images", "anchors"]),
    st.integers(0, 2**31),
)
def test_every_group_is_of_one_class(
    counts: list[int], groups: int, group_size: int, epoch_unit: str, seed: int
) -> None:
    labels = _labels(*counts)
    for batch in grouped_batches(labels, groups, group_size, epoch_unit, _seeded(seed)):
        of_groups = labels[batch].reshape(groups, group_size)
        assert bool((of_groups == of_groups[:, :1]).all())


def test_an_epoch_of_anchors_takes_each_image_as_an_anchor_once() -> None:
    batches = grouped_batches(_labels(25, 25, 30), 8, 16, "anchors", _seeded())
    assert len(batches) == 10
    anchors = torch.stack(batches)[:, ::16].flatten()
    assert sorted(anchors.tolist()) == list(range(80))


def test_the_last_anchors_that_do_not_fill_a_batch_sit_out() -> None:
    batches = grouped_batches(_labels(125, 125), 8, 16, "anchors", _seeded())
    anchors = torch.stack(batches)[:, ::16].flatten()
    assert len(batches) == 31
    assert len(anchors.unique()) == 248


def test_an_epoch_of_images_draws_as_many_as_there_are() -> None:
    batches = grouped_batches(_labels(300, 340), 8, 16, "images", _seeded())
    assert [len(batch) for batch in batches] == [128] * 5
    anchors = torch.stack(batches)[:, ::16].flatten()
    assert len(anchors.unique()) == 40


def test_fewer_images_than_anchors_in_a_batch_still_make_one() -> None:
    for epoch_unit in ("images", "anchors"):
        (batch,) = grouped_batches(_labels(3, 2), 8, 4, epoch_unit, _seeded())
        assert len(batch) == 32
        assert set(batch[::4].tolist()) == set(range(5))


def test_mates_are_drawn_evenly_from_the_whole_class() -> None:
    labels = _labels(10, 30)
    drawn = torch.cat([torch.cat(grouped_batches(labels, 8, 16, "anchors", _seeded(seed))) for seed in range(30)])
    counts = drawn.bincount(minlength=40)
    # Each image is an anchor 30 times, and 15 times as often a mate on average.
    assert counts.min() > 350
    assert counts.max() < 620
    assert int(counts.sum()) == 30 * 40 * 16


def test_mates_are_drawn_with_replacement() -> None:
    batch = grouped_batches(_labels(16, 16), 8, 16, "images", _seeded())[0]
    assert any(len(group.unique()) < 16 for group in batch.split(16))


# Images and their normalisation


def test_rows_pick_the_images_and_labels_that_belong_here() -> None:
    pixels, images = _images(rows=torch.tensor([5, 50, 7]))
    assert len(images) == 3
    index = torch.tensor([2, 0])
    assert torch.equal(images.pixels(index), pixels[[7, 5]])
    assert images.labels_at(index).tolist() == [7 % 3, 5 % 3]


def test_the_statistics_are_those_of_the_training_rows_alone() -> None:
    rows = torch.arange(0, 60, 7)
    pixels, images = _images(rows=rows)
    scaled = pixels.numpy()[rows.numpy()].astype(np.float64) / 255
    mean, deviation = images.mean_and_deviation()
    np.testing.assert_allclose(mean.numpy(), scaled.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(deviation.numpy(), scaled.std((0, 1, 2)), rtol=1e-6)


def test_the_statistics_of_many_images_are_added_up_in_chunks() -> None:
    pixels, images = _images(n=9000, size=4, channels=1)
    mean, deviation = images.mean_and_deviation()
    assert float(mean) == pytest.approx(pixels.numpy().mean() / 255, rel=1e-6)
    assert float(deviation) == pytest.approx(pixels.numpy().std() / 255, rel=1e-6)


def test_normalised_training_images_have_mean_0_and_deviation_1() -> None:
    pixels, images = _images()
    normalised = _stream(images).normalise(pixels)
    assert normalised.shape == (60, 3, 8, 8)
    assert normalised.dtype == torch.float32
    assert normalised.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(normalised.std(dim=(0, 2, 3), correction=0), torch.ones(3), rtol=1e-5, atol=0)


def test_a_channel_of_one_grey_value_stays_finite() -> None:
    pixels = torch.from_numpy(random_images(12))
    pixels[..., 1] = 77
    images = Images(pixels, torch.zeros(12, dtype=torch.long), torch.arange(12), CPU)
    normalised = _stream(images).normalise(pixels)
    assert bool(normalised.isfinite().all())
    assert normalised[:, 1].abs().max() < 1e-6


def test_all_rows_come_once_and_in_order_with_the_statistics_of_training() -> None:
    pixels, training = _images(rows=torch.arange(30))
    validation = Images(pixels, torch.arange(60) % 3, torch.arange(30, 60), CPU)
    stream = _stream(training, augmentation="flip_crop")
    batches = list(stream.in_order(validation, 7))
    assert [len(labels) for _, labels in batches] == [7, 7, 7, 7, 2]
    assert torch.equal(torch.cat([batch for batch, _ in batches]), stream.normalise(pixels[30:]))
    assert torch.cat([labels for _, labels in batches]).tolist() == [row % 3 for row in range(30, 60)]


# A whole epoch


@pytest.mark.parametrize("settings", [{"batch_size": 16}, {"batching": "grouped", "groups": 2, "group_size": 8}])
def test_labels_belong_to_their_images(settings: dict[str, Value]) -> None:
    pixels, images = _images()
    stream = _stream(images, **settings)
    normalised = stream.normalise(pixels)
    for batch, labels in stream.epoch(_seeded()):
        for image, label in zip(batch, labels, strict=True):
            rows = (normalised == image).all(dim=(1, 2, 3)).nonzero().flatten().tolist()
            assert [row % 3 for row in rows] == [int(label)]


def test_the_same_seed_gives_the_same_epoch_and_another_a_different_one() -> None:
    _, images = _images()
    stream = _stream(images, augmentation="flip_crop", batch_size=20)

    def epoch(seed: int) -> Tensor:
        return torch.cat([batch for batch, _ in stream.epoch(_seeded(seed))])

    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(1), epoch(2))


# On a GPU. The meta device stands for one: what is copied to it can be counted without a GPU.


class _Copies(TorchDispatchMode):
    """Counts the copies from the CPU to the meta device."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        to = (kwargs or {}).get("device")
        if func is torch.ops.aten._to_copy.default and to == META and args[0].device == CPU:
            self.count += 1
        return func(*args, **(kwargs or {}))


META = torch.device("meta")


@pytest.mark.parametrize("augmentation", ["none", "crop", "flip_crop", "resized_crop"])
def test_nothing_is_copied_to_the_device_for_each_batch(augmentation: str) -> None:
    pixels = torch.from_numpy(random_images(60))
    images = Images(pixels, torch.arange(60) % 3, torch.arange(60), META)
    copies = []
    for batch_size in (20, 5):
        indices = shuffled_batches(60, batch_size, _seeded())
        with _Copies() as found:
            batches = list(images.batches(indices, augmentation, _seeded()))
        assert [(of_batch.device, len(labels)) for of_batch, labels in batches] == [(META, batch_size)] * len(indices)
        copies.append(found.count)
    assert copies[0] == copies[1] == {"none": 1, "crop": 4, "flip_crop": 4, "resized_crop": 3}[augmentation]


@pytest.mark.parametrize("augmentation", ["crop", "flip_crop", "resized_crop"])
def test_batches_are_augmented_as_one_after_another_would_be(augmentation: str) -> None:
    pixels, images = _images()
    indices, generator = shuffled_batches(60, 20, _seeded()), _seeded(1)
    expected = [augment(pixels[index], augmentation, generator) for index in indices]
    for (found, _), wanted in zip(images.batches(indices, augmentation, _seeded(1)), expected, strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("augmentation", ["none", "crop", "flip_crop", "resized_crop"])
def test_some_rows_of_each_batch_are_as_they_are_in_the_whole(augmentation: str) -> None:
    _, images = _images()
    whole, some = (
        list(BatchStream(images, TrialSpec.build(settings), rows=rows).epoch(_seeded()))
        for settings in ({"dataset": "digits", "batch_size": 16, "augmentation": augmentation},)
        for rows in (slice(None), slice(5, 12))
    )
    for (pixels, labels), (some_pixels, some_labels) in zip(whole, some, strict=True):
        assert torch.equal(some_pixels, pixels[5:12]) and torch.equal(some_labels, labels[5:12])
