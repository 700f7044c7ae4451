"""The folder for Ray's files: private, short, and gone at the end."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tune_lpc.engine.temporary import LONGEST, private_ray_folder


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The usual folder for temporary files, short enough for a folder in it."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as place:
        monkeypatch.setenv("TMPDIR", place)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(place)
    tempfile.tempdir = None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_it_is_closed_to_others_whatever_the_umask_and_removed(place: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with private_ray_folder() as folder:
            assert folder.path.parent == place and os.environ["RAY_TMPDIR"] == str(folder.path)
            assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
            assert len(str(folder.path)) <= LONGEST
            (folder.path / "ray" / "session_1").mkdir(parents=True)
    finally:
        os.umask(before)
    assert list(place.iterdir()) == [] and "RAY_TMPDIR" not in os.environ


def test_every_socket_of_ray_has_room_in_it(place: Path) -> None:
    """The longest name that Ray gives one: the parts of its dashboard, in the session of a process with a long id."""
    with private_ray_folder() as folder:
        path = folder.path / "ray" / "session_2026-11-28_00-40-08_038212_4194304" / "sockets" / "dash_TaskEventsHead"
        path.parent.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))


def test_other_temporary_files_and_caches_stay_where_they_were(place: Path) -> None:
    with private_ray_folder():
        assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(place)


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_where_the_usual_place_is_too_long_it_lies_elsewhere(
    name: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv(name, str(long))
    tempfile.tempdir = None
    with private_ray_folder() as folder:
        assert len(str(folder.path)) <= LONGEST and not folder.path.is_relative_to(long)
        assert os.environ["RAY_TMPDIR"] == str(folder.path)
        # Worker processes make sockets among the other temporary files.
        assert tempfile.gettempdir() == str(folder.path if name == "TMPDIR" else place)
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert not folder.path.exists()
    assert os.environ[name] == str(long) and ("RAY_TMPDIR" in os.environ) == (name == "RAY_TMPDIR")


def test_where_none_can_be_written_it_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OSError, match="can be written"), private_ray_folder():
        pass


def test_logs_are_kept_when_asked_for(place: Path) -> None:
    with private_ray_folder() as folder:
        assert folder.keep_logs() is None, "there are none yet"
        logs = folder.path / "ray" / "session_1" / "logs"
        logs.mkdir(parents=True)
        (logs / "gcs_server.out").touch()
        (folder.path / "ray" / "session_latest").symlink_to(logs.parent)
        assert folder.keep_logs() == logs
    assert logs.is_dir() and stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    with private_ray_folder():
        assert logs.is_dir(), "the next search leaves them"


def test_what_killed_searches_left_is_removed_but_not_what_is_in_use_or_not_ours(place: Path) -> None:
    long_ago = time.time() - 3600
    for name in ("killed", "alive", "young"):
        (place / f"tune_lpc-{name}").mkdir()
        (place / f"tune_lpc-{name}" / "lock").touch()
        if name != "young":
            os.utime(place / f"tune_lpc-{name}" / "lock", (long_ago, long_ago))
    (place / "tune_lpc-other").mkdir()
    (place / "tune_lpc-link").symlink_to(place / "tune_lpc-alive")
    with (place / "tune_lpc-alive" / "lock").open("w") as held:
        os.utime(held.name, (long_ago, long_ago))
        fcntl.flock(held, fcntl.LOCK_EX)
        with private_ray_folder():
            pass
    assert sorted(path.name for path in place.iterdir()) == [
        f"tune_lpc-{n}" for n in ("alive", "link", "other", "young")
    ]
