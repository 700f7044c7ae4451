"""A journal in an object store: numbered segments, each an object that is written once and never again.

`journal/00000012-000000004711.jsonl` is the twelfth, and its bytes are those of the journal from 4,711 on; it ends with
a line. So all segments one after another are the journal. Two drivers that write to the same address by mistake would
need the same key for what they write next, and only one of them gets it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tune_lpc.results import JOURNAL_FILE
from tune_lpc.results.events import RunEnded, RunResumed, RunStarted, TrialEnded
from tune_lpc.storage.store import Found

_KEY = re.compile(r"((?:[^/]+/)*)journal/(\d{8})-(\d{12})\.jsonl")
_FILLING = b"lost"
LARGEST = 4 * 2**20
"""Bytes of a segment, but for a single line that is longer."""
_DECISIVE = tuple(f'{{"kind":"{kind.kind}"'.encode() for kind in (RunStarted, RunResumed, TrialEnded, RunEnded))


@dataclass(frozen=True)
class Segment:
    """One in the store: its number, from 1, where in the journal it begins, and its size in bytes."""

    key: str
    number: int
    start: int
    size: int


@dataclass(frozen=True)
class End:
    """Up to where a journal is in the store: the number of its last segment, and bytes."""

    number: int = 0
    size: int = 0

    def key(self, run: str) -> str:
        """Of the next segment. run: the folder of the journal, below that of the results; empty for that itself."""
        return f"{f'{run}/' if run else ''}journal/{self.number + 1:08d}-{self.size:012d}.jsonl"

    def after(self, size: int) -> End:
        """Once the next segment, of `size` bytes, is there."""
        return End(self.number + 1, self.size + size)


def segments_in(found: Iterable[Found]) -> dict[str, list[Segment]]:
    """The segments in a listing, in order, by the folder of their journal."""
    runs: dict[str, list[Segment]] = {}
    for each in found:
        if match := _KEY.fullmatch(each.key):
            segment = Segment(each.key, int(match[2]), int(match[3]), each.size)
            runs.setdefault(match[1].rstrip("/"), []).append(segment)
    return {run: sorted(segments, key=lambda each: (each.start, each.number)) for run, segments in runs.items()}


def is_segment(key: str) -> bool:
    """Whether a key is that of a segment."""
    return _KEY.fullmatch(key) is not None


def end_of(segments: Iterable[Segment]) -> End:
    """Where the next segment goes: after the last byte, and above every number."""
    last = list(segments)
    return End(
        max((each.number for each in last), default=0), max((each.start + each.size for each in last), default=0)
    )


def put_together(
    segments: Iterable[Segment], read: Callable[[Segment], bytes], start: int = 0
) -> Iterator[bytes | str]:
    """The bytes of a journal from `start` on, and in between a line for each damage.

    What is missing is filled with a line that is no entry, so that every byte stays where it was, and whoever reads the
    journal is told. A segment that was half written gives what it has. Segments that end before `start` are not read.
    """
    at = start
    for segment in segments:
        if segment.start + segment.size <= start:
            continue
        if segment.start > at:
            gap = segment.start - at
            yield f"{segment.key}: the {gap:,} bytes of the journal before it are missing in the store"
            yield (_FILLING * (gap // len(_FILLING) + 1))[: gap - 1] + b"\n"
            at = segment.start
        content = read(segment)
        if len(content) < segment.size:
            yield f"{segment.key} is cut: it has {len(content):,} of {segment.size:,} bytes"
        skipped = at - segment.start
        if skipped and segment.start >= start:
            yield f"{segment.key} overlaps the one before; of what both have, the first is taken"
        content = content[skipped:]
        if content:
            yield content
            at += len(content)


def whole_lines(path: Path, start: int, most: int = LARGEST) -> bytes:
    """The lines of a journal from `start` on that are written to their end, in `most` bytes or one line.

    Nothing where there is no such file. Raises OSError when it can't be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(most)
            while b"\n" not in content and (more := file.read(most)):
                content += more
    except FileNotFoundError:
        return b""
    return content[: content.rfind(b"\n") + 1]


def is_decisive(lines: bytes) -> bool:
    """Whether lines of a journal tell that a run began, or that a trial or a run ended."""
    return any(kind in lines for kind in _DECISIVE)


def runs_in(folder: Path) -> list[str]:
    """The folders of journals in a folder of results, as they are named below it; the folder itself is ''."""
    found = (*folder.glob(JOURNAL_FILE), *folder.glob(f"*/{JOURNAL_FILE}"), *folder.glob(f"*/*/{JOURNAL_FILE}"))
    inside = (path.parent.relative_to(folder) for path in found)
    return ["" if str(place) == "." else str(place) for place in inside if not any(p[0] == "." for p in place.parts)]
