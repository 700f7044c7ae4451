"""What a running search uploads: its journal in segments, and checkpoints, tables and pages as they change.

All of it is read from the local copy, by threads of its own: nothing in the search waits for the store. While
that can't be reached the search goes on, and what has gathered meanwhile is uploaded when it is back.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from tune_lpc.results import JOURNAL_FILE
from tune_lpc.results.manifest import MANIFEST_FILE
from tune_lpc.storage.index import Index, crc_of, files_of, is_checkpoint, newest_checkpoints, state_of
from tune_lpc.storage.lease import Lease, LeaseLost
from tune_lpc.storage.segments import End, end_of, is_decisive, runs_in, segments_in, whole_lines
from tune_lpc.storage.store import Found, Store, StoreError

LOOKS_EVERY = 0.5
"""Seconds from one look at the journal to the next."""
DELAY = 2.0
"""Seconds that an entry waits for others, at most; decisive ones don't."""
ENTRIES = 50
"""Entries that wait, at most."""
CHECKPOINTS_EVERY = 3.0
FILES_EVERY = 10.0
SHARE = 0.05
"""Of the time, at most, goes into uploading tables and pages while the search runs."""
TIMES = 3
"""That it is looked again whether tables have changed while they were uploaded, at most."""
TRIES_AGAIN_AFTER = (1.0, 15.0)
"""Seconds until the store is asked again, the first time, and at most."""
PATIENCE = 15.0
"""Seconds for which the end of a search waits for a store that can't be reached."""
IN_HASTE = 8.0
"""Seconds for which a search that was interrupted waits for an upload that is under way, and its end for threads."""


