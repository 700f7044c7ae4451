"""The journal of a search: an append-only file with one self-checking line per event.

A line is the CRC-32 of the payload (8 hexadecimal digits), a space, and the payload: one JSON object in ASCII.
Every entry has `kind` and `time` (Unix seconds). The search writes the kinds below; readers pass over others:

    run_started    run: the content of run.json
    trial_started  trial_id, number (from 0, in order of creation), config: every setting of the TrialSpec
    epoch          trial_id, record: an EpochRecord; an epoch done again after a failure appears again
    trial_ended    trial_id, status: completed, stopped, diverged or failed; reason
    run_ended      outcome: finished, interrupted or failed; reason
"""

from __future__ import annotations

import json
import math
import os
import re
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

JOURNAL_FILE = "journal.jsonl"

_LINE = re.compile(rb"([0-9a-f]{8}) (.*)", re.DOTALL)


class Journal:
    """The journal, open for appending by the one process that drives the search.

    Each entry goes to the operating system at once, so a killed process loses at most the entry it was writing.
    Creates the file when there is none; raises OSError when that fails. With `new`, raises FileExistsError when there
    is one: of two searches that start in the same folder at once, one gets it.
    """

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | (os.O_EXCL if new else 0)
        self._descriptor = os.open(path, flags, 0o644)
        size = os.fstat(self._descriptor).st_size
        self._line_is_open = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"

    def append(self, kind: str, **fields: object) -> None:
        """Write one entry. NaN and infinity become null.

        Raises OSError when the entry can't be written whole (full disk, closed journal); the entries before it
        stay readable, and so do those appended later. Raises TypeError for a value that JSON doesn't have.
        """
        entry = {"kind": kind, "time": time.time(), **fields}
        payload = json.dumps(finite(entry), separators=(",", ":"), allow_nan=False).encode("ascii")
        line = b"%08x %s\n" % (zlib.crc32(payload), payload)
        if self._line_is_open:
            line = b"\n" + line
        rest = memoryview(line)
        while rest:
            # A write may take only a part, then fail: the next entry must not continue the cut line.
            rest = rest[os.write(self._descriptor, rest) :]
            self._line_is_open = len(rest) > 0

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_journal(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The whole entries in order, and one line for each damaged entry left out: its line number and why.

    Damage never raises. Raises OSError when there is no file, or when it can't be read at all.
    """
    entries: list[dict[str, Any]] = []
    damaged: list[str] = []
    lines = path.read_bytes().split(b"\n")
    tail = lines[-1]
    if not tail:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        entry = _parse(line)
        if isinstance(entry, dict):
            entries.append(entry)
        elif tail and number == len(lines):
            damaged.append(f"line {number} is cut off: {entry}")
        else:
            damaged.append(f"line {number} is damaged: {entry}")
    return entries, damaged


def _parse(line: bytes) -> dict[str, Any] | str:
    """The entry that a line holds, or why it holds none."""
    match = _LINE.fullmatch(line)
    if match is None:
        return "it does not begin with a checksum"
    checksum, payload = match.groups()
    if int(checksum, 16) != zlib.crc32(payload):
        return "its checksum does not match"
    try:
        entry = json.loads(payload)
    except ValueError as error:
        return f"it is not JSON ({error})"
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        return "it is not an entry with a kind"
    return entry


def finite(value: object) -> object:
    """`value` with null for each NaN and infinity, and with text that every reader of UTF-8 accepts."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        # File names that are not UTF-8 reach error messages as lone surrogates, which Parquet can't hold.
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
