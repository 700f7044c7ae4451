"""A folder for temporary files whose name is short enough for sockets, which Ray and worker processes make there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 40
"""Characters that are left for the folder: a socket's path has at most 107, and Ray's own part of it up to 65."""
_PLACES = ("/tmp", "/var/tmp", "/dev/shm")
_PREFIX = "tune_lpc-"


@contextmanager
def short_temporary_folder() -> Iterator[None]:
    """Within, temporary files go into a folder of our own where the usual one is too long, or another user's Ray's.

    It is TMPDIR for this process and those that it starts. Raises OSError where no folder can be made.
    """
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(usual) <= LONGEST and _can_be_rays(Path(usual) / "ray"):
        yield
        return
    with _made() as folder:
        before = {name: os.environ.get(name) for name in ("TMPDIR", "RAY_TMPDIR")}
        os.environ.update(dict.fromkeys(before, folder))
        tempfile.tempdir = None  # it is found anew
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                os.environ.update({} if value is None else {name: value})
            tempfile.tempdir = None


def _can_be_rays(folder: Path) -> bool:
    """Whether Ray can write into the folder that it makes for all users of a machine."""
    return os.access(folder if folder.exists() else folder.parent, os.W_OK | os.X_OK)


@contextmanager
def _made() -> Iterator[str]:
    for place in _PLACES:
        if os.access(place, os.W_OK | os.X_OK):
            with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place, ignore_cleanup_errors=True) as folder:
                yield folder
            return
    raise OSError(
        f"none of {', '.join(_PLACES)} can be written, and {tempfile.gettempdir()} is too long for Ray's sockets"
    )
