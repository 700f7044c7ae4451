"""Folders for temporary files that are too long for sockets, or not ours."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from tune_lpc.engine.temporary import LONGEST, short_temporary_folder


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_short_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp")
    with short_temporary_folder():
        assert tempfile.gettempdir() == "/tmp"


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_one_makes_way_for_a_private_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv(name, str(long))
    with short_temporary_folder():
        folder = Path(tempfile.gettempdir())
        assert len(str(folder)) <= LONGEST and os.environ["TMPDIR"] == os.environ["RAY_TMPDIR"] == str(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    assert os.environ[name] == str(long) and ("TMPDIR" in os.environ) + ("RAY_TMPDIR" in os.environ) == 1 + (
        name == "RAY_TMPDIR" and "TMPDIR" in os.environ
    )


def test_so_does_one_in_which_another_user_has_rays_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "ray")
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        (Path(place) / "ray").mkdir()
        monkeypatch.setenv("TMPDIR", place)
        tempfile.tempdir = None
        with short_temporary_folder():
            assert tempfile.gettempdir() != place
        assert tempfile.gettempdir() == place
