"""Images in WebDataset's tar files: `<key>.png` beside `<key>.cls`, or `<key>.json` with a label."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tune_lpc.training.data.arrays import write_digests, write_labels
from tune_lpc.training.data.cache import Written
from tune_lpc.training.data.decoding import decode
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.labels import check_labels, numbered_by_name
from tune_lpc.training.data.pixels import Encoded, Form
from tune_lpc.training.data.problems import Problems, one_line, reading
from tune_lpc.training.data.walking import is_image

IMAGES = 256
"""Images handled at once."""
_LABEL_KEYS = ("label", "cls", "class")


class TarSource:
    """Training images in tar files."""

    left_out = ""

    def __init__(self, folder: Path, files: Sequence[Path], final_test: FinalTest | None = None) -> None:
        self.final_test = final_test
        self.place = f"{folder} (WebDataset)"
        self._files = files

    def identity(self) -> list[object]:
        """What tells these data from others: path, size and time of each file."""
        with reading(self._files[0].parent):
            stats = [(file.resolve(), file.stat()) for file in self._files]
        return [["tar", str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]

    def count(self) -> int:
        """How many images there are. Raises UserError for files that can't be read."""
        problems = Problems()
        members, _ = _members(self._files, problems)
        problems.raise_if_any()
        return len(members)

    def hold_out(self, share: float) -> float:
        """The share to keep apart for a final test: none where the data have a test part of their own."""
        return 0.0 if self.final_test is not None else share

    def write(self, folder: Path, image_size: int | None, like: Form | None = None) -> Written:
        """Decode into images.npy, labels.npy and digests.npy in `folder`. Raises UserError."""
        problems = Problems()
        members, told = _members(self._files, problems)
        if not members and not problems:
            problems.add(f"{self.place} holds no images; write its files again, or mend --data-dir")
        problems.raise_if_any()
        labels, names, numbered = numbered_by_name(told)
        images = _Images(members)
        check_labels(labels, names, len(names), images.place, problems, numbered=numbered)
        digests, form = decode(images, image_size, problems, folder / "images.npy", like)
        problems.raise_if_any()
        write_digests(digests, folder)
        write_labels(labels, folder)
        return Written(names, form)


class _Member(NamedTuple):
    """An image in a tar file."""

    file: Path
    name: str
    offset: int
    size: int


class _Images:
    """The images of all files, one after the other."""

    def __init__(self, members: Sequence[_Member]) -> None:
        self._members = members

    def __len__(self) -> int:
        return len(self._members)

    def chunks(self) -> Iterator[tuple[int, list[Encoded]]]:
        for first in range(0, len(self._members), IMAGES):
            yield first, [_read(member) for member in self._members[first : first + IMAGES]]

    def place(self, index: int) -> str:
        return f"{self._members[index].file}, {self._members[index].name}"


def _read(member: _Member) -> bytes:
    with member.file.open("rb") as file:
        return os.pread(file.fileno(), member.size, member.offset)


def _members(files: Sequence[Path], problems: Problems) -> tuple[list[_Member], list[str]]:
    """The images of all files in their order, and the label of each as text; problems for files and samples."""
    members: list[_Member] = []
    labels: list[str] = []
    for path in files:
        images: dict[str, _Member] = {}
        told: dict[str, str] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    if not member.isfile() or Path(member.name).name.startswith("."):
                        continue
                    folder, _, name = member.name.rpartition("/")
                    key, _, ending = name.partition(".")
                    key = f"{folder}/{key}"
                    if is_image(f".{ending}"):
                        if key in images:
                            problems.add(f"{path}: {images[key].name} and {member.name} are two images of one sample")
                        images[key] = _Member(path, member.name, member.offset_data, member.size)
                    elif ending in ("cls", "json"):
                        content = tar.extractfile(member)
                        label = _label(content.read() if content else b"", ending)
                        told |= {} if label is None else {key: label}
        except (tarfile.TarError, OSError, EOFError) as error:
            problems.add(f"{path} can't be read as a tar file ({one_line(error)}); fetch or write it again")
            continue
        for key, image in images.items():
            if key in told:
                members.append(image)
                labels.append(told[key])
            else:
                problems.add(
                    f"{path}, {image.name}: the sample has no label; add {key.lstrip('/')}.cls, or a json with label"
                )
    return members, labels


def _label(content: bytes, ending: str) -> str | None:
    """The label that a member tells; None for none."""
    text = content.decode("utf-8", "replace").strip()
    if ending == "cls":
        return text or None
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    found = next((entry[key] for key in _LABEL_KEYS if key in entry), None) if isinstance(entry, dict) else None
    return None if found is None or found == "" else str(found).lower() if isinstance(found, bool) else str(found)
