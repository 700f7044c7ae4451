"""From PNG or JPEG to one uint8 array: a look at every header, then the pixels, in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from tune_lpc.training.data.arrays import new_array
from tune_lpc.training.data.contents import DIGEST_BYTES, as_array, merged
from tune_lpc.training.data.pixels import Encoded, Header, read_header, read_with_digests
from tune_lpc.training.data.problems import Problems, one_line

SLICE = 64
"""Images that a thread takes at once."""

Result = TypeVar("Result")


class EncodedImages(Protocol):
    """Images that are not decoded yet."""

    def __len__(self) -> int: ...

    def chunks(self) -> Iterator[tuple[int, list[Encoded]]]:
        """All images in order, in chunks, each with the index of its first."""
        ...

    def place(self, index: int) -> str:
        """Where image `index` lies, for messages."""
        ...


def decode(encoded: EncodedImages, image_size: int | None, problems: Problems, file: Path) -> np.ndarray:
    """Write the images to `file` as .npy, uint8 (n, height, width, channels); 1 channel when all are grey, else 3.

    Returns what the images show: digests, uint8 (n, 16), the same for copies of an image.
    With an image_size the shorter side is scaled to it and the middle kept. Adds a problem for each broken image
    and for images of different sizes. When there are problems, now or before, nothing is written; all images are
    decoded none the less, so that every broken one is found.
    """
    with decoding_threads() as pool:
        headers: dict[Header, int] = {}
        broken: set[int] = set()
        for i, header in each(pool, encoded, read_header):
            if isinstance(header, str):
                broken.add(i)
                problems.add(broken_image(encoded.place(i), header))
            else:
                headers.setdefault(header, i)
        if image_size is None:
            _check_sizes(headers, encoded, problems)
        if not headers:
            return np.zeros((0, DIGEST_BYTES), np.uint8)

        grey = all(header.grey for header in headers)
        height, width = next((h.height, h.width) for h in headers) if image_size is None else (image_size, image_size)
        shape = (len(encoded), height, width, 1 if grey else 3)
        out = None if problems else new_array(file, shape, np.uint8)
        stored, shown = bytearray(), np.zeros(len(encoded), np.int64)
        for i, read in each(pool, encoded, lambda item: read_with_digests(item, grey, image_size)):
            if isinstance(read, str):
                if i not in broken:
                    problems.add(broken_image(encoded.place(i), read))
            elif out is not None:
                out[i] = read[0]
                stored += read[1]
                shown[i] = read[2]
        if out is None or problems:
            return np.zeros((0, DIGEST_BYTES), np.uint8)
        out.flush()
        return merged(as_array(stored), shown)


def decoding_threads() -> ThreadPoolExecutor:
    """Threads enough to keep the cores busy: Pillow lets others run while it decodes."""
    return ThreadPoolExecutor(min(16, os.cpu_count() or 1))


def each(
    pool: ThreadPoolExecutor, encoded: EncodedImages, work: Callable[[Encoded], Result]
) -> Iterator[tuple[int, Result | str]]:
    """Yield index and result for each image in order; the reason as text where an image can't be decoded."""

    def work_on(items: list[Encoded]) -> list[Result | str]:
        return [attempt(work, item) for item in items]

    for first, items in encoded.chunks():
        slices = [items[i : i + SLICE] for i in range(0, len(items), SLICE)]
        for number, results in enumerate(pool.map(work_on, slices)):
            for offset, result in enumerate(results):
                yield first + number * SLICE + offset, result


def attempt(work: Callable[[Encoded], Result], item: Encoded) -> Result | str:
    """What `work` makes of an image; the reason as text where the image can't be decoded."""
    try:
        return work(item)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise errors of many types for broken images
        # Pillow ends such messages with the address of its buffer, which tells nobody anything.
        return one_line(error).replace(" <_io.BytesIO object", "").split(" at 0x")[0]


def broken_image(place: str, reason: str) -> str:
    """The problem to tell of a broken image."""
    return f"{place}: the image is broken ({reason}); replace or remove it"


def _check_sizes(headers: dict[Header, int], encoded: EncodedImages, problems: Problems) -> None:
    sizes: dict[tuple[int, int], int] = {}
    for header, i in headers.items():
        sizes.setdefault((header.width, header.height), i)
    if len(sizes) > 1:
        (size_a, a), (size_b, b) = list(sizes.items())[:2]
        problems.add(
            f"images differ in size: {size_a[0]} x {size_a[1]} ({encoded.place(a)}), {size_b[0]} x {size_b[1]} "
            f"({encoded.place(b)}), but must be of one size; scale them with --set image_size=32, say"
        )
