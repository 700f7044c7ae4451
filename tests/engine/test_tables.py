"""The Parquet files of a search that is still running."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.results.runs import Search
from tune_lpc.engine.tables import tables_meanwhile
from tune_lpc.results.export import TRIALS_FILE


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def rows(folder: Path) -> int:
    return len(pd.read_parquet(folder / TRIALS_FILE)) if (folder / TRIALS_FILE).is_file() else 0


def test_the_tables_follow_the_journal(tmp_path: Path) -> None:
    search = Search(tmp_path)
    said: list[str] = []
    with tables_meanwhile(tmp_path, said.append, every=0.05):
        search.trial([0.5, 0.6])
        until(lambda: rows(tmp_path) == 1)
        search.start()
        until(lambda: rows(tmp_path) == 2)
    written = (tmp_path / TRIALS_FILE).stat().st_mtime_ns
    time.sleep(0.3)
    assert (tmp_path / TRIALS_FILE).stat().st_mtime_ns == written
    assert said == []


def test_they_take_a_hundredth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []

    def slow(folder: Path) -> None:
        begun.append(time.monotonic())
        time.sleep(0.02)

    monkeypatch.setattr("tune_lpc.engine.tables.export", slow)
    with tables_meanwhile(tmp_path, print, every=0.01):
        until(lambda: len(begun) == 2)
    assert begun[1] - begun[0] >= 2  # a hundred times as long as one took


def test_a_failure_is_told_and_tried_again(tmp_path: Path) -> None:
    said: list[str] = []
    with tables_meanwhile(tmp_path / "nowhere", said.append, every=0.01):
        until(lambda: len(said) > 1)
    assert "can't be written for now" in said[0] and "holds no run" in said[0]
