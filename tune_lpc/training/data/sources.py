"""From the name of a data set to its training images. Nothing in this room can read test images beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tune_lpc.plan.errors import UserError, nearest
from tune_lpc.training.data.cache import Source, cache_folder, cached_images
from tune_lpc.training.data.digits import DigitsSource
from tune_lpc.training.data.downloads import KNOWN_CLASSES, DownloadSource
from tune_lpc.training.data.folder_images import FolderSource
from tune_lpc.training.data.hold_out import FinalTest, images_to_hold_out
from tune_lpc.training.data.layouts import Layout, PartFiles, find_train_files
from tune_lpc.training.data.list_images import ListSource
from tune_lpc.training.data.parquet_images import ParquetSource
from tune_lpc.training.data.tar_images import TarSource

BUILT_IN = ("cifar10", "cifar100", "digits", "mnist", "svhn")
"""Data sets that need no folder."""


@dataclass(frozen=True)
class TrainingImages:
    """All images of a data set that a search may see, before any is split off for validation.

    images: uint8 (n, height, width, channels), mapped from the cache; one copy a node, shared by all trials.
    labels: int64 (n,), from 0.
    digests: uint8 (n, 16), the same for copies of an image and for no others.
    class_names: in the order of the labels.
    fingerprint: SHA-256 over shape, images and labels.
    source: where they come from, one line for people.
    final_test: the images that no search sees.
    """

    images: np.ndarray
    labels: np.ndarray
    digests: np.ndarray
    class_names: tuple[str, ...]
    fingerprint: str
    source: str
    final_test: FinalTest


def load_training_images(
    dataset: str,
    data_dir: Path | None = None,
    *,
    image_size: int | None = None,
    hold_out: float = 0.0,
    cache_dir: Path | None = None,
    may_download: bool = True,
) -> TrainingImages:
    """The training images of `dataset`, decoded and cached on the first call on a machine.

    data_dir: a folder that holds `<dataset>/**/train-*.parquet`, `<dataset>/train/<class>/*.png` or another of
    `layouts.LAYOUTS`, or one of these without the folder `<dataset>`; None takes the data set from scikit-learn
    (digits) or downloads it.
    image_size: side in pixels to scale to (shorter side, then the middle); None keeps the images as they are.
    hold_out: share kept apart for a final test where the data have no test part of their own; see `held_out_rows`.
    cache_dir: where decoded images are kept; None takes TUNE_LPC_CACHE, or ~/.cache/tune_lpc.
    may_download: otherwise a data set that is not on this machine is a NotDownloadedError.

    Raises UserError with all that is wrong with the data, an unknown name, a failed download or an unwritable cache.
    """
    cache = cache_folder(cache_dir)
    source = find_source(dataset, data_dir, cache, may_download=may_download)
    found = cached_images(dataset, image_size, source.hold_out(hold_out), source, cache)
    return TrainingImages(
        images=found.images,
        labels=found.labels,
        digests=found.digests,
        class_names=found.class_names,
        fingerprint=found.fingerprint,
        source=described(dataset, len(found.images), source),
        final_test=source.final_test or FinalTest(found.held_out, kept_apart=True),
    )


def count_training_images(dataset: str, data_dir: Path | None = None, *, hold_out: float = 0.0) -> int | None:
    """How many images a search may see, or None when only loading can tell. Decodes, downloads and writes nothing.

    hold_out: as for `load_training_images`. Copies of an image and small classes may change the number by a few.
    Raises UserError as `load_training_images` does for a folder that is missing, empty or without training files.
    """
    source = find_source(dataset, data_dir, cache_folder())
    images = source.count()
    return images - images_to_hold_out(images, source.hold_out(hold_out))


def check_hold_out(dataset: str, data_dir: Path | None, hold_out: float) -> None:
    """Raise UserError where the share `hold_out` that a user asks for has no effect on these data; reads no image."""
    source = find_source(dataset, data_dir, cache_folder())
    if source.hold_out(0.0) == source.hold_out(0.5):
        raise UserError(
            f"hold_out is {hold_out:g}, but has no effect: {dataset} from {source.place} has images for a final test "
            "already; leave it out"
        )


def described(dataset: str, images: int, source: Source) -> str:
    """Where so many images come from, one line for people."""
    return f"{dataset}, {images:,} images from {source.place}{'; ' if source.left_out else ''}{source.left_out}"


def source_of(dataset: str, folder: Path, part: PartFiles, final_test: FinalTest | None = None) -> Source:
    """The images of a part of a data set in a user's folder. Raises UserError where they can't be read."""
    if part.layout in (Layout.PARQUET, Layout.ARROW):
        return ParquetSource(folder, part.files, KNOWN_CLASSES.get(dataset), final_test)
    if part.layout is Layout.TARS:
        return TarSource(folder, part.files, final_test)
    if part.layout is Layout.LIST:
        return ListSource(part.files[0], final_test)
    return FolderSource(folder, part.files[0], final_test)


def find_source(dataset: str, data_dir: Path | None, cache: Path, *, may_download: bool = True) -> Source:
    """Where the training images of `dataset` come from; reads no image. Raises UserError where there is none."""
    if dataset in ("", "..") or Path(dataset).name != dataset:
        raise UserError(f"dataset is {dataset!r}, but must be a plain name; put folders into --data-dir")
    if data_dir is not None:
        try:
            found = find_train_files(dataset, data_dir)
        except UserError as error:
            if dataset not in BUILT_IN:
                raise
            told = [f"{problem} (without --data-dir, {dataset} needs no folder)" for problem in error.problems]
            raise UserError(told) from error
        return source_of(dataset, found.folder, found.train, found.final_test)
    if dataset == "digits":
        return DigitsSource()
    if dataset in KNOWN_CLASSES:
        return DownloadSource(dataset, cache, may_download=may_download)
    raise UserError(
        f"dataset is {dataset!r}, but without --data-dir must be one of {', '.join(BUILT_IN)}; for your own images "
        f"give --data-dir DIR with DIR/{dataset}/train/<class>/*.png or DIR/{dataset}/train-*.parquet"
        f"{nearest(dataset, BUILT_IN)}"
    )
