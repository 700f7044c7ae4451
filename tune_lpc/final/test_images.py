"""The images of a final test. The one place that reads them; import-linter keeps it from everything that searches.

They are decoded into a folder that is removed again: nothing of them gets into the cache that searches read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.data.arrays import write_arrays
from tune_lpc.training.data.cache import Source, cache_folder, cached_images
from tune_lpc.training.data.downloads import DownloadSource
from tune_lpc.training.data.folder_images import FileSource
from tune_lpc.training.data.hold_out import held_out_rows
from tune_lpc.training.data.image_files import find_image_files, listed_headers
from tune_lpc.training.data.layouts import find_test_files
from tune_lpc.training.data.pixels import Form
from tune_lpc.training.data.problems import one_line
from tune_lpc.training.data.sources import find_source, source_of


@dataclass(frozen=True)
class FinalImages:
    """images: uint8 (n, height, width, channels). labels: int64 (n,), numbered as those of the training images."""

    images: Tensor
    labels: Tensor


def check_test_images(spec: TrialSpec, data_dir: Path | None) -> None:
    """Raise UserError where there are no images for a final test; opens none of them."""
    source = find_source(spec.dataset, data_dir, cache_folder())
    if source.final_test is None and not source.hold_out(spec.hold_out):
        raise UserError(
            f"{spec.dataset} from {source.place} has no images for a final test: none lie beside the training images, "
            "and with hold_out=0 the search kept none apart; put some into a folder test as the training images are, "
            "or search again with --set hold_out=0.1"
        )


@contextmanager
def opened_test_images(spec: TrialSpec, data_dir: Path | None, class_names: Sequence[str]) -> Iterator[FinalImages]:
    """The test images of the data set that `spec` names, decoded for as long as the context lasts.

    data_dir: as for a search. class_names: of the training images, in the order of their labels.
    Raises UserError for test images that are missing, damaged, or of classes that were not trained on.
    """
    check_test_images(spec, data_dir)
    source = find_source(spec.dataset, data_dir, cache_folder())
    try:
        folder = tempfile.TemporaryDirectory(prefix="tune_lpc-test-")
    except OSError as error:
        problem = f"the test images can't be decoded ({one_line(error)}); free space for temporary files"
        raise UserError(problem) from error
    with folder as name:
        images, labels, names = _decoded(source, spec, data_dir, Path(name))
        yield FinalImages(torch.from_numpy(images), torch.from_numpy(_renumbered(labels, names, class_names)))


def _decoded(
    source: Source, spec: TrialSpec, data_dir: Path | None, folder: Path
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The test images, made into the form of the training images, their labels and the names of their classes."""
    rows = None
    if isinstance(source, DownloadSource):
        names = _write_downloaded(spec.dataset, spec.image_size, folder)
    elif source.final_test is None:
        # Some of the training images, which the search kept apart before anything else.
        rows, names = _kept_apart(source, spec, folder)
    else:
        assert data_dir is not None  # else the data are built in, or downloaded
        beside = _beside(spec.dataset, data_dir)
        names, _ = beside.write(folder, spec.image_size, _form_of_training(source, spec, data_dir))
    # Mode "c": shared pages, and torch may take the array without a warning about read-only memory.
    images = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    return (images, labels, names) if rows is None else (images[rows], labels[rows], names)


def _beside(dataset: str, data_dir: Path) -> Source:
    """The test images that lie beside the training images in a user's folder."""
    found = find_test_files(dataset, data_dir)
    if found is None:
        raise UserError(f"the test images of {dataset} in {data_dir} are gone; put them back")
    return source_of(dataset, data_dir, found)


def _form_of_training(source: Source, spec: TrialSpec, data_dir: Path) -> Form:
    """Channels and bits of the images that the networks were trained on."""
    if spec.data_from == "disk":
        return find_image_files(spec.dataset, data_dir, spec.image_size, hold_out=spec.hold_out).form
    share = source.hold_out(spec.hold_out)
    return cached_images(spec.dataset, spec.image_size, share, source, cache_folder()).form


def _kept_apart(source: Source, spec: TrialSpec, folder: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Write all images of a source; the rows of those that its searches keep apart, and the class names."""
    share = source.hold_out(spec.hold_out)
    names, _ = source.write(folder, spec.image_size)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    digests = np.load(folder / "digests.npy", allow_pickle=False)
    if spec.data_from == "disk" and isinstance(source, FileSource):
        # Such searches tell images apart by the bytes of their files, and so choose others.
        _, labels, _, headers = listed_headers(source, cache_folder())
        digests = np.ascontiguousarray(headers["digest"])
    return held_out_rows(labels, digests, share, names), names


def _renumbered(labels: np.ndarray, names: Sequence[str], class_names: Sequence[str]) -> np.ndarray:
    """The labels by the numbers that the classes have among the training images."""
    if unknown := [name for name in names if name not in class_names]:
        raise UserError(
            f"the test images have classes that the training images lack: {', '.join(unknown[:8])}; "
            "name the folders or classes of both alike"
        )
    numbers = np.array([class_names.index(name) for name in names], dtype=np.int64)
    renumbered: np.ndarray = numbers[labels]
    return renumbered


def _write_downloaded(dataset: str, image_size: int | None, folder: Path) -> tuple[str, ...]:
    """Download the test part where it is missing, and write it as a source does. Raises UserError."""
    from torchvision import datasets  # here, as it imports slowly

    makers = {
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
        "mnist": datasets.MNIST,
        "svhn": datasets.SVHN,
    }
    place = cache_folder() / "downloads" / dataset
    which = {"split": "test"} if dataset == "svhn" else {"train": False}
    digits = tuple(str(digit) for digit in range(10))
    try:
        data = makers[dataset](place, download=True, **which)
    except (OSError, RuntimeError, HTTPException) as error:
        raise UserError(
            f"the test part of {dataset} can't be downloaded ({one_line(error)}); run again with a network, or fetch "
            f"its files into {place} on a machine that has one"
        ) from error
    if dataset == "svhn":
        images, labels, names = data.data.transpose(0, 2, 3, 1), np.asarray(data.labels), digits
    elif dataset == "mnist":
        images, labels, names = data.data.numpy()[:, :, :, None], data.targets.numpy(), digits
    else:
        images, labels, names = data.data, np.asarray(data.targets), tuple(data.classes)
    write_arrays(images, labels.astype(np.int64), image_size, folder)
    return names
