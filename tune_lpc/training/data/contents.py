"""What images show, told by digests: copies of an image are found by them, whatever their names and places.

Two images are copies when their files have the same bytes, or, where the pixels are decoded, the same pixels before
any scaling. Digests of stored images are those of their bytes, so that they are the same for images in memory and on
disk, and for every image_size.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

DIGEST_BYTES = 16
_SALTED = hashlib.sha256(b"tune_lpc: contents of images 1")
"""Images kept apart are chosen by their digests, so this text is the seed of that choice."""


class Copies(NamedTuple):
    """images: different ones that occur more than once. relabelled: those among them with more than one label."""

    images: int
    relabelled: int

    def describe(self) -> str | None:
        """One phrase for people; None where there are none."""
        if not self.images:
            return None
        occur = "image occurs" if self.images == 1 else "images occur"
        labels = f", {self.relabelled:,} of them with different labels" if self.relabelled else ""
        return f"{self.images:,} {occur} more than once{labels}; copies stay on one side"


def digest_of_bytes(stored: bytes) -> bytes:
    """The digest of an image as it is stored, 16 bytes."""
    digest = _SALTED.copy()
    digest.update(stored)
    return digest.digest()[:DIGEST_BYTES]


def digest_of_pixels(pixels: np.ndarray) -> bytes:
    """The digest of a decoded image, uint8 (height, width, channels), 16 bytes."""
    digest = _SALTED.copy()
    digest.update(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()[:DIGEST_BYTES]


def hash_of_pixels(pixels: np.ndarray) -> int:
    """A number for a decoded image, uint8 (height, width, channels), the same for the same pixels in this process.

    Much cheaper than a digest, and of 64 bits: two different ones of a million images share one with probability 3e-8.
    """
    return hash((pixels.shape, pixels.tobytes()))


def as_array(digests: bytes | bytearray) -> np.ndarray:
    """Digests one after another as uint8 (n, 16)."""
    return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)


def number_contents(digests: np.ndarray) -> np.ndarray:
    """A number for each image, int64 (n,): the same for copies, from 0 in the order of the digests, uint8 (n, 16).

    So the numbers are in an order that is as good as drawn, and follows from the images alone.
    """
    first, second = np.ascontiguousarray(digests).view(">u8").astype(np.uint64).T
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    numbers = np.zeros(len(digests), np.int64)
    numbers[order[1:]] = np.cumsum((first[1:] != first[:-1]) | (second[1:] != second[:-1]))
    return numbers


def merged(stored: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Digests that are the same for images that show the same, uint8 (n, 16): the first of those of their stored forms.

    stored: digests of the bytes, uint8 (n, 16). shown: hashes of the pixels, int64 (n,).
    """
    _, contents = np.unique(shown, return_inverse=True)
    order = np.lexsort((number_contents(stored), contents))
    _, first = np.unique(contents[order], return_index=True)
    result: np.ndarray = stored[order[first]][contents]
    return result


def relabelled(contents: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether a copy of each image has another label, bool (n,). contents: as `number_contents` gives them."""
    classes = int(labels.max()) + 1
    pairs = np.unique(contents * classes + labels)
    result: np.ndarray = np.bincount(pairs // classes)[contents] > 1
    return result


def count_copies(contents: np.ndarray, labels: np.ndarray) -> Copies:
    """How many images occur more than once. contents: as `number_contents` gives them."""
    several = np.unique(contents[relabelled(contents, labels)])
    return Copies(int((np.bincount(contents) > 1).sum()), len(several))
