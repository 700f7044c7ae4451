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

GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
"""Grey with more than 8 bits a pixel."""
BITS = (8, 10, 12, 14, 16)
"""Depths that cameras and scanners have."""
HALF = 2**7
"""The least that the upper 8 of 16 bits reach where all 16 are used."""
BACKGROUND = "white"
"""What shows through transparent pixels."""
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What an orientation of EXIF asks for."""
_SIDEWAYS = (5, 6, 7, 8)
_PNG_SAYS = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
"""One of these is in a PNG that says how it is to be turned, perhaps behind its pixels."""
_EXIF_KEYS = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}


class RefusedImageError(ValueError):
    """A sound image that can't be taken; the text says why, and the mend."""


class Header(NamedTuple):
    """What a file tells of its image.

    width, height: as it is to be shown. grey: whether 1 channel holds it. highest: the highest value of a grey image of
    more than 8 bits a pixel, 0 for others. upper: the same of the upper 8 bits of one in colour, of which Pillow reads
    no more. several: whether more images follow the first, which is the one that is read.
    """

    width: int
    height: int
    grey: bool
    highest: int = 0
    upper: int = 0
    several: bool = False


class Form(NamedTuple):
    """What all images of a data set are made into. grey: 1 channel, else 3. bits: a pixel of a deep image has."""

    grey: bool
    bits: int = 16


class Crop(NamedTuple):
    """A part of an image, in pixels, and whether it is mirrored after scaling."""

    left: int
    upper: int
    width: int
    height: int
    mirrored: bool


def bits_of(highest: int) -> int:
    """The bits a pixel that a data set has in which no value is higher; 16 where it has no deep image."""
    return next(bits for bits in BITS if highest < 2**bits) if highest else BITS[-1]


def read_header(item: Encoded) -> Header:
    """What the file tells, as far as can be without decoding the pixels."""
    if isinstance(item, Path) and item.suffix.lower() == ".png":
        item = item.read_bytes()  # all of it is looked through, so it is opened but once
    with _open(item) as image:
        _refuse(image)
        width, height = image.size
        if image.format != "TIFF" and _orientation(image, item) in _SIDEWAYS:  # of TIFF Pillow turns the size itself
            width, height = height, width
        is_deep = image.mode in DEEP_MODES
        several = bool(getattr(image, "is_animated", False))
        highest = upper = 0
        if is_deep:
            highest = _highest(image)
        elif ";16" in _raw_mode(image):
            upper = int(np.asarray(image.convert("RGB")).max())
        return Header(width, height, is_deep or image.mode in GREY_MODES, highest, upper, several)


def read_pixels(item: Encoded, form: Form, image_size: int | None) -> np.ndarray:
    """The pixels, uint8 (height, width, 1 or 3)."""
    with _open(item) as image:
        return _scaled(_converted(image, form), image_size)


def read_with_digests(item: Encoded, form: Form, image_size: int | None) -> tuple[np.ndarray, bytes, int]:
    """The pixels as `read_pixels` gives them, the digest of the bytes, and the hash of the pixels before scaling."""
    stored = _stored(item)
    with _open(stored) as opened:
        image = _converted(opened, form)
        whole = _array(image)
        pixels = whole if _fits(image, image_size) else _scaled(image, image_size)
        return pixels, digest_of_bytes(stored), hash_of_pixels(whole)


def read_header_and_digest(item: Encoded) -> tuple[Header, bytes]:
    """What the file tells, and the digest of the bytes."""
    stored = _stored(item)
    return read_header(stored), digest_of_bytes(stored)


def read_crop(item: Encoded, form: Form, image_size: int, crop: Crop) -> np.ndarray:
    """A crop scaled to a square of side `image_size`, uint8 (image_size, image_size, 1 or 3)."""
    with _open(item) as opened:
        box = (crop.left, crop.upper, crop.left + crop.width, crop.upper + crop.height)
        image = _converted(opened, form)
        if box[2] > image.width or box[3] > image.height:
            raise ValueError(f"it is {image.width} x {image.height} now, smaller than when the run began")
        image = image.crop(box)
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
        return _array(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if crop.mirrored else image)


