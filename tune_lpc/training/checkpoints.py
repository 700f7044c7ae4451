"""The checkpoints of one trial: files that check themselves, of which the last two are kept."""

from __future__ import annotations

import io
import os
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import torch

KEPT = 2
"""The newest, and the one before in case the newest is damaged."""

Position = tuple[int, int]
"""Where a trial stands: the length of its run in epochs, and the epochs of that run that are done."""

_NAME = re.compile(r"(\d+)-(\d+)-([0-9a-f]{8})\.pt")


class Checkpoints:
    """A folder of checkpoints, each named by its position and the CRC-32 of its content.

    A file appears whole or not at all. Several processes may read; the one that trains the trial writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, position: Position, state: dict[str, Any]) -> None:
        """Keep `state` (tensors, numbers and texts, in dicts and lists) and drop all but the newest two.

        Raises OSError when it can't be written; what was there before stays.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getbuffer()
        # Not what lies above: where somebody removes the run while it trains, that must show.
        self.folder.parent.mkdir(exist_ok=True)
        self.folder.mkdir(exist_ok=True)
        budget, epoch = position
        path = self.folder / f"{budget:06d}-{epoch:06d}-{zlib.crc32(content):08x}.pt"
        part = self.folder / f".{path.name}.{os.getpid()}.part"
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        # What lies beyond is damaged, or training would have gone on from there; it must not count as the newest.
        self.forget_after(position)
        for _, old in self._files()[:-KEPT]:
            old.unlink(missing_ok=True)

    def newest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The state of the newest whole checkpoint, on the CPU, None without any; and a line for each damaged one.

        Nothing is unpickled but tensors, numbers and texts.
        """
        left_out = []
        for _, path in reversed(self._files()):
            try:
                content = path.read_bytes()
            except OSError as error:
                left_out.append(f"checkpoint {path} can't be read: {error.strerror or error}")
                continue
            if f"{zlib.crc32(content):08x}" == path.stem[-8:]:
                state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
                return state, left_out
            left_out.append(f"checkpoint {path} is damaged: its checksum does not match")
        return None, left_out

    def forget_after(self, position: Position) -> None:
        """Remove the checkpoints beyond `position`."""
        for place, path in self._files():
            if place > position:
                path.unlink(missing_ok=True)

    def keep_newest(self) -> None:
        """Remove all but the newest."""
        for _, path in self._files()[:-1]:
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder with all in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[tuple[Position, Path]]:
        """The checkpoints by position, rising."""
        if not self.folder.is_dir():
            return []
        named = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return sorted(((int(match[1]), int(match[2])), path) for match, path in named if match is not None)
