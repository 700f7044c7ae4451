"""What of a local copy is known to be in the store, kept in a hidden file beside it.

It saves work only: without it files are compared by their content, and journals are read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tune_lpc.plan.own_code import CODE_FOLDER
from tune_lpc.results import JOURNAL_FILE

INDEX_FILE = ".stored.json"
CHECKPOINTS = "checkpoints"
_AT_ONCE = 2**20


@dataclass
class Index:
    """address: of which results this is the copy; empty in a new one.

    files: of each that was last seen to be the same here and there, its size and time here, and its tag there.
    journals: by folder, up to which byte this copy and the store are the same, and the CRC-32 of these bytes.
    """

    folder: Path
    address: str = ""
    files: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    journals: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Index:
        """That of a local copy; an empty one where it has none, or a damaged one."""
        try:
            told = json.loads((folder / INDEX_FILE).read_bytes())
            files = {str(name): (int(a), int(b), str(tag)) for name, (a, b, tag) in told["files"].items()}
            journals = {str(run): (int(size), int(crc)) for run, (size, crc) in told["journals"].items()}
            address = str(told["address"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls(folder)
        return cls(folder, address, files, journals)

    def write(self) -> None:
        """Keep it. Raises OSError."""
        part = self.folder / f"{INDEX_FILE}.{os.getpid()}"
        content = {"address": self.address, "files": dict(self.files), "journals": dict(self.journals)}
        part.write_text(json.dumps(content))
        part.replace(self.folder / INDEX_FILE)

    def is_stored(self, name: str) -> bool:
        """Whether a file is as it was when it was last seen to be the same here and there."""
        known = self.files.get(name)
        return known is not None and known[:2] == state_of(self.folder / name)

    def note(self, name: str, state: tuple[int, int], tag: str) -> None:
        """A file is the same here and there. state: as it was here when it was read."""
        self.files[name] = (*state, tag)

    def common(self, run: str) -> int:
        """Up to which byte the journal of a folder is known to be the same here and there; 0 where that is not so."""
        size, crc = self.journals.get(run, (0, 0))
        return size if size and crc_of(self.folder / run / JOURNAL_FILE, size) == crc else 0


def state_of(path: Path) -> tuple[int, int] | None:
    """Size and time of a file; None where there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns


def crc_of(path: Path, size: int) -> int | None:
    """The CRC-32 of the first `size` bytes of a file; None where it has not so many."""
    crc, left = 0, size
    try:
        with path.open("rb") as file:
            while left and (block := file.read(min(_AT_ONCE, left))):
                crc, left = zlib.crc32(block, crc), left - len(block)
    except OSError:
        return None
    return None if left else crc


def has_content(path: Path, tag: str) -> bool:
    """Whether a file is what a tag stands for, as far as that is the MD5 of the content, as S3 has it."""
    try:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return False
    return tag.strip('"') == digest


def files_of(folder: Path) -> Iterator[str]:
    """The files of results by their names below the folder, but for journals, checkpoints, hidden and empty ones.

    An empty module of the user's own code counts.
    """
    for place, folders, names in os.walk(folder):
        inside = Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != CHECKPOINTS)
        for name in sorted(names):
            about = state_of(Path(place) / name)
            may_be_empty = CODE_FOLDER in inside.parts
            if not name.startswith(".") and name != JOURNAL_FILE and about is not None and (about[0] or may_be_empty):
                yield str(inside / name)


def newest_checkpoints(folder: Path) -> dict[str, Path]:
    """The newest checkpoint of each trial, by its name below the folder of the results.

    Their names sort by how far the training was (`training.checkpoints`).
    """
    found = {}
    for place in (*folder.glob(f"{CHECKPOINTS}/*"), *folder.glob(f"*/{CHECKPOINTS}/*")):
        files = sorted(path for path in place.glob("[0-9]*.pt") if not path.name.startswith("."))
        if files:
            found[str(files[-1].relative_to(folder))] = files[-1]
    return found


def is_checkpoint(key: str) -> bool:
    """Whether a key, or the name of a file, is that of a checkpoint."""
    return CHECKPOINTS in key.split("/")[:-2]
