"""Walking through folders of images: what counts as one, where links lead, and what is left out."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from PIL import Image

from tune_lpc.training.data.decoding import counted

_NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
"""What Pillow recognises, but reads only with the help of others."""


@cache
def image_endings() -> tuple[str, ...]:
    """The endings of files that Pillow opens, in small letters."""
    Image.preinit()  # the usual kinds first: each kind before an image's own costs time when it is opened
    Image.init()
    return tuple(sorted(end for end, kind in Image.registered_extensions().items() if _opens(kind)))


def _opens(kind: str) -> bool:
    return kind in Image.OPEN and kind not in _NO_PICTURES


def is_image(name: str) -> bool:
    """Whether a file of that name is one."""
    return name.lower().endswith(image_endings())


@dataclass
class Walk:
    """What was found in some folders and those below them.

    images: paths, sorted by name, folder by folder. dangling: links with the name of an image that lead nowhere.
    left_out: how many other files there are, by kind.
    """

    images: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def through(self, folder: Path | str) -> Walk:
        """Take in a folder. Links to folders are followed, each folder once. Raises OSError."""
        stat = Path(folder).stat()
        if (stat.st_dev, stat.st_ino) in self._seen:
            return self
        self._seen.add((stat.st_dev, stat.st_ino))
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith("."):
                self.left_out["hidden"] += 1
            elif entry.is_dir():
                self.through(entry.path)
            elif not is_image(entry.name):
                self.left_out[Path(entry.name).suffix.lower() or "without an ending"] += 1
            elif entry.is_file():
                self.images.append(entry.path)
            elif entry.is_symlink():
                self.dangling.append(entry.path)
            else:
                self.left_out["that are no plain files"] += 1
        return self


def class_folders(folder: Path) -> list[Path]:
    """The folders of the classes, sorted by name; hidden ones don't count."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def told_left_out(counts: Counter[str]) -> str:
    """What was left out, counted by kind; empty where nothing was."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    return f"{counted(counts.total(), 'file', 'files')} left out ({kinds})" if kinds else ""
