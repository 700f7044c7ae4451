"""Image folders that stay on disk: what is known of them before any pixel is decoded."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tune_lpc.plan.errors import UserError
from tune_lpc.training.data.cache import cache_folder, cached_array, digest
from tune_lpc.training.data.decoding import broken_image, decoding_threads, each
from tune_lpc.training.data.folder_images import Files, FolderSource
from tune_lpc.training.data.pixels import read_header
from tune_lpc.training.data.problems import Problems
from tune_lpc.training.data.sources import find_source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFiles:
    """All training images of a data set, as files, before any is split off for validation.

    paths: of the n images, class by class, sorted by name. sizes: int32 (n, 2), width and height in pixels.
    grey: whether all are. image_size: side in pixels that they are scaled to when they are read.
    labels, class_names, source: as in TrainingImages; the same folder gives the same there.
    fingerprint: SHA-256 over relative names, bytes a file, labels and class names. It does not read the pixels, as
    that would take as long as an epoch; an image changed to another of as many bytes goes unseen.
    identity: tells these files from others on this machine; also changes with a file's path or time.
    cache: folder for what is computed once a machine.
    """

    paths: list[str]
    sizes: np.ndarray
    grey: bool
    image_size: int
    labels: np.ndarray
    class_names: tuple[str, ...]
    fingerprint: str
    source: str
    identity: str
    cache: Path

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, height, width, channels) of the images once they are read."""
        return len(self.paths), self.image_size, self.image_size, 1 if self.grey else 3


def find_image_files(
    dataset: str, data_dir: Path | None, image_size: int | None, cache_dir: Path | None = None
) -> ImageFiles:
    """The image folders of `dataset`, found as by load_training_images; nothing is decoded.

    The first call on a machine opens each image and reads its header, so that a file that is no image is found before
    anything starts. Pixels that are broken behind a sound header are found when they are first read.
    Raises UserError with all that is wrong, for data that are not image folders, and without an image_size.
    """
    cache = cache_folder(cache_dir)
    source = find_source(dataset, data_dir, cache)
    found = []
    if not isinstance(source, FolderSource):
        found.append(
            f"data_from is 'disk', but must be 'memory' for {dataset!r} from {source.place}: only image folders are "
            f"read from disk; --set data_from=memory, or give --data-dir DIR with DIR/{dataset}/train/<class>/*.png"
        )
    if image_size is None:
        found.append("image_size is none, but must be given when data_from is 'disk'; --set image_size=224")
    if found or not isinstance(source, FolderSource) or image_size is None:
        raise UserError(found)

    identity, problems = source.identity(), Problems()
    files, labels, names = source.listing(problems)
    key = digest(identity)
    headers = cached_array("headers", [key], lambda: _read_headers(files, problems), cache)
    # Problems of the labels are found on each call, those of the headers only when they were not in the cache.
    problems.raise_if_any()
    return ImageFiles(
        paths=list(files.paths),
        sizes=headers[:, :2],
        grey=bool(headers[:, 2].all()),
        image_size=image_size,
        labels=labels,
        class_names=names,
        fingerprint=_fingerprint(source, labels, names),
        source=f"{dataset}, {len(files):,} images from {source.place}, read from disk",
        identity=key,
        cache=cache,
    )


def _read_headers(files: Files, problems: Problems) -> np.ndarray:
    """Width, height and greyness of each image, int32 (n, 3). Raises UserError for problems, found now or before."""
    log.info("checking the headers of %d images, once on this machine", len(files))
    headers = np.zeros((len(files), 3), np.int32)
    with decoding_threads() as pool:
        for i, header in each(pool, files, read_header):
            if isinstance(header, str):
                problems.add(broken_image(files.place(i), header))
            else:
                headers[i] = header
    problems.raise_if_any()
    return headers


def _fingerprint(source: FolderSource, labels: np.ndarray, names: tuple[str, ...]) -> str:
    text = json.dumps([source.names_and_bytes(), list(names)])
    return hashlib.sha256(text.encode() + labels.astype("<i8").tobytes()).hexdigest()
