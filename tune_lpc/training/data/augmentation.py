"""Random augmentation: what is drawn, always on the CPU, and its work on a batch of pixels on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

CROP_PADDING = 4
CROP_AREAS = (0.08, 1.0)
"""A random crop's share of the area of its image, uniform."""
CROP_ASPECTS = (3 / 4, 4 / 3)
"""Width by height of a random crop, log-uniform."""
CROP_ATTEMPTS = 10


class Crops(NamedTuple):
    """A crop of each image of a batch, to be scaled to the size of a training image, then mirrored or not.

    boxes: (batch, 4) int64, each left, upper, width, height in pixels. mirrored: (batch,) bool.
    """

    boxes: Tensor
    mirrored: Tensor


def random_crops(widths: Tensor, heights: Tensor, generator: torch.Generator) -> Crops:
    """Crops of random area, aspect and place, half of them mirrored; widths, heights: (batch,) in pixels.

    As torchvision's RandomResizedCrop draws them: the first of ten attempts that fits into the image, else the
    largest crop in its middle whose aspect is allowed. Each batch takes the same number of draws, whatever fits.
    """
    batch = len(widths)
    drawn = torch.rand(batch, 2 * CROP_ATTEMPTS + 3, generator=generator, dtype=torch.float64)
    across, down = widths.double()[:, None], heights.double()[:, None]
    areas = across * down * (CROP_AREAS[0] + (CROP_AREAS[1] - CROP_AREAS[0]) * drawn[:, :CROP_ATTEMPTS])
    low, high = (math.log(aspect) for aspect in CROP_ASPECTS)
    aspects = (low + (high - low) * drawn[:, CROP_ATTEMPTS : 2 * CROP_ATTEMPTS]).exp()
    width, height = (areas * aspects).sqrt().round(), (areas / aspects).sqrt().round()
    fits = (width >= 1) & (width <= across) & (height >= 1) & (height <= down)
    first, found = fits.byte().argmax(dim=1, keepdim=True), fits.any(dim=1, keepdim=True)
    width = torch.where(found, width.gather(1, first), torch.minimum(across, (down * CROP_ASPECTS[1]).round()))
    height = torch.where(found, height.gather(1, first), torch.minimum(down, (across / CROP_ASPECTS[0]).round()))
    x, y, mirror = drawn[:, 2 * CROP_ATTEMPTS :].split(1, dim=1)
    left = torch.where(found, (x * (across - width + 1)).floor(), ((across - width) / 2).floor())
    upper = torch.where(found, (y * (down - height + 1)).floor(), ((down - height) / 2).floor())
    return Crops(torch.cat([left, upper, width, height], dim=1).long(), mirror[:, 0] < 0.5)


def resize_crops(pixels: Tensor, crops: Crops) -> Tensor:
    """Each image's crop scaled to the size of the image, bilinearly; pixels: (batch, height, width, channels) uint8."""
    _, height, width, _ = pixels.shape
    boxes = crops.boxes.to(pixels.device, torch.float32)
    columns, rows = _places(boxes[:, 0], boxes[:, 2], width), _places(boxes[:, 1], boxes[:, 3], height)
    columns = torch.where(crops.mirrored.to(pixels.device)[:, None], columns.flip(1), columns)
    grid = torch.stack(torch.broadcast_tensors(columns[:, None, :], rows[:, :, None]), dim=3)
    # A crop is never larger than its image, so it is only ever enlarged and needs no smoothing.
    scaled = grid_sample(pixels.permute(0, 3, 1, 2).float(), grid, padding_mode="border", align_corners=False)
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _places(start: Tensor, length: Tensor, pixels: int) -> Tensor:
    """Where each new pixel takes its value from along one side, (batch, pixels), the whole image being -1 … 1."""
    steps = (torch.arange(pixels, device=start.device) + 0.5) / pixels
    places = start[:, None] + steps * length[:, None]
    # No further out than the middle of the crop's outermost pixels, so that nothing beside the crop seeps in.
    places = torch.minimum(torch.maximum(places, start[:, None] + 0.5), (start + length)[:, None] - 0.5)
    return 2 * places / pixels - 1


class Shifts(NamedTuple):
    """How far each image of a batch is shifted in its black frame, and whether it is mirrored.

    rows, columns: (batch, 1) int64, from 0 to twice the frame. mirrored: (batch, 1) bool.
    """

    rows: Tensor
    columns: Tensor
    mirrored: Tensor


Draws = Shifts | Crops | None
"""What is random about a batch; None where nothing is."""


def draw(augmentation: str, batch: int, height: int, width: int, generator: torch.Generator) -> Draws:
    """The random part of augmenting `batch` images of that size; drawn on the CPU, so the same for every device."""
    if augmentation == "none":
        return None
    if augmentation == "resized_crop":
        return random_crops(torch.full((batch,), width), torch.full((batch,), height), generator)
    rows, columns = torch.randint(0, 2 * CROP_PADDING + 1, (2, batch, 1), generator=generator)
    mirrored = torch.zeros(batch, 1, dtype=torch.bool)
    if augmentation == "flip_crop":
        mirrored = torch.rand(batch, 1, generator=generator) < 0.5
    return Shifts(rows, columns, mirrored)


def part_of(draws: Draws, rows: slice) -> Draws:
    """The draws for some rows of their batch."""
    return None if draws is None else type(draws)(*(part[rows] for part in draws))


def on_device(draws: Sequence[Draws], device: torch.device) -> list[Draws]:
    """The same draws on the device, copied there together: a copy for each batch would wait for the batch before."""
    first = draws[0] if draws else None
    if first is None or device.type == "cpu":
        return list(draws)
    sizes = [len(part.mirrored) for part in draws if part is not None]
    fields = [torch.cat(parts).to(device).split(sizes) for parts in zip(*(part or () for part in draws), strict=True)]
    return [type(first)(*parts) for parts in zip(*fields, strict=True)]


def apply(pixels: Tensor, draws: Draws) -> Tensor:
    """Augment a batch of pixels, (batch, height, width, channels) uint8, as drawn; returns the same shape."""
    if draws is None:
        return pixels
    if isinstance(draws, Crops):
        return resize_crops(pixels, draws)
    batch, height, width, _ = pixels.shape
    rows, columns, mirrored = (part.to(pixels.device, non_blocking=True) for part in draws)
    rows = rows + torch.arange(height, device=pixels.device)
    columns = columns + torch.arange(width, device=pixels.device)
    columns = torch.where(mirrored, columns.flip(1), columns)
    padded = pad(pixels, (0, 0, CROP_PADDING, CROP_PADDING, CROP_PADDING, CROP_PADDING))
    each = torch.arange(batch, device=pixels.device)[:, None, None]
    return padded[each, rows[:, :, None], columns[:, None, :]]


def augment(pixels: Tensor, augmentation: str, generator: torch.Generator) -> Tensor:
    """Augment a batch of pixels, (batch, height, width, channels) uint8; returns the same shape.

    "crop": a random crop with 4 black pixels of padding; "flip_crop": with a random horizontal flip;
    "resized_crop": a random crop scaled to the size of the image, with a random horizontal flip; "none": as it is.
    """
    batch, height, width, _ = pixels.shape
    return apply(pixels, draw(augmentation, batch, height, width, generator))
