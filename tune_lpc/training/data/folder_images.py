"""Images that are files: in a folder for each class, or named by a list."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tune_lpc.training.data.arrays import write_digests, write_labels
from tune_lpc.training.data.cache import Written
from tune_lpc.training.data.decoding import decode
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.labels import check_labels
from tune_lpc.training.data.pixels import Encoded, Form
from tune_lpc.training.data.problems import Problems, reading
from tune_lpc.training.data.walking import Walk, class_folders, is_image, told_left_out

FILES = 1024
"""Files handled at once."""


class Listing(NamedTuple):
    """The files of a data set, their labels, int64 (n,), and the class names.

    numbered: whether the user numbers the classes.
    """

    files: Files
    labels: np.ndarray
    class_names: tuple[str, ...]
    numbered: bool = False


class FileSource(ABC):
    """Training images that are files. A kind of it tells which, and of which classes."""

    place: str
    final_test: FinalTest | None = None
    left_out = ""

    @abstractmethod
    def identity(self) -> list[object]:
        """What tells these data from others: path, size and time of each file, and the classes."""

    def count(self) -> int:
        """How many images there are. Raises UserError when there are none."""
        problems = Problems()
        files, *_ = self._listed(problems)
        problems.raise_if_any()
        return len(files)

    def hold_out(self, share: float) -> float:
        """The share to keep apart for a final test: none where the data have a test part of their own."""
        return 0.0 if self.final_test is not None else share

    def listing(self, problems: Problems) -> tuple[Files, np.ndarray, tuple[str, ...]]:
        """The files, their labels, int64 (n,), and the class names; adds a problem for each class without images.

        Raises UserError when there are no images at all, or where some can't be found.
        """
        found = self._listed(problems)
        problems.raise_if_any()
        files, labels, names = found[:3]
        check_labels(labels, names, len(names), files.place, problems, numbered=found.numbered)
        return files, labels, names

    def write(self, folder: Path, image_size: int | None, like: Form | None = None) -> Written:
        """Decode into images.npy, labels.npy and digests.npy in `folder`. Raises UserError."""
        problems = Problems()
        files, labels, names = self.listing(problems)
        digests, form = decode(files, image_size, problems, folder / "images.npy", like)
        problems.raise_if_any()
        write_digests(digests, folder)
        write_labels(labels, folder)
        return Written(names, form)

    @abstractmethod
    def _listed(self, problems: Problems) -> Listing:
        """The files, with a problem for whatever keeps them from being found."""


class FolderSource(FileSource):
    """Training images in `<class>/` below a folder; classes are numbered by name."""

    def __init__(self, folder: Path, place: Path, final_test: FinalTest | None = None) -> None:
        """folder: of the data set. place: holds the folders of the classes."""
        self.final_test = final_test
        self.place = f"{folder} (image folders)"
        self._place = place
        with reading(place):
            self._classes = class_folders(place)
            self._walks = [Walk().through(folder) for folder in self._classes]
            beside = [path for path in place.iterdir() if path not in self._classes and not path.name.startswith(".")]
        self._dangling = [str(path) for path in beside if path.is_symlink() and not path.exists()]
        outside = Counter({"outside the class folders": sum(path.is_file() and is_image(path.name) for path in beside)})
        self.left_out = told_left_out(sum((walk.left_out for walk in self._walks), +outside))

    def identity(self) -> list[object]:
        """What tells these data from others: path, size and time of each file, and the classes."""
        root = self._place.resolve()
        identity: list[object] = ["folders", str(root), [folder.name for folder in self._classes]]
        inside = len(str(self._place))
        with reading(self._place):
            for path in (path for walk in self._walks for path in walk.images):
                stat = os.stat(path)  # noqa: PTH116  # a Path of each of a million takes long
                identity.append([path[inside:], stat.st_size, stat.st_mtime_ns])
        return identity

    def _listed(self, problems: Problems) -> Listing:
        if not any(walk.images for walk in self._walks):
            problems.add(
                f"the class folders in {self._place} hold no images; "
                "put png, jpg or other images that Pillow opens there, or mend --data-dir"
            )
        for link in [*self._dangling, *(link for walk in self._walks for link in walk.dangling)]:
            problems.add(f"{link} is a link to {Path(link).readlink()}, which is not there; mend or remove it")
        names = tuple(folder.name for folder in self._classes)
        labels = np.repeat(np.arange(len(names), dtype=np.int64), [len(walk.images) for walk in self._walks])
        return Listing(Files([path for walk in self._walks for path in walk.images]), labels, names)


class Files:
    """Images that are files, in the order of `paths`."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def chunks(self) -> Iterator[tuple[int, list[Encoded]]]:
        """All images in order, in chunks, each with the index of its first."""
        for first in range(0, len(self.paths), FILES):
            yield first, [Path(path) for path in self.paths[first : first + FILES]]

    def place(self, index: int) -> str:
        """Where image `index` lies, for messages."""
        return self.paths[index]
