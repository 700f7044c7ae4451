"""One image: its header, its pixels, its scaling."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tune_lpc.training.data.contents import digest_of_bytes, hash_of_pixels

Encoded = bytes | Path | None
"""An image as it is stored: its bytes, its file, or None where the bytes are missing."""

GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N")


class Header(NamedTuple):
    """What the header of an image tells."""

    width: int
    height: int
    grey: bool


class Crop(NamedTuple):
    """A part of an image, in pixels, and whether it is mirrored after scaling."""

    left: int
    upper: int
    width: int
    height: int
    mirrored: bool


def read_header(item: Encoded) -> Header:
    """Size and greyness, without decoding the pixels."""
    with _open(item) as image:
        return Header(image.width, image.height, image.mode in GREY_MODES)


def read_pixels(item: Encoded, grey: bool, image_size: int | None) -> np.ndarray:
    """The pixels, uint8 (height, width, 1 or 3)."""
    with _open(item) as image:
        return pixels_of(image, grey, image_size)


def read_with_digests(item: Encoded, grey: bool, image_size: int | None) -> tuple[np.ndarray, bytes, int]:
    """The pixels as `read_pixels` gives them, the digest of the bytes, and the hash of the pixels before scaling."""
    stored = _stored(item)
    with _open(stored) as opened:
        image = _converted(opened, grey)
        whole = _array(image)
        pixels = whole if _fits(image, image_size) else pixels_of(image, grey, image_size)
        return pixels, digest_of_bytes(stored), hash_of_pixels(whole)


def read_header_and_digest(item: Encoded) -> tuple[Header, bytes]:
    """Size and greyness, without decoding the pixels, and the digest of the bytes."""
    stored = _stored(item)
    return read_header(stored), digest_of_bytes(stored)


def read_crop(item: Encoded, grey: bool, image_size: int, crop: Crop) -> np.ndarray:
    """A crop scaled to a square of side `image_size`, uint8 (image_size, image_size, 1 or 3)."""
    with _open(item) as opened:
        box = (crop.left, crop.upper, crop.left + crop.width, crop.upper + crop.height)
        if box[2] > opened.width or box[3] > opened.height:
            raise ValueError(f"it is {opened.width} x {opened.height} now, smaller than when the run began")
        image = _converted(opened, grey).crop(box)
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
        return _array(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if crop.mirrored else image)


def pixels_of(image: Image.Image, grey: bool, image_size: int | None) -> np.ndarray:
    """The pixels of an open image, uint8 (height, width, 1 or 3); scaled to a square when an image_size is given."""
    image = _converted(image, grey)
    if image_size is not None and not _fits(image, image_size):
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR, box=box)
    return _array(image)


def _fits(image: Image.Image, image_size: int | None) -> bool:
    return image_size is None or image.size == (image_size, image_size)


def _converted(image: Image.Image, grey: bool) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits a pixel: keep the upper 8. Pillow's own conversion would cut off everything above 255.
        image = Image.fromarray(np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8))
    return image.convert("L" if grey else "RGB")


def _array(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _open(item: Encoded) -> Image.Image:
    # Pillow reads of a file only what it needs, a header say.
    return Image.open(item if isinstance(item, Path) else io.BytesIO(_stored(item)))


def _stored(item: Encoded) -> bytes:
    if item is None:
        raise ValueError("the image bytes are missing")
    return item.read_bytes() if isinstance(item, Path) else item
