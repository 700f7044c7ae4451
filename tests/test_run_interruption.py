"""Ctrl-C, SIGTERM and SIGUSR1 to `python -m tune_lpc.run` at five moments, with processes really signalled.

One search: interrupted at its start, resumed and interrupted while it samples, and so on, to the end. What either
signal does at any moment is seen in `tests/engine/test_interrupt.py`, `test_cluster.py` and `test_tuner.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests import moments
from tests.commands import ONE_SEED, space_file
from tests.drivers import Driver, Drivers, end_of, entries, outcome, processes_with, wait_until

TRIALS, EPOCHS = 8, 9

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds Ray's processes through /proc"),
]


@pytest.fixture
def drivers(ray_session: str, tmp_path: Path) -> Iterator[Drivers]:
    """Starts searches on the Ray of the session."""
    started = Drivers(tmp_path, ray_session)
    yield started
    started.end()


@pytest.fixture
def ray_folder() -> Iterator[str]:
    """Where the Ray of a search's own keeps its files; all of its processes have the name in their environment."""
    folder = tempfile.mkdtemp(prefix="t")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class InterruptedSearch:
    """One search in the lives that it takes, each but the last ended by a signal."""

    def __init__(self, drivers: Drivers, arguments: list[str], folder: Path) -> None:
        self.folder = folder
        self._arguments = [*arguments, "--out", str(folder), "--resume"]
        self._drivers = drivers
        self._read = 0

    def is_interrupted_in(self, moment: Any, sent: signal.Signals, *at: int) -> None:
        """Go on, on the Ray of the session, until a moment at which the search sends itself the signal."""
        self._ends_well(self._drivers.fork(self._arguments, moment, sent, *at), sent)

    def start_with_its_own_ray(self, ray_folder: str) -> Driver:
        """Start the search, and the first process of its Ray."""
        driver = self._drivers.fork_with_its_own_ray(self._arguments, ray_folder)
        wait_until(lambda: bool(processes_with(ray_folder)), "the start of Ray", every=0.1)
        return driver

    def go_on_by_the_command_line(self, ray_folder: str) -> Driver:
        """Go on by the real command line with a Ray of its own until a first epoch is trained."""
        driver, before = self._drivers.command(self._arguments, ray_folder), self._epochs()
        wait_until(lambda: self._epochs() > before, "an epoch")
        return driver

    def is_interrupted(self, driver: Driver, sent: signal.Signals, ray_folder: str) -> None:
        """Send the signal from outside; afterwards no process of it is left."""
        assert driver.pid is not None
        if sent == signal.SIGINT:
            os.killpg(driver.pid, sent)  # as a terminal does on Ctrl-C, to every process of the group
        else:
            os.kill(driver.pid, sent)
        self._ends_well(driver, sent)
        wait_until(lambda: not processes_with(ray_folder), "the end of Ray's processes", every=0.1)

    def finish(self) -> None:
        """Go on to the end."""
        assert end_of(self._drivers.fork(self._arguments)) == 0, self.told()

    def told(self) -> str:
        """What was printed since this was asked before."""
        told = self._drivers.told()
        new, self._read = told[self._read :], len(told)
        return new

    def _epochs(self) -> int:
        return sum(entry["kind"] == "epoch" for entry in entries(self.folder))

    def _ends_well(self, driver: Driver, sent: signal.Signals) -> None:
        status, told = end_of(driver), self.told()
        assert status == 128 + sent, told
        assert "interrupted" in told
        assert "Traceback" not in told
        if entries(self.folder):
            self._tables_tell_what_the_journal_tells()

    def _tables_tell_what_the_journal_tells(self) -> None:
        tables, journal = outcome(self.folder), entries(self.folder)
        trials = tables["trials"]
        assert set(trials["trial_id"]) == {entry["trial_id"] for entry in journal if entry["kind"] == "trial_started"}
        ended = {entry["trial_id"]: entry["status"] for entry in journal if entry["kind"] == "trial_ended"}
        assert set(ended.values()) <= {"completed"}
        assert trials["status"].tolist() == [ended.get(trial_id, "interrupted") for trial_id in trials["trial_id"]]
        trained = {(entry["trial_id"], entry["record"]["epoch"]) for entry in journal if entry["kind"] == "epoch"}
        assert len(tables["epochs"]) == len(trained) == trials["epochs"].sum()


def test_a_search_interrupted_at_five_moments_ends_in_order_each_time_and_goes_on(
    drivers: Drivers, ray_folder: str, tmp_path: Path
) -> None:
    space = space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    options = ["--trials", str(TRIALS), "--epochs", str(EPOCHS), "--fidelity", "full", "--concurrent", "1"]
    search = InterruptedSearch(drivers, [space, *options, *ONE_SEED], tmp_path / "run")

    search.is_interrupted(search.start_with_its_own_ray(ray_folder), signal.SIGTERM, ray_folder)
    assert not (search.folder / "journal.jsonl").exists()

    search.is_interrupted_in(moments.in_sampling, signal.SIGINT, 2)
    search.is_interrupted_in(moments.in_checkpoint, signal.SIGUSR1, 2)  # Slurm's, which Ray Tune takes for itself

    search.is_interrupted(search.go_on_by_the_command_line(ray_folder), signal.SIGINT, ray_folder)
    assert "go on with: python -m tune_lpc.run" in drivers.told()
    assert len(pd.read_parquet(search.folder / "trials.parquet")) < TRIALS

    search.is_interrupted_in(moments.in_export, signal.SIGTERM)
    search.finish()
    trials = pd.read_parquet(search.folder / "trials.parquet")
    assert trials["status"].tolist() == ["completed"] * TRIALS
    assert trials["epochs"].tolist() == [EPOCHS] * TRIALS
