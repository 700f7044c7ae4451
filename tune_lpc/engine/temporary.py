"""A folder of our own for Ray's files, closed to other users, whose name is short enough for sockets in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST = 107 - len("/ray/session_2026-11-28_00-40-08_038212_4194304/sockets/dash_TaskEventsHead")
"""Characters that are left for the folder: a socket's path has at most 107, the rest is Ray's own, at its longest."""
_PLACES = ("/tmp", "/var/tmp", "/dev/shm")
_PREFIX = "tune_lpc-"
_ADDED = len(f"/{_PREFIX}12345678")
_LOCK = "lock"
_YOUNGEST = 60.0
"""Seconds; a folder that was just made may not be locked yet."""


class RayFolder:
    """The folder for Ray's files. It is removed at the end, unless somebody is to look at what Ray has noted in it."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.is_kept = False

    def keep_logs(self) -> Path | None:
        """Let the folder stay; where Ray's logs are in it. None, and nothing stays, where it has written none."""
        for logs in self.path.glob("ray/session_*/logs"):
            if not logs.parent.is_symlink() and any(logs.iterdir()):
                self.is_kept = True
                return logs
        return None


@contextmanager
def private_ray_folder() -> Iterator[RayFolder]:
    """Within, the files of a Ray that this process starts go into a folder that no other user may enter.

    Ray's own folders are open to all, and sockets in them answer without a token. Other temporary files, and caches
    among them, go where they always do, unless the name of that place is too long: worker processes make sockets
    there. It is RAY_TMPDIR, and where need be TMPDIR, for this process and those that it starts.
    Raises OSError where no folder can be made.
    """
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    names = ["RAY_TMPDIR"] if len(tempfile.gettempdir()) <= LONGEST else ["RAY_TMPDIR", "TMPDIR"]
    with _made(usual) as folder:
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(dict.fromkeys(before, str(folder.path)))
        tempfile.tempdir = None  # it is found anew
        try:
            yield folder
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ.update({} if value is None else {name: value})
            tempfile.tempdir = None


@contextmanager
def _made(usual: str) -> Iterator[RayFolder]:
    for place in (usual, *_PLACES):
        if len(place) + _ADDED <= LONGEST and os.access(place, os.W_OK | os.X_OK):
            break
    else:
        raise OSError(
            f"none of {', '.join(_PLACES)} can be written, and {usual} is too long for Ray's sockets"
            if len(usual) + _ADDED > LONGEST
            else f"none of {', '.join(dict.fromkeys((usual, *_PLACES)))} can be written"
        )
    _remove_those_of_killed_searches(Path(place))
    folder = RayFolder(tempfile.mkdtemp(prefix=_PREFIX, dir=place))  # of mode 0700
    with (folder.path / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            (folder.path / _LOCK).unlink(missing_ok=True)  # what is kept is nobody's to remove but the user's
            if not folder.is_kept:
                shutil.rmtree(folder.path, ignore_errors=True)


def _remove_those_of_killed_searches(place: Path) -> None:
    """Remove the folders whose lock nobody holds any more: the process that made them was killed."""
    for left in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = left.lstat()
            if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
                continue
            if time.time() - (left / _LOCK).stat().st_mtime < _YOUNGEST:
                continue
            with (left / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
