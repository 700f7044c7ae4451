"""Image folders that stay on disk: what is known of them before any pixel is decoded."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tune_lpc.plan.errors import UserError
from tune_lpc.training.data.cache import cache_folder, cached_array, digest
from tune_lpc.training.data.contents import DIGEST_BYTES
from tune_lpc.training.data.decoding import ALL_OF_ONE_COLOUR, attempt, decoding_threads, each, form_of, is_varied
from tune_lpc.training.data.folder_images import Files, FileSource
from tune_lpc.training.data.hold_out import FinalTest, held_out_rows
from tune_lpc.training.data.pillow_warnings import pillow_warnings, silent_pillow
from tune_lpc.training.data.pixels import Form, Header, bits_of, read_header_and_digest, read_pixels
from tune_lpc.training.data.problems import Problems
from tune_lpc.training.data.sources import described, find_source

HEADER = np.dtype(
    [
        ("sides", np.int32, 2),
        ("grey", np.bool_),
        ("highest", np.int32),
        ("upper", np.int32),
        ("several", np.bool_),
        ("digest", np.uint8, DIGEST_BYTES),
    ]
)
"""What is known of a file: what `Header` tells, and the digest of its bytes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFiles:
    """All images of a data set that a search may see, as files, before any is split off for validation.

    paths: of the n images, class by class, sorted by name. sizes: int32 (n, 2), width and height in pixels.
    form: what they are made into. image_size: side in pixels that they are scaled to when they are read.
    labels, class_names, source, final_test: as in TrainingImages; the same folder gives the same there.
    digests: uint8 (n, 16), the same for files of the same bytes. Copies of an image that are stored in different ways
    go unseen, as nothing is decoded; in memory they are seen.
    fingerprint: SHA-256 over digests, labels and class names.
    identity: tells these files from others on this machine; also changes with a file's path or time.
    cache: folder for what is computed once a machine.
    """

    paths: list[str]
    sizes: np.ndarray
    form: Form
    image_size: int
    labels: np.ndarray
    digests: np.ndarray
    class_names: tuple[str, ...]
    fingerprint: str
    source: str
    final_test: FinalTest
    identity: str
    cache: Path

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, height, width, channels) of the images once they are read."""
        return len(self.paths), self.image_size, self.image_size, 1 if self.form.grey else 3


def find_image_files(
    dataset: str,
    data_dir: Path | None,
    image_size: int | None,
    cache_dir: Path | None = None,
    *,
    hold_out: float = 0.0,
) -> ImageFiles:
    """The image folders of `dataset`, found as by load_training_images; nothing is decoded.

    The first call on a machine reads each file, for the digest of its bytes and for its header, so that a file that is
    no image is found before anything starts. Pixels that are broken behind a sound header are found when they are
    first decoded.
    Raises UserError with all that is wrong, for data that are not image folders, and without an image_size.
    """
    cache = cache_folder(cache_dir)
    source = find_source(dataset, data_dir, cache)
    found = []
    if not isinstance(source, FileSource):
        found.append(
            f"data_from is 'disk', but must be 'memory' for {dataset!r} from {source.place}: only images that "
            "are files are read from disk; --set data_from=memory, or give --data-dir DIR with "
            f"DIR/{dataset}/train/<class>/*.png"
        )
    if image_size is None:
        found.append("image_size is none, but must be given when data_from is 'disk'; --set image_size=224")
    if found or not isinstance(source, FileSource) or image_size is None:
        raise UserError(found)

    key = digest(source.identity())
    files, labels, names, headers = listed_headers(source, cache)
    share = source.hold_out(hold_out)
    held_out = held_out_rows(labels, headers["digest"], share, names)
    seen = np.setdiff1d(np.arange(len(files)), held_out, assume_unique=True)
    labels, digests = labels[seen], np.ascontiguousarray(headers["digest"][seen])
    return ImageFiles(
        paths=[files.paths[row] for row in seen.tolist()],
        sizes=headers["sides"][seen],
        form=_form(headers),
        image_size=image_size,
        labels=labels,
        digests=digests,
        class_names=names,
        fingerprint=_fingerprint(digests, labels, names),
        source=f"{described(dataset, len(seen), source)}, read from disk",
        final_test=source.final_test or FinalTest(len(held_out), kept_apart=True),
        identity=digest([key, share]),
        cache=cache,
    )


def listed_headers(source: FileSource, cache: Path) -> tuple[Files, np.ndarray, tuple[str, ...], np.ndarray]:
    """All files of a source, none kept apart: with their labels, int64 (n,), the class names, and HEADER of each, (n,).

    Raises UserError with all that is wrong.
    """
    problems = Problems()
    files, labels, names = source.listing(problems)
    key = digest(source.identity())
    headers = cached_array("headers", [key, HEADER.descr], lambda: _read_headers(files, problems), cache)
    # Problems of the labels are found on each call, those of the headers only when they were not in the cache.
    problems.raise_if_any()
    return files, labels, names, headers


def _read_headers(files: Files, problems: Problems) -> np.ndarray:
    """What HEADER tells of each file, (n,). Raises UserError for problems, found now or before."""
    log.info("checking the headers and digests of %d images, once on this machine", len(files))
    headers = np.zeros(len(files), HEADER)
    found: Counter[Header] = Counter()
    with pillow_warnings(), decoding_threads() as pool:
        for i, read in each(pool, files, read_header_and_digest):
            if isinstance(read, str):
                problems.add(f"{files.place(i)}: {read}")
            else:
                header, of_bytes = read
                headers[i] = (header[:2], *header[2:], np.frombuffer(of_bytes, np.uint8))
                found[header] += 1
        form = form_of(found, problems)
        with silent_pillow():
            if not problems and not any(_is_varied(path, form) for path in files.paths):
                problems.add(ALL_OF_ONE_COLOUR)
    problems.raise_if_any()
    return headers


def _is_varied(path: str, form: Form) -> bool:
    """Whether an image has more than one colour; also where it is broken, which is told when it is trained on."""
    pixels = attempt(lambda item: read_pixels(item, form, None), Path(path))
    return isinstance(pixels, str) or is_varied(pixels)


def _form(headers: np.ndarray) -> Form:
    return Form(bool(headers["grey"].all()), bits_of(int(headers["highest"].max(initial=0))))


def _fingerprint(digests: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> str:
    text = json.dumps(list(names))
    return hashlib.sha256(text.encode() + digests.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
