from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from tests.training.data.samples import random_images
from tune_lpc.training.data.augmentation import CROP_PADDING, Crops, augment, random_crops, resize_crops


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Shifts within a black frame


def _by_hand(image: np.ndarray, row: int, column: int, flip: bool) -> np.ndarray:
    """The crop of one image at this offset in its black frame, then mirrored or not."""
    height, width, _ = image.shape
    framed = np.zeros((height + 2 * CROP_PADDING, width + 2 * CROP_PADDING, image.shape[2]), np.uint8)
    framed[CROP_PADDING : CROP_PADDING + height, CROP_PADDING : CROP_PADDING + width] = image
    crop = framed[row : row + height, column : column + width]
    return crop[:, ::-1] if flip else crop


@pytest.mark.parametrize(("augmentation", "flips"), [("crop", {False}), ("flip_crop", {False, True})])
def test_each_image_is_shifted_within_a_black_frame_and_perhaps_mirrored(augmentation: str, flips: set[bool]) -> None:
    images = random_images(200, 8)
    augmented = augment(torch.from_numpy(images), augmentation, _seeded()).numpy()
    assert augmented.shape == images.shape
    assert augmented.dtype == np.uint8
    seen = set()
    places = range(2 * CROP_PADDING + 1)
    for before, after in zip(images, augmented, strict=True):
        matches = [
            (row, column, flip)
            for row in places
            for column in places
            for flip in (False, True)
            if np.array_equal(_by_hand(before, row, column, flip), after)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert {flip for _, _, flip in seen} == flips
    assert {row for row, _, _ in seen} == {column for _, column, _ in seen} == set(places)


def test_about_half_of_the_images_are_mirrored() -> None:
    # A white left half stays on the left in an image that is not mirrored, wherever it is shifted.
    images = torch.zeros(1000, 16, 16, 1, dtype=torch.uint8)
    images[:, :, :8] = 255
    augmented = augment(images, "flip_crop", _seeded()).float()
    mirrored = augmented[:, :, 12:].sum(dim=(1, 2, 3)) > augmented[:, :, :4].sum(dim=(1, 2, 3))
    assert 440 < int(mirrored.sum()) < 560


def test_without_augmentation_nothing_changes_and_nothing_is_drawn() -> None:
    pixels, generator = torch.from_numpy(random_images(4)), _seeded()
    before = generator.get_state()
    assert augment(pixels, "none", generator) is pixels
    assert torch.equal(generator.get_state(), before)


# Crops that are scaled


def _drawn(width: int, height: int, images: int = 4000, seed: int = 0) -> Crops:
    return random_crops(torch.full((images,), width), torch.full((images,), height), _seeded(seed))


@pytest.mark.parametrize(("width", "height"), [(32, 32), (60, 40), (9, 200), (300, 20), (1, 1), (8, 8)])
def test_crops_lie_within_their_image(width: int, height: int) -> None:
    left, upper, across, down = _drawn(width, height).boxes.unbind(dim=1)
    assert int(torch.stack([left, upper]).min()) >= 0
    assert int(torch.stack([across, down]).min()) >= 1
    assert int((left + across).max()) <= width
    assert int((upper + down).max()) <= height


@pytest.mark.parametrize(("width", "height"), [(64, 64), (90, 60)])
def test_crops_are_drawn_as_torchvision_draws_them(width: int, height: int) -> None:
    boxes, mirrored = _drawn(width, height)
    transform = v2.RandomResizedCrop(16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        image = torch.zeros(3, height, width)
        theirs = [transform.make_params([image]) for _ in range(4000)]
    reference = np.array([[crop[name] for name in ("left", "top", "width", "height")] for crop in theirs])
    # Within four standard errors of a mean over 4,000, of the difference of two.
    for ours, its in zip(boxes.numpy().T, reference.T, strict=True):
        assert abs(ours.mean() - its.mean()) < 4 * np.sqrt(2 / 4000) * its.std()
        assert ours.std() == pytest.approx(its.std(), rel=0.06)
    assert 1850 < int(mirrored.sum()) < 2150


@pytest.mark.parametrize(("width", "height"), [(10, 400), (400, 10)])
def test_where_no_attempt_fits_the_largest_crop_in_the_middle_is_taken(width: int, height: int) -> None:
    short = min(width, height)
    long_side = round(short * 4 / 3)
    boxes = {tuple(box) for box in _drawn(width, height, 500).boxes.tolist()}
    middle = (400 - long_side) // 2
    assert ((0, middle, short, long_side) if width < height else (middle, 0, long_side, short)) in boxes


@pytest.mark.parametrize("channels", [1, 3])
def test_crops_in_memory_are_scaled_as_torchvision_scales_them(channels: int) -> None:
    images = torch.from_numpy(random_images(40, 24, channels))
    boxes, mirrored = crops = _drawn(24, 24, 40)
    scaled = resize_crops(images, crops)
    assert scaled.shape == images.shape
    assert scaled.dtype == torch.uint8
    for image, (left, upper, width, height), flip, got in zip(images, boxes.tolist(), mirrored, scaled, strict=True):
        wanted = functional.resized_crop(
            image.permute(2, 0, 1).float(), upper, left, height, width, [24, 24], InterpolationMode.BILINEAR, False
        )
        wanted = functional.horizontal_flip(wanted) if flip else wanted
        assert (got.permute(2, 0, 1).float() - wanted).abs().max() <= 0.51


def test_the_whole_image_as_a_crop_changes_nothing() -> None:
    images = torch.from_numpy(random_images(2, 8))
    boxes = torch.tensor([[0, 0, 8, 8]] * 2)
    scaled = resize_crops(images, Crops(boxes, torch.tensor([False, True])))
    assert torch.equal(scaled[0], images[0])
    assert torch.equal(scaled[1], images[1].flip(1))


def test_the_same_generator_gives_the_same_crops_and_another_seed_others() -> None:
    images = torch.from_numpy(random_images(16, 16))
    first, again, other = (augment(images, "resized_crop", _seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
