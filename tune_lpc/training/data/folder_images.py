"""Images as files, in a folder for each class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tune_lpc.training.data.arrays import write_digests, write_labels
from tune_lpc.training.data.decoding import decode
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.labels import check_labels
from tune_lpc.training.data.layouts import class_folders, image_files
from tune_lpc.training.data.pixels import Encoded
from tune_lpc.training.data.problems import Problems, reading

FILES = 1024
"""Files handled at once."""


class FolderSource:
    """Training images in `train/<class>/`; classes are numbered by name."""

    def __init__(self, folder: Path, train_folder: Path, final_test: FinalTest | None = None) -> None:
        self.final_test = final_test
        self.place = f"{folder} (image folders)"
        self._train_folder = train_folder
        with reading(train_folder):
            self._classes = class_folders(train_folder)
            self._listing = [list(image_files(folder)) for folder in self._classes]

    def identity(self) -> list[object]:
        """What tells these data from others: path, size and time of each file, and the classes."""
        root = self._train_folder.resolve()
        identity: list[object] = ["folders", str(root), [folder.name for folder in self._classes]]
        inside = len(str(self._train_folder))
        with reading(self._train_folder):
            for entry in (entry for entries in self._listing for entry in entries):
                stat = entry.stat()
                identity.append([entry.path[inside:], stat.st_size, stat.st_mtime_ns])
        return identity

    def count(self) -> int:
        """How many images there are. Raises UserError when there are none."""
        problems = Problems()
        self._check_some(problems)
        problems.raise_if_any()
        return sum(len(entries) for entries in self._listing)

    def hold_out(self, share: float) -> float:
        """The share to keep apart for a final test: none where the data have a test part of their own."""
        return 0.0 if self.final_test is not None else share

    def listing(self, problems: Problems) -> tuple[Files, np.ndarray, tuple[str, ...]]:
        """The files, their labels, int64 (n,), and the class names; adds a problem for each class without images.

        Raises UserError when there are no images at all.
        """
        self._check_some(problems)
        problems.raise_if_any()
        names = tuple(folder.name for folder in self._classes)
        counts = [len(entries) for entries in self._listing]
        labels = np.repeat(np.arange(len(names), dtype=np.int64), counts)
        files = Files([entry.path for entries in self._listing for entry in entries])
        check_labels(labels, names, len(names), files.place, problems, numbered=False)
        return files, labels, names

    def write(self, folder: Path, image_size: int | None) -> tuple[str, ...]:
        """Decode into images.npy, labels.npy and digests.npy in `folder`; returns the class names. Raises UserError."""
        problems = Problems()
        files, labels, names = self.listing(problems)
        digests = decode(files, image_size, problems, folder / "images.npy")
        problems.raise_if_any()
        write_digests(digests, folder)
        write_labels(labels, folder)
        return names

    def _check_some(self, problems: Problems) -> None:
        if not any(self._listing):
            problems.add(
                f"the class folders in {self._train_folder} hold no images; "
                "put png, jpg, jpeg, bmp or webp files there, or mend --data-dir"
            )


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
