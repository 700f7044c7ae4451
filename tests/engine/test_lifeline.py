"""A head of the cluster that is lost in the middle of a search."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.drivers import entries
from tests.heads import PATIENCE, ray_head
from tune_lpc.engine import lifeline as lifeline_module
from tune_lpc.engine.lifeline import lifeline


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ASKED_EVERY", 0.01), ("LOST_AFTER", 0.2), ("PARKING_SECONDS", 0.1)):
        monkeypatch.setattr(lifeline_module, name, value)


def test_a_head_that_answers_is_not_lost(ray_session: str) -> None:
    ended = threading.Event()
    with lifeline(ray_session, ended.set) as line:
        time.sleep(0.6)
        line.park()  # comes back
    assert not ended.is_set()


def test_a_head_that_does_not_answer_for_a_moment_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["no"]] * 5)
    monkeypatch.setattr(lifeline_module, "answer_problems", lambda _: next(answers, []))
    ended = threading.Event()
    with lifeline("h:1", ended.set):
        time.sleep(0.6)
    assert not ended.is_set()


def test_a_lost_head_ends_the_search_from_another_thread() -> None:
    ended = threading.Event()

    def search() -> None:
        with lifeline("127.0.0.1:1", ended.set) as line:
            while True:
                line.park()
                time.sleep(0.01)

    threading.Thread(target=search, daemon=True).start()
    assert ended.wait(5)


def test_without_a_head_to_watch_there_is_no_thread() -> None:
    with lifeline(None, lambda: None):
        assert "lifeline" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.cluster
def test_a_search_whose_head_dies_writes_its_tables_and_tells_how_to_go_on(tmp_path: Path) -> None:
    out, told = tmp_path / "out", tmp_path / "told.txt"
    with ray_head(dashboard=False) as head, told.open("wb") as file:
        options = ["--trials", "20", "--epochs", "900", "--fidelity", "full", "--seeds", "1", "--out", str(out)]
        search = subprocess.Popen(
            [sys.executable, "-m", "tune_lpc.run", "digits", *options, "--address", head.address],
            stdout=file,
            stderr=file,
            env=head.environment,
        )
        try:
            wait_for_epochs(out)
            for process in head.processes("gcs_server"):
                process.kill()
            status = search.wait(PATIENCE)
        finally:
            search.kill()
    assert status == 1
    printed = told.read_text()
    assert "the search ended early: the head of the cluster" in printed
    assert "go on with: python -m tune_lpc.run --resume digits" in printed
    assert "Traceback" not in printed and "GCS" not in printed
    assert entries(out)[-1]["kind"] == "run_ended" and "does not answer" in str(entries(out)[-1])
    assert len(pd.read_parquet(out / "trials.parquet")) >= 1


def wait_for_epochs(out: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not any(entry["kind"].startswith("epoch") for entry in entries(out)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
