"""Searches whose trials are each trained in several processes: the options, a whole search, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.commands import ONE_SEED, refused
from tests.drivers import Drivers, end_of, entries, wait_until

SEARCH = ["digits", "--trials", "2", "--fidelity", "full", *ONE_SEED, "--processes-per-trial", "2"]


@pytest.fixture
def drivers(ray_session: str, tmp_path: Path) -> Iterator[Drivers]:
    """Starts searches on the Ray of the session."""
    started = Drivers(tmp_path, ray_session)
    yield started
    started.end()


def test_all_that_does_not_go_with_several_processes_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--processes-per-trial", "2", "--cpus-per-trial", "1", "--trials", "0", "--out", str(tmp_path / "run")]
    lines = refused(["digits", *options], capsys)
    assert [line.split()[1] for line in lines] == ["--cpus-per-trial", "trials"]
    several = ["--processes-per-trial", "2", "--set", "compile=default", "--out", str(tmp_path / "run")]
    (line,) = refused(["digits", *several], capsys)
    assert line == "error: compile is 'default', but must be off where a trial is trained in 2 processes"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_search_in_two_processes_a_trial_outlives_the_death_of_a_worker(drivers: Drivers, tmp_path: Path) -> None:
    out = tmp_path / "run"
    search = [*SEARCH, "--epochs", "40", "--out", str(out)]
    driver = drivers.fork(search)
    wait_until(lambda: sum(entry["kind"] == "epoch" for entry in entries(out)) > 3, "some epochs")
    worker = next(entry["pid"] for entry in entries(out) if entry["kind"] == "trial_placed")
    members = psutil.Process(worker).children()
    assert len(members) == 2
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not any(member.is_running() for member in members), "the end of its processes")
    assert end_of(driver) == 0
    epochs = pd.read_parquet(out / "epochs.parquet")
    assert epochs.groupby("number")["epoch"].apply(list).tolist() == [list(range(1, 41))] * 2
    trials = pd.read_parquet(out / "trials.parquet")
    assert trials["status"].tolist() == ["completed"] * 2 and trials["restarts"].sum() == 1
    assert set(pd.read_parquet(out / "placements.parquet")["processes"]) == {2}
    assert json.loads((out / "run.json").read_text())["resources"]["processes_per_trial"] == 2
    assert not [process for process in psutil.process_iter(["cmdline"]) if _is_member(process)]


def _is_member(process: psutil.Process) -> bool:
    return "tune_lpc.training.member" in (process.info["cmdline"] or []) and process.ppid() == 1