class Uploader:
    """Uploads a local copy; a context manager: within, as it changes.

    found: what was in the store when the copy was brought up to it. say: tells people a line.
    """

    def __init__(
        self, store: Store, folder: Path, found: Sequence[Found], lease: Lease, say: Callable[[str], None]
    ) -> None:
        self.folder, self.lost = folder, ""
        """lost: why no further upload is made: another process has the lease; empty while that is not so."""
        self._store, self._lease, self._say = store, lease, say
        self._index = Index.read(folder)
        self._ends = {run: end_of(segments) for run, segments in segments_in(found).items()}
        self._checkpoints = {each.key for each in found if is_checkpoint(each.key)}
        self._journal_lock, self._files_lock, self._trouble_lock = (
            threading.RLock(),
            threading.RLock(),
            threading.Lock(),
        )
        self._trouble = ""
        self._since: dict[str, float] = {}
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for task, every in ((self._keep_journals, LOOKS_EVERY), (self._keep_files, CHECKPOINTS_EVERY)):
            thread = threading.Thread(target=self._repeat, args=(task, every), name="uploads", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(IN_HASTE)  # one that waits for a server that hangs is left alone

    @property
    def trouble(self) -> str:
        """Why the store could not be reached when it was last tried; empty where it could."""
        return self._trouble

    def flush(self, patience: float = PATIENCE, *, in_haste: bool = False) -> str:
        """Upload all that is not in the store yet; empty, or why that can't be done, in a line.

        patience: seconds for which a store that can't be reached is asked again. in_haste: this process may be killed
        soon, so one try must do, and none is made where the last one failed.
        """
        if not in_haste:
            return self._flush(patience)
        if self._trouble or not self._files_lock.acquire(timeout=IN_HASTE):
            return self._trouble or f"{self._store.where} took too long to answer"
        try:
            return self._flush(0.0)
        finally:
            self._files_lock.release()

    def _flush(self, patience: float) -> str:
        deadline = time.monotonic() + patience
        while True:
            try:
                self._send_files(with_tables=True)
            except StoreError as error:
                if not error.is_passing or time.monotonic() > deadline:
                    self._trouble = str(error)
                    return str(error)
            except LeaseLost as error:
                return str(error)
            except OSError as error:
                return f"{error.filename or self.folder} can't be read ({error.strerror or error})"
            else:
                self._tell_trouble("")
                return ""
            time.sleep(1.0)

    # Threads

    def _repeat(self, task: Callable[[], None], every: float) -> None:
        first, most = TRIES_AGAIN_AFTER
        wait, after = every, first
        while not self._is_over.wait(wait) and not self.lost:
            try:
                task()
            except StoreError as error:
                self._tell_trouble(str(error))
                wait, after = after, min(most, after * 2)
            except LeaseLost as error:
                self._lose(str(error))
            except OSError as error:
                self._tell_trouble(f"{error.filename or self.folder} can't be read ({error.strerror or error})")
                wait, after = after, min(most, after * 2)
            else:
                self._tell_trouble("")
                wait, after = every, first

    def _keep_journals(self) -> None:
        if self._lease.is_due:
            self._lease.renew()
        with self._journal_lock:
            for run in runs_in(self.folder):
                lines = self._lines(run)
                if not lines:
                    self._since.pop(run, None)
                    continue
                waited = time.monotonic() - self._since.setdefault(run, time.monotonic())
                if waited >= DELAY or lines.count(b"\n") >= ENTRIES or is_decisive(lines):
                    self._send_segment(run, lines)

    def _keep_files(self) -> None:
        begin = time.monotonic()
        with self._files_lock:
            with_tables = begin >= self._since.get("tables", 0.0)
            self._send_files(with_tables=with_tables)
        if with_tables:
            took = time.monotonic() - begin
            self._since["tables"] = begin + max(FILES_EVERY, took / SHARE)

    def _tell_trouble(self, problem: str) -> None:
        """Say once that the store can't be reached, and once that it is back."""
        with self._trouble_lock:
            before, self._trouble = self._trouble, problem
        if problem and not before:
            self._say(f"{problem}; the search goes on, and what it writes is uploaded later")
        elif before and not problem and not self._is_over.is_set():
            self._say(f"{self._store.where} can be reached again")

    def _lose(self, reason: str) -> None:
        if not self.lost:
            self.lost = reason
            self._say(f"{reason}; nothing more is uploaded from here")

    # Uploads

    def _lines(self, run: str) -> bytes:
        return whole_lines(self.folder / run / JOURNAL_FILE, self._ends.get(run, End()).size)

    def _send_segment(self, run: str, lines: bytes) -> None:
        """Raises LeaseLost when another process has written its place."""
        end = self._ends.get(run, End())
        key = end.key(run)
        if self._store.create(key, lines) is None:
            there = self._store.read(key)
            stored = b"" if there is None else there.data
            if not stored or not lines.startswith(stored):
                raise LeaseLost(f"another search has written to {self._store.where}: {key} is not of this one")
            lines = stored  # an earlier try got there, only its answer did not come back
        self._since.pop(run, None)
        self._ends[run] = end.after(len(lines))
        size, crc = self._index.journals.get(run, (0, 0))
        # Of what came before, where the index did not know it.
        crc = crc if size == end.size else crc_of(self.folder / run / JOURNAL_FILE, end.size) or 0
        self._index.journals[run] = (end.size + len(lines), zlib.crc32(lines, crc))

    def _send_journals(self) -> None:
        with self._journal_lock:
            for run in runs_in(self.folder):
                while lines := self._lines(run):
                    self._send_segment(run, lines)

    def _send_files(self, *, with_tables: bool) -> None:
        """Checkpoints, and with them all other files. Raises StoreError, LeaseLost, OSError."""
        if self.lost:
            raise LeaseLost(self.lost)
        with self._files_lock:
            if self._lease.is_due:
                self._lease.renew()
            # Listed before the journal is sent: a checkpoint may be an epoch ahead of it there as well, not more.
            newest = newest_checkpoints(self.folder)
            self._send_journals()
            for name in newest.keys() - self._checkpoints:
                if self._send(name):
                    self._checkpoints.add(name)
            for name in self._checkpoints - newest.keys():
                self._store.remove(name)
                self._index.files.pop(name, None)
                self._checkpoints.discard(name)
            if with_tables:
                self._send_tables()
            self._index.write()

    def _send_tables(self) -> None:
        names = list(files_of(self.folder))
        for _ in range(TIMES):
            changed = [name for name in names if not self._index.is_stored(name)]
            # The manifest tells what the others are, so it comes after them.
            for name in sorted(changed, key=lambda name: name.endswith(MANIFEST_FILE)):
                self._send(name)
            if not changed:
                break
        for name in [each for each in self._index.files if not is_checkpoint(each) and each not in names]:
            if not (self.folder / name).exists():
                self._store.remove(name)
                self._index.files.pop(name)

    def _send(self, name: str) -> bool:
        """Upload a file; False where it is gone meanwhile."""
        path = self.folder / name
        state = state_of(path)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return False
        tag = self._store.write(name, content)
        if state is not None:
            self._index.note(name, state, tag)
        return True
