"""CIFAR-10, CIFAR-100, MNIST and SVHN through torchvision: its download, checksums and progress bar.

torchvision's own classes check, unpack and (with train=False) read the test part as well. The classes here know
only the training files, so that the test part is not even unpacked.
"""

from __future__ import annotations

import errno
import shutil
import tarfile
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from filelock import FileLock

from tune_lpc.plan.errors import UserError
from tune_lpc.training.data.arrays import write_arrays
from tune_lpc.training.data.cache import Written, writing
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.labels import check_labels
from tune_lpc.training.data.pixels import Form
from tune_lpc.training.data.problems import NotDownloadedError, Problems, one_line

KNOWN_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "svhn": 73_257, "mnist": 60_000}
KNOWN_TEST_IMAGES = {"cifar10": 10_000, "cifar100": 10_000, "svhn": 26_032, "mnist": 10_000}
KNOWN_CLASSES = {"cifar10": 10, "cifar100": 100, "svhn": 10, "mnist": 10}

_DISK_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}


class DownloadSource:
    """A data set that torchvision downloads, into `<cache>/downloads/<dataset>`.

    may_download: otherwise what is not there is a NotDownloadedError.
    """

    left_out = ""

    def __init__(self, dataset: str, cache: Path, *, may_download: bool = True) -> None:
        self.place = "torchvision"
        self.final_test: FinalTest | None = FinalTest(KNOWN_TEST_IMAGES[dataset], kept_apart=False)
        self._dataset, self._may_download = dataset, may_download
        self._cache = cache
        self._folder = cache / "downloads" / dataset

    def identity(self) -> list[object]:
        """What tells these data from others: the checksums of the files."""
        maker = _makers()[self._dataset]
        if self._dataset == "svhn":
            return ["torchvision", list(maker.split_list["train"])]
        if self._dataset == "mnist":
            return ["torchvision", [list(resource) for resource in maker.train_resources()]]
        return ["torchvision", maker.url, maker.tgz_md5, [list(file) for file in maker.train_list]]

    def count(self) -> int:
        """How many images there are."""
        return KNOWN_IMAGES[self._dataset]

    def hold_out(self, share: float) -> float:
        """The share to keep apart for a final test: none, as the data have a test part of their own."""
        return 0.0

    def write(self, folder: Path, image_size: int | None, like: Form | None = None) -> Written:
        """Download what is missing, then write images.npy, labels.npy and digests.npy in `folder`.

        Raises UserError when there is no network, or a file is not what its checksum says.
        """
        if not self._may_download and not self._folder.exists():
            raise NotDownloadedError(f"{self._dataset} is not on this machine yet")
        with writing(self._cache):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder.with_name(self._dataset + ".lock"))
        with lock:
            images, labels, names = self._read()
        problems = Problems()
        check_labels(labels, names, len(names), lambda i: f"{self._dataset}, image {i}", problems)
        problems.raise_if_any()
        write_arrays(images, labels, image_size, folder)
        return Written(names, Form(images.shape[3] == 1))

    def _read(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        maker = _makers()[self._dataset]
        which = {"split": "train"} if self._dataset == "svhn" else {"train": True}
        digits = tuple(str(digit) for digit in range(10))
        try:
            data = maker(self._folder, download=self._may_download, **which)
            if self._dataset == "svhn":
                return data.data.transpose(0, 2, 3, 1), data.labels, digits
            if self._dataset == "mnist":
                return data.data.numpy()[:, :, :, None], data.targets.numpy(), digits
            return data.data, np.asarray(data.targets, dtype=np.int64), tuple(data.classes)
        except (OSError, RuntimeError, HTTPException) as error:
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise  # the caller tells of the cache folder
            if not self._may_download:
                raise NotDownloadedError(f"{self._dataset} is not on this machine yet") from error
            raise UserError(
                f"{self._dataset} can't be downloaded ({one_line(error)}); run again with a network, fetch its files "
                f"into {self._folder} on a machine that has one, or give your own copy with --data-dir"
            ) from error
        except Exception as error:  # what torchvision's readers raise for a damaged file is of many types
            raise UserError(
                f"the files of {self._dataset} in {self._folder} are damaged ({one_line(error)}); "
                "delete that folder and run again, or give your own copy with --data-dir"
            ) from error


@cache
def _makers() -> dict[str, Any]:
    """torchvision's classes, reduced to the training files; made on first use because torchvision imports slowly."""
    from torchvision import datasets
    from torchvision.datasets.utils import download_url

    class _TrainingArchive:
        """What CIFAR-10 and CIFAR-100 share: check and unpack the training files of the archive, no others."""

        test_list: ClassVar[list[tuple[str, str]]] = []

        def download(self: Any) -> None:
            if self._check_integrity():
                return
            download_url(self.url, self.root, self.filename, self.tgz_md5)
            folder = Path(self.root) / self.base_folder
            folder.mkdir(exist_ok=True)
            wanted = {
                f"{self.base_folder}/{name}" for name in [file[0] for file in self.train_list] + [self.meta["filename"]]
            }
            with tarfile.open(Path(self.root) / self.filename) as archive:
                for member in archive:
                    if member.name in wanted and (content := archive.extractfile(member)) is not None:
                        with (folder / Path(member.name).name).open("wb") as out:
                            shutil.copyfileobj(content, out)

    class TrainingCIFAR10(_TrainingArchive, datasets.CIFAR10):  # type: ignore[misc]
        pass

    class TrainingCIFAR100(_TrainingArchive, datasets.CIFAR100):  # type: ignore[misc]
        pass

    class TrainingMNIST(datasets.MNIST):  # type: ignore[misc]
        @classmethod
        def train_resources(cls) -> list[tuple[str, str]]:
            return [resource for resource in datasets.MNIST.resources if resource[0].startswith("train-")]

        @property
        def resources(self) -> list[tuple[str, str]]:
            return self.train_resources()

        @property
        def raw_folder(self) -> str:
            # Where torchvision's MNIST has it, so that files fetched elsewhere with torchvision fit.
            return str(Path(self.root) / "MNIST" / "raw")

        def _check_legacy_exist(self) -> bool:
            return False  # files of very old torchvision versions have no checksum

    return {
        "cifar10": TrainingCIFAR10,
        "cifar100": TrainingCIFAR100,
        "mnist": TrainingMNIST,
        "svhn": datasets.SVHN,
    }
