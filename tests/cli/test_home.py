"""No home folder, or one that can't be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tune_lpc.cli import home as home_module
from tune_lpc.cli.home import check_home
from tune_lpc.plan import UserError

NAMES = ("TUNE_LPC_CACHE", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "XDG_CACHE_HOME", "LOGNAME")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.delenv("HOME")


def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so that the rights themselves can't be used."""
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and Path(path).exists())


def test_a_usual_home_is_well(tmp_path: Path) -> None:
    check_home()
    assert os.environ["HOME"] == str(tmp_path)


def test_none_at_all_is_one_line_that_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    without_home(monkeypatch)
    with pytest.raises(UserError) as caught:
        check_home()
    (line,) = caught.value.problems
    assert all(word in line for word in ("no home folder", "HOME", "TUNE_LPC_CACHE", "RAY_AUTH_TOKEN_PATH"))


def test_one_that_can_not_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed(monkeypatch)
    with pytest.raises(UserError, match=f"the home folder {tmp_path} can't be written; set HOME"):
        check_home()


def test_with_other_places_it_works_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_home(monkeypatch)
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="RAY_AUTH_TOKEN_PATH") as caught:
        check_home()
    assert "TUNE_LPC_CACHE" not in str(caught.value)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    check_home()
    assert Path(os.environ["HOME"]).is_dir()  # libraries that are imported later ask for it


@pytest.mark.parametrize(("name", "value"), [("RAY_AUTH_TOKEN", "abc"), ("RAY_AUTH_MODE", "disabled")])
def test_no_file_for_a_token_is_needed_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    without_home(monkeypatch)
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path))
    monkeypatch.setenv(name, value)
    check_home()


def test_a_token_that_is_there_need_not_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("x")
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path))
    closed(monkeypatch)
    check_home()


def test_who_trains_alone_needs_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_home(monkeypatch)
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path))
    check_home(with_ray=False)


def test_a_process_without_a_name_gets_that_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(home_module.getpass, "getuser", nameless)
    check_home()
    assert os.environ.pop("LOGNAME") == f"user-{os.getuid()}"
