"""From the uint8 images in memory to normalised, augmented batches on the training device."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tune_lpc.spec.trial import TrialSpec

CROP_PADDING = 4
_STATISTICS_CHUNK = 4096


class Images:
    """Some rows of a data set, with their labels, and the normalisation that all rows share.

    images: (n, height, width, channels) uint8, of the whole data set; never copied on the CPU, held on a GPU as the
    rows in use. rows: (m,) the rows that belong here.
    """

    def __init__(self, images: Tensor, labels: Tensor, rows: Tensor, device: torch.device) -> None:
        on_device = device.type != "cpu"
        self._images = images[rows].to(device) if on_device else images
        self._rows = None if on_device else rows
        self.labels = labels[rows]
        self._labels_on_device = self.labels.to(device)
        self.device = device

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, index: Tensor) -> Tensor:
        """The images at `index` (batch,), counted within these rows: (batch, height, width, channels) uint8."""
        rows = index.to(self.device, non_blocking=True) if self._rows is None else self._rows[index]
        return self._images[rows]

    def labels_at(self, index: Tensor) -> Tensor:
        """The labels at `index` (batch,), on the device."""
        return self._labels_on_device[index.to(self.device, non_blocking=True)]

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over these rows, each (channels,), pixels scaled to 0 … 1."""
        total = squares = torch.zeros((), dtype=torch.float64, device=self.device)
        pixels = 0
        for index in torch.arange(len(self)).split(_STATISTICS_CHUNK):
            chunk = self.pixels(index).flatten(0, 2).to(torch.float64) / 255
            total, squares = total + chunk.sum(dim=0), squares + chunk.square().sum(dim=0)
            pixels += chunk.shape[0]
        mean = total / pixels
        deviation = (squares / pixels - mean.square()).clamp_min(0).sqrt()
        # A channel without any variation is only centred.
        return mean.float(), torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)).float()


def shuffled_batches(images: int, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Row indices of an epoch of full batches in random order; what doesn't fill a last batch sits this epoch out."""
    order = torch.randperm(images, generator=generator)
    if images <= batch_size:
        return [order]
    return list(order[: images - images % batch_size].split(batch_size))


def grouped_batches(
    labels: Tensor, groups: int, group_size: int, epoch_unit: str, generator: torch.Generator
) -> list[Tensor]:
    """Row indices of an epoch of batches made of same-class groups, each (groups * group_size,), group after group.

    A group is an anchor and group_size - 1 images drawn with replacement from the anchor's class (arXiv 2002.04805).
    epoch_unit "anchors": each image is the anchor of a group once, but for the last that don't fill a batch;
    "images": as many batches as draw each image once on average.
    labels: (images,) whole numbers on the CPU.
    """
    images = len(labels)
    per_batch = groups if epoch_unit == "anchors" else groups * group_size
    batches = max(1, images // per_batch)
    permutations = math.ceil(batches * groups / images)
    anchors = torch.cat([torch.randperm(images, generator=generator) for _ in range(permutations)])
    anchors = anchors[: batches * groups]
    by_class = labels.argsort(stable=True)
    counts = labels.bincount()
    first = counts.cumsum(0) - counts
    drawn = torch.rand(len(anchors), group_size - 1, generator=generator, dtype=torch.float64)
    of_class = labels[anchors][:, None]
    mates = by_class[first[of_class] + (drawn * counts[of_class]).long()]
    return list(torch.cat([anchors[:, None], mates], dim=1).reshape(batches, groups * group_size))


def augment(pixels: Tensor, augmentation: str, generator: torch.Generator) -> Tensor:
    """Random crop with 4 black pixels of padding, and with "flip_crop" a random horizontal flip, a batch at a time.

    pixels: (batch, height, width, channels) uint8; returns the same shape. The random draws are made on the CPU, so
    that they are the same on every device.
    """
    if augmentation == "none":
        return pixels
    batch, height, width, _ = pixels.shape
    offsets = torch.randint(0, 2 * CROP_PADDING + 1, (2, batch, 1), generator=generator)
    rows = offsets[0] + torch.arange(height)
    columns = offsets[1] + torch.arange(width)
    if augmentation == "flip_crop":
        flipped = torch.rand(batch, 1, generator=generator) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
    padded = torch.nn.functional.pad(pixels, (0, 0, CROP_PADDING, CROP_PADDING, CROP_PADDING, CROP_PADDING))
    each = torch.arange(batch, device=pixels.device)[:, None, None]
    return padded[each, rows.to(pixels.device)[:, :, None], columns.to(pixels.device)[:, None, :]]


class BatchStream:
    """Batches of an epoch, as `spec` asks, normalised with the training images' statistics."""

    def __init__(self, training: Images, spec: TrialSpec) -> None:
        self._images = training
        self._spec = spec
        self._mean, self._deviation = training.mean_and_deviation()

    def normalise(self, pixels: Tensor) -> Tensor:
        """(batch, height, width, channels) uint8 to (batch, channels, height, width) float32, channels-last memory."""
        return ((pixels.float() / 255 - self._mean) / self._deviation).permute(0, 3, 1, 2)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, labels) batches; everything random comes from `generator` (on the CPU)."""
        spec, images = self._spec, self._images
        if spec.grouped:
            batches = grouped_batches(images.labels, spec.groups, spec.group_size, spec.epoch_unit, generator)
        else:
            batches = shuffled_batches(len(images), spec.batch_size, generator)
        for index in batches:
            pixels = augment(images.pixels(index), spec.augmentation, generator)
            yield self.normalise(pixels), images.labels_at(index)

    def in_order(self, images: Images, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image of `images` once, in order, not augmented."""
        for index in torch.arange(len(images)).split(batch_size):
            yield self.normalise(images.pixels(index)), images.labels_at(index)
