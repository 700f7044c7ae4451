"""`--hours` of `python -m tune_lpc.run`: a real search that ends in time, though it is killed and goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.drivers import TABLES, Drivers, end_of, entries, kill, wait_until
from tune_lpc.results import JOURNAL_FILE, Ledger, seconds_written
from tune_lpc.results.events import RunEnded
from tune_lpc.results.journal import journal_events

SECONDS = 60.0
HOURS = ["--hours", str(SECONDS / 3600), "--concurrent", "2", "--epochs", "9", "--set", "first_rung=3", "seeds=2"]
SLACK = 0.25
"""Of the time: ten seconds, in which a loaded machine may start and end workers."""

pytestmark = pytest.mark.slow


@pytest.fixture
def drivers(ray_session: str, tmp_path: Path) -> Iterator[Drivers]:
    """Starts searches on the Ray of the session."""
    started = Drivers(tmp_path, ray_session)
    yield started
    started.end()


def sessions(folder: Path) -> list[dict[str, Any]]:
    """What run.json tells of the time of each."""
    run = json.loads((folder / "run.json").read_text())
    return [run["time"], *(session["time"] for session in run.get("sessions", ()))]


def taken(folder: Path) -> float:
    """Seconds by the clock, of all sessions."""
    return seconds_written(folder / JOURNAL_FILE) + sum(session["startup_seconds"] for session in sessions(folder))


def check_tables(folder: Path) -> pd.DataFrame:
    """Everything that the journal tells is in the tables; that of the trials."""
    ledger = Ledger(journal_events(folder / JOURNAL_FILE, []))
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    trials = tables["trials"]
    assert sorted(trials["trial_id"]) == sorted(ledger.trials)
    assert len(tables["epochs"]) == sum(trial.epochs_trained for trial in ledger.trials.values())
    assert len(tables["rungs"]) == len(ledger.looks)
    assert not tables["best"].empty
    assert set(trials["status"]) <= {"completed", "stopped", "interrupted", "diverged"}
    return trials


def test_a_killed_search_goes_on_with_what_is_left_of_its_time_and_ends_with_whole_tables(
    drivers: Drivers, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = ["digits", "--out", str(out), "--resume", *HOURS]
    driver = drivers.fork(arguments)
    wait_until(lambda: len([entry for entry in entries(out) if entry["kind"] == "epoch"]) >= 40, "40 epochs")
    kill(driver)
    spent = taken(out)
    start = time.monotonic()
    assert end_of(drivers.fork(arguments)) == 0, drivers.told()
    assert time.monotonic() - start <= (1 + SLACK) * SECONDS - spent + 10.0  # a fork begins before its command
    assert (1 - SLACK) * SECONDS <= taken(out) <= (1 + SLACK) * SECONDS
    before = check_tables(out)
    assert (before["status"] == "interrupted").sum() <= 1, "what began ended"
    assert before["repeat_of"].notna().any(), "there was time for further seeds"
    assert all((told["hours"], told["gpu_hours"]) == (SECONDS / 3600, None) for told in sessions(out))
    reasons = [event.reason for event in journal_events(out / JOURNAL_FILE, []) if isinstance(event, RunEnded)]
    assert reasons[0] in ("time is up", "no further trial would end in time")
    assert f"{reasons[0]}: the search was given " in drivers.told()
    assert end_of(drivers.fork(arguments)) == 0
    assert set(before["trial_id"]) <= set(check_tables(out)["trial_id"])
    assert taken(out) <= (1 + SLACK) * SECONDS, "hardly any time was left"
