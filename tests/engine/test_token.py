"""The token of Ray's clusters."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tune_lpc.engine.token import ensure_users_token, make_token, token_as_asked_for, token_problems


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "TUNE_LPC_NO_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_processes_that_start_at_once_share_the_token_that_one_of_them_makes(tmp_path: Path) -> None:
    path = tmp_path / "fresh" / "auth_token"

    def make_and_read(_: int) -> tuple[bool, str]:
        return make_token(path), path.read_text()

    with ThreadPoolExecutor(16) as pool:
        made, seen = zip(*pool.map(make_and_read, range(64)), strict=True)
    assert sum(made) == 1
    assert set(seen) == {path.read_text()}
    assert len(path.read_text()) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_is_kept_and_an_empty_one_replaced(tmp_path: Path) -> None:
    path = tmp_path / "auth_token"
    path.touch()
    assert make_token(path)
    first = path.read_text()
    assert not make_token(path)
    assert path.read_text() == first


@pytest.mark.parametrize("mode", [None, "token"])
def test_the_users_token_lies_where_ray_looks_for_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    ensure_users_token()
    assert (home / ".ray" / "auth_token").read_text()


def test_the_token_may_lie_elsewhere(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "elsewhere" / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    ensure_users_token()
    assert len(path.read_text()) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not (home / ".ray").exists()


@pytest.mark.parametrize("name", ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN"])
def test_who_sets_the_authentication_otherwise_gets_no_token(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "disabled")
    ensure_users_token()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o666, 0o604, 0o600, 0o400])
def test_a_token_that_others_may_read_is_closed_to_them_and_kept(home: Path, mode: int) -> None:
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("of before")
    path.chmod(mode)
    ensure_users_token()
    assert path.read_text() == "of before"
    assert stat.S_IMODE(path.stat().st_mode) == mode & 0o600


@pytest.mark.parametrize("mode", [None, 0o755, 0o770, 0o777, 0o700])
def test_nobody_else_may_enter_the_folder_of_the_users_token(home: Path, mode: int | None) -> None:
    if mode is not None:
        (home / ".ray").mkdir()
        (home / ".ray").chmod(mode)
    ensure_users_token()
    assert stat.S_IMODE((home / ".ray").stat().st_mode) == 0o700


def test_a_token_elsewhere_is_closed_but_its_folder_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "auth_token"
    path.write_text("of before")
    path.chmod(0o644)
    assert not make_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_token_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "auth_token"
    path.write_text("of the administrator")
    os.chown(path, 12345, -1)
    path.chmod(0o644)
    assert not make_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


# A Ray without a token


@pytest.mark.parametrize("mode", ["disabled", "Disabled", "", "tokn"])
def test_a_start_without_a_token_is_refused_unless_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    (problem,) = token_problems(None, without=False)
    assert problem.startswith(f"RAY_AUTH_MODE is {mode!r}, but must be token, ") and "--no-token" in problem
    assert token_problems("10.0.0.1:6379", without=False) == [], "another cluster decides for itself"
    assert token_problems(None, without=True) == []
    monkeypatch.setenv("TUNE_LPC_NO_TOKEN", "1")
    assert token_problems("local", without=False) == []


@pytest.mark.parametrize("mode", [None, "token", "TOKEN"])
def test_with_a_token_all_is_well_unless_none_is_wanted(
    home: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    assert token_problems(None, without=False) == []
    told = ["--no-token is given, but RAY_AUTH_MODE is token; leave one of them out"] if mode else []
    assert token_problems(None, without=True) == told
    monkeypatch.setenv("TUNE_LPC_NO_TOKEN", "1")
    assert token_problems(None, without=False) == [line.replace("--no-token", "TUNE_LPC_NO_TOKEN=1") for line in told]


def test_what_says_nothing_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = token_problems("auto", without=True)
    assert problem.startswith("--no-token is for a Ray that is started here; with --address auto ")
    monkeypatch.setenv("TUNE_LPC_NO_TOKEN", "yes")
    (problem,) = token_problems(None, without=False)
    assert problem.startswith("TUNE_LPC_NO_TOKEN is 'yes', but must be 1 ")


def test_the_variable_does_what_the_option_does(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_LPC_NO_TOKEN", "1")
    with token_as_asked_for(without=False) as asks:
        assert not asks and os.environ["RAY_AUTH_MODE"] == "disabled"
    assert "RAY_AUTH_MODE" not in os.environ and list(home.iterdir()) == []
    monkeypatch.setenv("TUNE_LPC_NO_TOKEN", "0")
    with token_as_asked_for(without=False) as asks:
        assert asks and (home / ".ray" / "auth_token").exists()
