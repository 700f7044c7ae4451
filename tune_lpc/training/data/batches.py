"""From uint8 images, in memory or on disk, to normalised, augmented batches on the training device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from tune_lpc.plan.batching import GroupedBatches
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.data.augmentation import apply, draw, on_device, part_of
from tune_lpc.training.data.disk import DiskImages, DiskReader
from tune_lpc.training.data.normalisation import channel_statistics

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Of pixels (batch, height, width, channels) uint8, by random numbers on their device."""
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
        return channel_statistics(self.pixels(index) for index in torch.arange(len(self)).split(_STATISTICS_CHUNK))

    def batches(
        self, indices: Sequence[Tensor], augmentation: str, generator: torch.Generator, rows: slice = slice(None)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the augmented pixels and the labels, on the device, of each index of `indices`, each (batch,).

        rows: of each batch, to yield these alone, as they are in the whole batch.
        """
        height, width = self._images.shape[1:3]
        draws = [draw(augmentation, len(index), height, width, generator) for index in indices]
        if rows != slice(None):
            draws, indices = [part_of(drawn, rows) for drawn in draws], [index[rows] for index in indices]
        if self._rows is None:
            # All of an epoch at once: a copy to the device for each batch would wait for the batch before.
            indices = torch.cat(list(indices)).to(self.device).split([len(index) for index in indices])
        for index, drawn in zip(indices, on_device(draws, self.device), strict=True):
            yield apply(self.pixels(index), drawn), self.labels_at(index)


def select_rows(images: Tensor | DiskReader, labels: Tensor, rows: Tensor, device: torch.device) -> Images | DiskImages:
    """Some rows of a data set that is in memory, or that stays on disk."""
    if isinstance(images, Tensor):
        return Images(images, labels, rows, device)
    return DiskImages(images, labels, rows, device)


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


class BatchStream:
    """Batches of an epoch, as `spec` asks, normalised with the training images' statistics.

    own: an augmentation of the user's own, where the spec names one. normalisation: mean and deviation of each channel
    in place of these statistics, as pretrained weights need them. dtype: of the normalised images. rows: of each batch,
    where other processes train on the others.
    """

    def __init__(
        self,
        training: Images | DiskImages,
        spec: TrialSpec,
        own: Augmentation | None = None,
        normalisation: tuple[list[float], list[float]] | None = None,
        dtype: torch.dtype = torch.float32,
        rows: slice = slice(None),
    ) -> None:
        self._images, self._spec, self._own = training, spec, own
        self._dtype, self._rows = dtype, rows
        if normalisation is None:
            mean, deviation = training.mean_and_deviation()
        else:
            mean, deviation = (torch.tensor(part, device=training.device) for part in normalisation)
        self.mean, self.deviation = mean.to(dtype), deviation.to(dtype)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(batch, height, width, channels) uint8 to (batch, channels, height, width), channels-last memory."""
        return ((pixels.to(self._dtype) / 255 - self.mean) / self.deviation).permute(0, 3, 1, 2)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, labels) batches; everything random comes from `generator` (on the CPU)."""
        made_of, images = self._spec.batches, self._images
        if isinstance(made_of, GroupedBatches):
            batches = grouped_batches(images.labels, made_of.groups, made_of.group_size, made_of.epoch_unit, generator)
        else:
            batches = shuffled_batches(len(images), made_of.batch_size, generator)
        if self._own is None:
            augmented = images.batches(batches, self._spec.augmentation, generator, self._rows)
        else:
            augmented = self._augmented_by(self._own, images.batches(batches, "none", generator), generator)
        for pixels, of_batch in augmented:
            yield self.normalise(pixels), of_batch

    def _augmented_by(
        self, own: Augmentation, batches: Iterable[tuple[Tensor, Tensor]], generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        seed = int(torch.randint(2**31, (), generator=generator))
        on_device = torch.Generator(self._images.device).manual_seed(seed)
        for pixels, of_batch in batches:
            yield own(pixels, on_device), of_batch

    def in_order(
        self, images: Images | DiskImages, batch_size: int, rows: slice = slice(None)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image of `images`, or of its `rows`, once, in order, not augmented."""
        indices = torch.arange(len(images))[rows].split(batch_size)
        for pixels, labels in images.batches(indices, "none", torch.Generator()):
            yield self.normalise(pixels), labels