def pixels_of(image: Image.Image, grey: bool, image_size: int | None) -> np.ndarray:
    """The pixels of an image, uint8 (height, width, 1 or 3); scaled to a square when an image_size is given."""
    return _scaled(_converted(image, Form(grey)), image_size)


def _scaled(image: Image.Image, image_size: int | None) -> np.ndarray:
    """The pixels; with an image_size the shorter side is scaled to it and the middle kept."""
    if image_size is not None and not _fits(image, image_size):
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR, box=box)
    return _array(image)


def _fits(image: Image.Image, image_size: int | None) -> bool:
    return image_size is None or image.size == (image_size, image_size)


def _converted(image: Image.Image, form: Form) -> Image.Image:
    """The image as it is to be shown: turned, on the background, of 8 bits, with 1 channel or 3."""
    _refuse(image)
    image.load()  # some files say only behind their pixels how they are to be turned
    turn = _TURNS.get(_orientation(image))
    if turn is None and image.mode == ("L" if form.grey else "RGB") and "transparency" not in image.info:
        return image  # as most are
    if image.mode in DEEP_MODES:
        image = _shallow(image, form.bits)
    elif image.has_transparency_data:
        on_top = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", on_top.size, BACKGROUND), on_top).convert("RGB")
    image = image.convert("L" if form.grey else "RGB")
    return image if turn is None else image.transpose(turn)


def _refuse(image: Image.Image) -> None:
    """Raise RefusedImageError for what has no pixels of 8 or 16 bits."""
    if image.mode == "F":
        raise RefusedImageError(
            "the image holds floating-point values, which have no range of their own; store 8 or 16 bits a channel"
        )
    if image.mode == "LAB":
        raise RefusedImageError("the colours of the image are LAB, which are not read; store it as RGB")


def _shallow(image: Image.Image, bits: int) -> Image.Image:
    """The upper 8 of so many bits, on the background."""
    values, transparent = np.asarray(image).astype(np.int64), image.info.get("transparency")
    pixels = np.clip(values >> (bits - 8), 0, 255).astype(np.uint8)  # a test image may be brighter than all others
    if isinstance(transparent, int):
        pixels[values == transparent] = 255
    return Image.fromarray(pixels)


def _highest(image: Image.Image) -> int:
    """The highest value of a deep image. Raises RefusedImageError for values that are not of 16 bits."""
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= 2 ** BITS[-1]:
        raise RefusedImageError(
            f"the values of the image go from {low:,} to {high:,}, but must be from 0 to {2 ** BITS[-1] - 1:,}; "
            "store 8 or 16 bits a pixel"
        )
    return high


def _orientation(image: Image.Image, item: Encoded = None) -> int:
    """How EXIF or XMP says that an open image is to be turned; 1 for as it is.

    item: where the image has not been decoded yet: a PNG may say it behind its pixels, which are only then decoded.
    """
    if item is not None and image.format == "PNG":
        stored = _stored(item)
        if not any(word in stored for word in _PNG_SAYS):
            return 1
    elif image.format in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM") and _EXIF_KEYS.isdisjoint(image.info):
        return 1  # a quicker look than Pillow's
    return int(image.getexif().get(_ORIENTATION, 1))


def _raw_mode(image: Image.Image) -> str:
    """How the pixels are stored, in Pillow's words; empty where it does not tell."""
    tiles = getattr(image, "tile", None)
    told = tiles[0].args if tiles else ""
    return str(told[0] if isinstance(told, tuple) and told else told)


def _array(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _open(item: Encoded) -> Image.Image:
    # Pillow reads of a file only what it needs, a header say.
    try:
        return Image.open(item if isinstance(item, Path) else io.BytesIO(_stored(item)))
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise RefusedImageError(
            f"the image has more than {most:,} pixels, the most that are read, as it might be made to fill the "
            "memory; make it smaller"
        ) from error


def _stored(item: Encoded) -> bytes:
    if item is None:
        raise ValueError("the image bytes are missing")
    return item.read_bytes() if isinstance(item, Path) else item
