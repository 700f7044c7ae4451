"""The journal of a search: an append-only file with one self-checking line per event.

A line is the CRC-32 of the payload (8 hexadecimal digits), a space, and the payload: one JSON object in ASCII.
Every entry has `kind` and `time` (Unix seconds); the kinds and their fields are those of `events.py`. Readers pass over
kinds that they do not know.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import re
import time
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from tune_lpc.results.events import Event, as_entry, as_event

JOURNAL_FILE = "journal.jsonl"

CHECKSUM = 9
"""Bytes before the payload: the checksum and a space."""
_LINE = re.compile(rb"([0-9a-f]{8}) (.*)", re.DOTALL)
_BEGINNING = re.compile(rb'\{"kind":"(\w+)","time":([0-9.]+)')
_BEGINS = (b"run_started", b"run_resumed")
"""What a process writes first; both, where it makes the search longer."""
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What file systems that have no locks answer, such as Lustre mounted without them."""


class JournalLocked(OSError):  # noqa: N818 - it is a state, as is FileExistsError's
    """Another process has the journal open for writing."""


class Journal:
    """The journal, open for appending by the one process that drives the search.

    Each entry goes to the operating system at once, so a killed process loses at most the entry it was writing.
    Creates the file when there is none; raises OSError when that fails. With `new`, raises FileExistsError when there
    is one: of two searches that start in the same folder at once, one gets it.

    The file is locked while it is open: raises JournalLocked when another process has it. The lock ends with the
    process, however it ends.

    is_locked: False on a file system that has no locks; nothing keeps a second process out there.
    """

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | (os.O_EXCL if new else 0)
        self._descriptor = os.open(path, flags, 0o644)
        try:
            self.is_locked = _lock(self._descriptor, path, fcntl.LOCK_EX)
            size = os.fstat(self._descriptor).st_size
            self._line_is_open = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
        except OSError:
            self.close()
            raise

    def write(self, event: Event) -> None:
        """Append an event; see `append`."""
        self.append(**as_entry(event))

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
        state = os.fstat(self._descriptor)
        if state.st_nlink == 0:
            raise OSError(errno.ENOENT, "it was removed", str(self.path))
        before, rest = state.st_size, memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
                self._line_is_open = False
        except OSError:
            self._take_back(before)
            raise

    def _take_back(self, size: int) -> None:
        """A write may take only a part, then fail: cut the part off, or see to it that no entry continues its line."""
        try:
            now = os.fstat(self._descriptor).st_size
            if now > size and self.is_locked:  # else another process may have written after it
                os.ftruncate(self._descriptor, now := size)
            self._line_is_open = now > 0 and os.pread(self._descriptor, 1, now - 1) != b"\n"
        except OSError:
            self._line_is_open = True

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


def journal_in_use(path: Path) -> bool:
    """Whether a living process has the journal at `path` open for writing; False when there is no such file.

    Raises OSError when the file can't be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        _lock(descriptor, path, fcntl.LOCK_SH)
    except JournalLocked:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int, path: Path, kind: int) -> bool:
    """Lock an open file at once; False where the file system has no locks. Raises JournalLocked when it is taken."""
    # Not a record lock (fcntl.lockf): that one ends as soon as this process closes any other descriptor of the file,
    # and reading the journal does.
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JournalLocked(f"another process is writing {path}; wait for it, or end it first") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def read_journal(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The whole entries in order, and one line for each damaged entry left out: its line number and why.

    Damage never raises. Raises OSError when there is no file, or when it can't be read at all.
    """
    damaged: list[str] = []
    return list(journal_entries(path, damaged)), damaged


def journal_entries(path: Path, damaged: list[str], kinds: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """The same, an entry at a time; a line for each damaged one is added to `damaged` as it is passed over.

    kinds: those to be read, all by default; lines that begin with none of them are passed over unread, which costs
    little.
    """
    with path.open("rb") as file:
        yield from _entries(file, damaged, kinds)


def journal_events(path: Path, damaged: list[str], kinds: Collection[str] = ()) -> Iterator[Event]:
    """The events in order, those of unknown kinds left out; a line for each damaged entry is added to `damaged`.

    kinds: see `journal_entries`.
    Raises OSError when there is no file, or when it can't be read at all.
    """
    with path.open("rb") as file:
        yield from events_of_lines(file, damaged, kinds)


def events_of_lines(
    lines: Iterable[bytes], damaged: list[str], kinds: Collection[str] = (), *, lines_before: int = 0
) -> Iterator[Event]:
    """The same of lines of a journal, of which so many come before these."""
    for entry in _entries(lines, damaged, kinds, lines_before):
        try:
            event = as_event(entry)
        except ValueError as error:
            damaged.append(f"an entry is left out: {error}")
        else:
            if event is not None:
                yield event


def _entries(
    lines: Iterable[bytes], damaged: list[str], kinds: Collection[str] = (), lines_before: int = 0
) -> Iterator[dict[str, Any]]:
    beginnings = tuple(f'{{"kind":"{kind}"'.encode() for kind in kinds)
    for number, line in enumerate(lines, start=lines_before + 1):
        if kinds and not line.startswith(beginnings, CHECKSUM):
            continue
        entry = _parse(line.removesuffix(b"\n"))
        if type(entry) is dict:
            yield entry
        elif line.endswith(b"\n"):
            damaged.append(f"line {number} is damaged: {entry}")
        else:
            damaged.append(f"line {number} is cut off: {entry}")


def seconds_written(path: Path) -> float:
    """How long the processes that wrote to the journal were at it, each from its first entry to its last.

    By the times of the entries; damaged ones are passed over. Raises OSError when there is no file.
    """
    total, first, last = 0.0, 0.0, 0.0
    with path.open("rb") as file:
        for line in file:
            if (found := _kind_and_time(line.removesuffix(b"\n"))) is None:
                continue
            kind, at = found
            if kind in _BEGINS:
                total, first = total + max(0.0, last - first), at
            first, last = first or at, at
    return total + max(0.0, last - first)


def _kind_and_time(line: bytes) -> tuple[bytes, float] | None:
    """What every entry begins with, without reading the rest of a long line; None for a damaged one."""
    match = _LINE.fullmatch(line)
    if match is None or int(match[1], 16) != zlib.crc32(match[2]):
        return None
    begins = _BEGINNING.match(match[2])
    return None if begins is None else (begins[1], float(begins[2]))


def _parse(line: bytes) -> dict[str, Any] | str:
    """The entry that a line holds, or why it holds none."""
    payload = line[CHECKSUM:]
    # Written anew and compared: quicker than to read it, and a search has millions of lines.
    if line[:CHECKSUM] != b"%08x " % zlib.crc32(payload):
        told = _LINE.fullmatch(line) is not None
        return "its checksum does not match" if told else "it does not begin with a checksum"
    try:
        entry = orjson.loads(payload)
    except ValueError as error:
        return f"it is not JSON ({error})"
    if type(entry) is not dict or type(entry.get("kind")) is not str:
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
