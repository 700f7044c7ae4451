"""From PNG or JPEG to one uint8 array: a look at every header, then the pixels, in threads."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from tune_lpc.training.data.arrays import new_array
from tune_lpc.training.data.contents import DIGEST_BYTES, as_array, merged
from tune_lpc.training.data.pillow_warnings import pillow_warnings, reads
from tune_lpc.training.data.pixels import (
    BITS,
    HALF,
    Encoded,
    Form,
    Header,
    RefusedImageError,
    bits_of,
    read_header,
    read_with_digests,
)
from tune_lpc.training.data.problems import Problems, one_line

SLICE = 64
"""Images that a thread takes at once."""

ALL_OF_ONE_COLOUR = (
    "each image is of one colour all over, so there is nothing to learn from them; look at how they were stored"
)

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class EncodedImages(Protocol):
    """Images that are not decoded yet."""

    def __len__(self) -> int: ...

    def chunks(self) -> Iterator[tuple[int, list[Encoded]]]:
        """All images in order, in chunks, each with the index of its first."""
        ...

    def place(self, index: int) -> str:
        """Where image `index` lies, for messages."""
        ...


class Decoded(NamedTuple):
    """digests: of what the images show, uint8 (n, 16), the same for copies of an image; none where there are problems.

    form: what they were made into.
    """

    digests: np.ndarray
    form: Form


def decode(
    encoded: EncodedImages, image_size: int | None, problems: Problems, file: Path, like: Form | None = None
) -> Decoded:
    """Write the images to `file` as .npy, uint8 (n, height, width, channels); 1 channel when all are grey, else 3.

    With an image_size the shorter side is scaled to it and the middle kept. Adds a problem for each broken image
    and for images of different sizes. When there are problems, now or before, nothing is written; all images are
    decoded none the less, so that every broken one is found.
    like: the form of other images, to be made into the same.
    """
    with pillow_warnings(), decoding_threads() as pool:
        headers: Counter[Header] = Counter()
        firsts: dict[Header, int] = {}
        broken: set[int] = set()
        for i, header in each(pool, encoded, read_header):
            if isinstance(header, str):
                broken.add(i)
                problems.add(f"{encoded.place(i)}: {header}")
            else:
                headers[header] += 1
                firsts.setdefault(header, i)
        if image_size is None:
            _check_sizes(firsts, encoded, problems)
        form = like or form_of(headers, problems)
        if not headers:
            return Decoded(np.zeros((0, DIGEST_BYTES), np.uint8), form)

        height, width = next((h.height, h.width) for h in headers) if image_size is None else (image_size, image_size)
        shape = (len(encoded), height, width, 1 if form.grey else 3)
        out = None if problems else new_array(file, shape, np.uint8)
        stored, shown, varied = bytearray(), np.zeros(len(encoded), np.int64), False
        for i, read in each(pool, encoded, lambda item: read_with_digests(item, form, image_size)):
            if isinstance(read, str):
                if i not in broken:
                    problems.add(f"{encoded.place(i)}: {read}")
            elif out is not None:
                out[i] = read[0]
                stored += read[1]
                shown[i] = read[2]
                varied = varied or is_varied(read[0])
        if out is not None and not problems and not varied:
            problems.add(ALL_OF_ONE_COLOUR)
        if out is None or problems:
            return Decoded(np.zeros((0, DIGEST_BYTES), np.uint8), form)
        out.flush()
        return Decoded(merged(as_array(stored), shown), form)


def is_varied(pixels: np.ndarray) -> bool:
    """Whether an image, (height, width, channels), has more than one colour."""
    return bool((pixels != pixels[0, 0]).any())


def form_of(headers: Mapping[Header, int], problems: Problems) -> Form:
    """What images with these headers, each so many times, are made into; what is not plain of it goes to the log.

    Adds a problem where their pixels would lose most of their bits.
    """
    highest, upper = (max((getattr(header, name) for header in headers), default=0) for name in ("highest", "upper"))
    form = Form(bool(headers) and all(header.grey for header in headers), bits_of(highest))
    if highest and form.bits < BITS[-1]:
        deep = sum(count for header, count in headers.items() if header.highest)
        log.warning("%s of 16 bits hold values up to %s: read as of %s bits", counted(deep), f"{highest:,}", form.bits)
    if 0 < upper < HALF:
        problems.add(
            f"the colour images of 16 bits a channel hold values up to {256 * upper + 255:,} only, and of such images "
            "only the upper 8 bits are read; scale the values up to 65,535, or store 8 bits a channel"
        )
    if several := sum(count for header, count in headers.items() if header.several):
        log.warning("%s more than one picture: the first of each is read", counted(several, "file holds", "files hold"))
    return form


def decoding_threads() -> ThreadPoolExecutor:
    """Threads enough to keep the cores busy: Pillow lets others run while it decodes."""
    return ThreadPoolExecutor(min(16, os.cpu_count() or 1))


def each(
    pool: ThreadPoolExecutor, encoded: EncodedImages, work: Callable[[Encoded], Result]
) -> Iterator[tuple[int, Result | str]]:
    """Yield index and result for each image in order; the reason as text where an image can't be decoded."""

    def work_on(start: int, items: list[Encoded]) -> list[Result | str]:
        results = []
        for index, item in enumerate(items, start=start):
            reads(partial(encoded.place, index))
            results.append(attempt(work, item))
        reads(None)
        return results

    for first, items in encoded.chunks():
        starts = range(0, len(items), SLICE)
        slices = [items[i : i + SLICE] for i in starts]
        for number, results in enumerate(pool.map(work_on, [first + i for i in starts], slices)):
            for offset, result in enumerate(results):
                yield first + number * SLICE + offset, result


def attempt(work: Callable[[Encoded], Result], item: Encoded) -> Result | str:
    """What `work` makes of an image; what is wrong, and the mend, as text where the image can't be decoded."""
    try:
        return work(item)
    except MemoryError:
        raise
    except RefusedImageError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise errors of many types for broken images
        # Pillow ends such messages with the address of its buffer, which tells nobody anything.
        reason = one_line(error).replace(" <_io.BytesIO object", "").split(" at 0x")[0]
        return f"the image is broken ({reason}); replace or remove it"


def counted(count: int, one: str = "image", several: str = "images") -> str:
    """The number with its noun."""
    return f"{count:,} {one if count == 1 else several}"


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
