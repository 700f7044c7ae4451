"""Arrays on disk, and arrays that come decoded."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike
from PIL import Image

from tune_lpc.training.data.contents import DIGEST_BYTES, as_array, digest_of_pixels
from tune_lpc.training.data.pixels import pixels_of

CHUNK = 4096
"""Images handled at once."""


def new_array(file: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.memmap:
    """A new .npy file of that shape, mapped for writing. Raises OSError when it can't be written."""
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.dtype(dtype), shape=shape)
    if hasattr(os, "posix_fallocate"):
        # A mapped file has holes until it is written; on a full disk writing to a hole kills the process.
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return array


def write_arrays(images: np.ndarray, labels: np.ndarray, image_size: int | None, folder: Path) -> None:
    """Write images.npy, labels.npy and digests.npy, the digests before scaling.

    images: uint8 (n, height, width, channels), scaled when image_size is given.
    """
    height, width = images.shape[1:3] if image_size is None else (image_size, image_size)
    out = new_array(folder / "images.npy", (len(images), height, width, images.shape[3]), np.uint8)
    if (height, width) == images.shape[1:3]:
        for i in range(0, len(images), CHUNK):
            out[i : i + CHUNK] = images[i : i + CHUNK]
    else:
        grey = images.shape[3] == 1
        for i, pixels in enumerate(images):
            out[i] = pixels_of(
                Image.fromarray(pixels[:, :, 0] if grey else np.ascontiguousarray(pixels)), grey, image_size
            )
    out.flush()
    write_labels(labels, folder)
    write_digests(as_array(b"".join(digest_of_pixels(pixels) for pixels in images)), folder)


def write_labels(labels: np.ndarray, folder: Path) -> None:
    """Write labels.npy, int64 (n,)."""
    out = new_array(folder / "labels.npy", labels.shape, np.int64)
    out[:] = labels
    out.flush()


def write_digests(digests: np.ndarray, folder: Path) -> None:
    """Write digests.npy, uint8 (n, 16)."""
    out = new_array(folder / "digests.npy", (len(digests), DIGEST_BYTES), np.uint8)
    out[:] = digests
    out.flush()


def leave_out(rows: np.ndarray, folder: Path) -> None:
    """Take these rows out of images.npy, labels.npy and digests.npy, and out of the files for good."""
    for name in ("images.npy", "labels.npy", "digests.npy"):
        whole = np.load(folder / name, mmap_mode="r", allow_pickle=False)
        kept = np.setdiff1d(np.arange(len(whole)), rows, assume_unique=True)
        out = new_array(folder / "kept.npy", (len(kept), *whole.shape[1:]), whole.dtype)
        for i in range(0, len(kept), CHUNK):
            out[i : i + CHUNK] = whole[kept[i : i + CHUNK]]
        out.flush()
        (folder / "kept.npy").replace(folder / name)


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 over the shape, the images and the labels: the same data give the same text, wherever they lay."""
    digest = hashlib.sha256(repr(tuple(int(side) for side in images.shape)).encode())
    for i in range(0, len(images), CHUNK):
        digest.update(np.ascontiguousarray(images[i : i + CHUNK]).data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()
