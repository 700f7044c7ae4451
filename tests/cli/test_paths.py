"""Paths as users give them to options."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import refused
from tune_lpc.cli.paths import path_given


def test_the_home_folder_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert path_given("~/x") == "/home/me/x"
    assert path_given("~") == "/home/me"
    assert path_given("a~/x") == "a~/x"
    assert path_given("~nobody-of-that-name/x") == "~nobody-of-that-name/x"


@pytest.mark.parametrize("option", ["--out", "--data-dir", "--warm-start"])
def test_a_name_that_is_not_utf_8_is_told_at_once(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(["digits", f"{option}=/tmp/caf\udce9"], capsys)
    assert option in line and "is not UTF-8" in line


def test_options_take_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (line,) = refused(["digits", "--data-dir=~/nowhere"], capsys)
    assert str(tmp_path / "nowhere") in line
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "journal.jsonl").write_text("")
    (line,) = refused(["digits", "--out=~/there"], capsys)
    assert str(tmp_path / "there") in line
