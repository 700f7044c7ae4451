"""The local copy of results that are in a store: brought up to it, without losing what only the copy has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from tune_lpc.plan.errors import UserError
from tune_lpc.results import JOURNAL_FILE
from tune_lpc.results.journal import journal_in_use
from tune_lpc.storage.index import Index, crc_of, has_content, is_checkpoint, state_of
from tune_lpc.storage.lease import LEASE_FILE
from tune_lpc.storage.segments import Segment, end_of, is_segment, put_together, runs_in, segments_in
from tune_lpc.storage.store import Found, Store

AT_ONCE = 8
"""Objects that are read at the same time."""
PATIENCE = 600.0
"""Seconds to wait for another process that brings the same results here."""
_DERIVED = (".parquet", ".html", ".svg", ".png", ".pdf", "manifest.json", "optuna.journal", "ray.log")
"""Endings of files that can be made again."""


def bring_here(store: Store, folder: Path, say: Callable[[str], None], *, with_checkpoints: bool) -> list[Found]:
    """Bring the copy in `folder` up to the store; the objects that are there.

    Of a journal that has more entries here than there, those are kept. Where both have others, the store has the truth:
    the whole copy is set aside and told. A copy that a living search writes is left as it is: it is ahead.

    Raises StoreError, and UserError when the folder can't be written.
    """
    found = store.list()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if any(journal_in_use(folder / run / JOURNAL_FILE) for run in ["", *runs_in(folder)]):
                return found
            _bring(store, folder, found, say, with_checkpoints=with_checkpoints)
    except OSError as error:
        where = error.filename or folder
        raise UserError(
            f"the local copy of {store.where} can't be written: {where} ({error.strerror or error}); set "
            "TUNE_LPC_CACHE to a folder with space"
        ) from error
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        with lock.acquire(timeout=PATIENCE):
            yield
    except Timeout as error:
        raise UserError(f"another process is bringing {folder} up to date; wait for it, or end it") from error


def _bring(
    store: Store, folder: Path, found: Sequence[Found], say: Callable[[str], None], *, with_checkpoints: bool
) -> None:
    index, segments = Index.read(folder), segments_in(found)
    if index.address not in ("", store.where):
        raise UserError(f"{folder} is the copy of {index.address}, not of {store.where}; choose another folder")
    index.address = store.where
    new: dict[str, tuple[int, list[bytes], list[str]]] = {}
    for run in dict.fromkeys([*segments, *index.journals]):
        there = segments.get(run, [])
        size = index.common(run)
        if size > end_of(there).size:
            size = 0  # what was there is gone
            new[run] = (0, [], [])
            continue
        parts, damage = _read(store, there, size)
        new[run] = (size, parts, damage)
    fitting = [
        _fits(folder / run / JOURNAL_FILE, size, parts, run in index.journals) for run, (size, parts, _) in new.items()
    ]
    if not all(fitting):
        aside = _set_aside(folder)
        say(f"the copy of {store.where} here held other entries than it does now; it is kept in {aside}")
        index = Index(folder, store.where)
        new = {run: (0, *_read(store, there, 0)) for run, there in segments.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for run, (size, parts, damage) in new.items():
        for line in damage:
            say(f"damaged: {line}")
        _append(folder / run / JOURNAL_FILE, size, parts)
        end = size + sum(map(len, parts))
        if (crc := crc_of(folder / run / JOURNAL_FILE, end)) is not None:
            index.journals[run] = (end, crc)
    _bring_files(store, index, found, say, with_checkpoints=with_checkpoints)
    index.write()


def _read(store: Store, segments: Sequence[Segment], start: int) -> tuple[list[bytes], list[str]]:
    """What the store has of a journal from `start` on, and a line for each damage."""
    needed = [each for each in segments if each.start + each.size > start]

    def content(segment: Segment) -> bytes:
        there = store.read(segment.key)
        return b"" if there is None else there.data

    with ThreadPoolExecutor(AT_ONCE) as pool:
        contents = dict(zip((each.key for each in needed), pool.map(content, needed), strict=True))
    parts: list[bytes] = []
    damage: list[str] = []
    for each in put_together(needed, lambda segment: contents[segment.key], start):
        (damage if isinstance(each, str) else parts).append(each)  # type: ignore[arg-type]
    return parts, damage


def _fits(path: Path, size: int, parts: Sequence[bytes], was_stored: bool) -> bool:
    """Whether what the copy has after `size` bytes begins what the store has there, or the other way round."""
    try:
        with path.open("rb") as file:
            file.seek(size)
            for part in parts:
                here = file.read(len(part))
                if here != part[: len(here)]:
                    return False
                if len(here) < len(part):
                    return True
            # Here alone: not where the store once had it, and has it no more.
            return not (was_stored and not size and not parts and file.read(1))
    except FileNotFoundError:
        return True


def _append(path: Path, size: int, parts: Sequence[bytes]) -> None:
    """Write what the copy lacks of the parts, which begin at `size`."""
    if not parts:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        skipped = file.tell() - size
        for part in parts:
            file.write(part[max(0, skipped) :])
            skipped -= len(part)


def _bring_files(
    store: Store, index: Index, found: Sequence[Found], say: Callable[[str], None], *, with_checkpoints: bool
) -> None:
    wanted = [
        each
        for each in found
        if each.key != LEASE_FILE
        and not is_segment(each.key)
        and (with_checkpoints or not is_checkpoint(each.key))
        and _is_harmless(each.key)
        and not _is_same(index, each)
    ]

    def bring(each: Found) -> tuple[Found, tuple[int, int] | None, str | None]:
        path = index.folder / each.key
        content = store.read(each.key)
        if content is None:
            return each, None, None
        aside = None
        if path.exists() and not index.is_stored(each.key) and not each.key.endswith(_DERIVED):
            aside = str(_set_aside(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(content.data)
        part.replace(path)
        return Found(each.key, each.size, content.tag), state_of(path), aside

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for each, state, aside in pool.map(bring, wanted):
            if state is not None:
                index.note(each.key, state, each.tag)
            if aside is not None:
                say(f"{index.folder / each.key} differed from that in {store.where}; it is kept in {aside}")


def _is_harmless(key: str) -> bool:
    """Whether a key is the name of a file below the folder, whoever wrote the object."""
    parts = PurePosixPath(key).parts
    return bool(parts) and not any(part.startswith((".", "/")) or "\0" in part for part in parts)


def _is_same(index: Index, each: Found) -> bool:
    """Whether a file is to stay as it is here: the same as there, or changed here alone."""
    path, known = index.folder / each.key, index.files.get(each.key)
    if (state := state_of(path)) is None:
        return False
    if is_checkpoint(each.key) and state[0] == each.size:
        return True  # its name holds its checksum
    if known is not None and known[2] == each.tag:
        return True
    if state[0] == each.size and has_content(path, each.tag):
        index.note(each.key, state, each.tag)
        return True
    return False


def _set_aside(path: Path) -> Path:
    """Rename a file or folder; its new name."""
    aside = next(p for n in count(1) if not (p := path.with_name(f"{path.name}.aside-{n}")).exists())
    path.rename(aside)
    return aside
