"""`kill -9` of `python -m tune_lpc.run`, and `--resume`: as if nothing had happened. Processes are really killed.

A search is killed, resumed, killed again further on, and so on. The moments are drawn at random, from
TUNE_LPC_KILL_SEED (default 0), and spread over the whole search. That a search goes on from every entry of its journal
as if nothing had happened is seen without any process, in `tests/search/test_prefixes.py`; here it is the files that a
kill leaves half done, the workers that outlive their driver, and training that goes on from a checkpoint.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests import moments
from tests.commands import ONE_SEED, WAITING, space_file
from tests.drivers import Driver, Drivers, end_of, entries, kill, outcome, processes_with, wait_until

KILLED = -signal.SIGKILL
SEED = int(os.environ.get("TUNE_LPC_KILL_SEED", "0"))
LONGEST_DELAY = 0.1
"""Seconds from an entry of the journal to the kill, at most: about the length of an epoch."""

pytestmark = pytest.mark.slow

Fact = tuple[Any, ...]


def search_of_everything(folder: Path) -> list[str]:
    """A climb of runs, with regularisers that ramp and draw at random: all of that is in a checkpoint.

    Enough trials that the sampler learns from them; some diverge, one is never stopped, and there is a measure. Those
    that a rung leaves wait, and the best have further seeds.
    """
    dimensions = '"learning_rate": Float(0.02, 0.5, log=True), "weight_decay": Choice([0.0, 1e-4, 1e9])'
    settings = '"gamma_ramp": "linear", "gamma_end": 0.1, "topological_weight_schedule": "rising", "group_size": 8'
    options = ["--fidelity", "compressed", "--trials", "10", "--epochs", "4", "--seed", "1", "--concurrent", "1"]
    options += [*WAITING, "first_rung=2", "random_starts=5"]
    return [space_file(folder, dimensions, settings), *options, "--control-trials", "1", "--measure", "nc1"]


@pytest.fixture
def drivers(ray_session: str, tmp_path: Path) -> Iterator[Drivers]:
    """Starts searches on the Ray of the session."""
    started = Drivers(tmp_path, ray_session)
    yield started
    started.end()


class KilledSearch:
    """One search in the lives that it takes, each but the last ended by a kill."""

    def __init__(self, drivers: Drivers, arguments: list[str], folder: Path) -> None:
        self.folder, self.kills = folder, 0
        self.arguments = [*arguments, "--out", str(folder), "--resume"]
        self._drivers = drivers
        self._before: list[dict[str, Any]] = []

    def kill_at(self, facts: int, delay: float, driver: Driver | None = None) -> None:
        """Go on until the journal tells so many facts, and a little longer."""
        driver = driver or self._drivers.fork(self.arguments)
        wait_until(lambda: len(facts_of(self.folder)) >= facts or driver.status() is not None, f"{facts} facts")
        time.sleep(delay)
        self._is_killed(driver)

    def kill_itself(self, moment: Any, *at: int) -> None:
        """Go on until a moment that only the search itself can hit."""
        driver = self._drivers.fork(self.arguments, moment, signal.SIGKILL, *at)
        end_of(driver)
        self._is_killed(driver)

    def finish(self) -> None:
        """Go on to the end."""
        assert end_of(self._drivers.fork(self.arguments)) == 0, self._drivers.told()
        self._nothing_is_lost_and_no_ended_trial_touched()

    def _is_killed(self, driver: Driver) -> None:
        assert kill(driver) == KILLED, f"the search ended before it was killed: {self._drivers.told()}"
        self.kills += 1
        self._nothing_is_lost_and_no_ended_trial_touched()

    def _nothing_is_lost_and_no_ended_trial_touched(self) -> None:
        now, before = entries(self.folder), self._before
        failures = [entry["reason"] for entry in now if entry.get("status") == "failed"]
        assert not failures, f"a kill of the driver is no failure of a trial: {failures}"
        assert now[: len(before)] == before
        ended = {entry["trial_id"] for entry in before if entry["kind"] == "trial_ended"}
        # What a rung has left may go on later, by what the rung says then.
        goes_on = {entry["trial_id"] for entry in now if entry["kind"] == "rung" and entry["promoted"]}
        touched = {entry.get("trial_id") for entry in now[len(before) :]}
        assert not ended & touched - goes_on
        self._before = now


def facts_of(folder: Path) -> list[Fact]:
    """What a journal tells of the search itself, each fact once, in order: the same after any number of kills."""
    facts: dict[Fact, None] = {}
    for entry in entries(folder):
        if entry["kind"] not in ("run_resumed", "trial_placed"):
            record = entry.get("record", {})
            place = (record.get("budget"), record.get("epoch"), entry.get("rung"))
            facts[entry["kind"], entry.get("trial_id"), *place] = None
    return list(facts)


def same_outcome(folder: Path, reference: Path) -> None:
    """Each table of the one run equals that of the other."""
    found, expected = outcome(folder), outcome(reference)
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True, obj=name)


def uninterrupted(drivers: Drivers, arguments: list[str], folder: Path) -> list[Fact]:
    """Run the search in one go; its facts."""
    assert end_of(drivers.fork([*arguments, "--out", str(folder)])) == 0, drivers.told()
    return facts_of(folder)


def share(facts: list[Fact], draw: random.Random, low: float, high: float) -> int:
    """A number of facts between two shares of all."""
    return draw.randint(max(1, round(low * len(facts))), round(high * len(facts)))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds Ray's processes through /proc")
def test_a_search_killed_three_times_ends_as_if_it_had_not_been(drivers: Drivers, tmp_path: Path) -> None:
    draw, reference = random.Random(SEED), tmp_path / "reference"
    arguments = search_of_everything(tmp_path)
    facts = uninterrupted(drivers, arguments, reference)
    trials, rungs = (pd.read_parquet(reference / f"{name}.parquet") for name in ("trials", "rungs"))
    assert trials["repeat_of"].notna().any() and rungs["promoted"].any()
    assert set(trials["status"]) == {"completed", "stopped", "diverged"} and trials["control"].sum() == 1

    search = KilledSearch(drivers, arguments, tmp_path / "killed")
    search.kill_itself(moments.in_checkpoint, draw.randint(1, 3))
    ray_folder = tempfile.mkdtemp(prefix="t")
    own_ray = drivers.command(search.arguments, ray_folder)
    search.kill_at(share(facts, draw, 0.3, 0.9), draw.uniform(0, LONGEST_DELAY / 2), own_ray)
    wait_until(lambda: not processes_with(ray_folder), "the end of Ray's processes", every=0.2)
    shutil.rmtree(ray_folder, ignore_errors=True)
    search.kill_itself(moments.in_export)
    search.finish()
    assert search.kills == 3
    same_outcome(search.folder, reference)
    places = pd.read_parquet(search.folder / "placements.parquet")
    # The fourth process had nothing left to train.
    assert set(places["session"]) == {0, 1, 2}


def test_with_two_slots_nothing_is_lost_and_nothing_done_twice(drivers: Drivers, tmp_path: Path) -> None:
    """Decisions may differ, as they depend on which trial is faster; so there is no reference."""
    draw = random.Random(SEED + 2)
    options = ["--fidelity", "compressed", "--trials", "6", "--epochs", "6", "--set", "first_rung=2"]
    space = space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    search = KilledSearch(drivers, [space, *options, *ONE_SEED, "--concurrent", "2"], tmp_path / "killed")
    search.kill_at(draw.randint(8, 24), draw.uniform(0, LONGEST_DELAY))
    search.finish()

    trials, epochs, rungs = (
        pd.read_parquet(search.folder / f"{name}.parquet") for name in ("trials", "epochs", "rungs")
    )
    assert trials["number"].tolist() == list(range(6))
    assert set(trials["status"]) <= {"completed", "stopped"}
    ends = Counter(entry["trial_id"] for entry in entries(search.folder) if entry["kind"] == "trial_ended")
    assert set(ends.values()) == {1} and len(ends) == 6
    assert not epochs.duplicated(["trial_id", "budget", "epoch"]).any()
    assert not rungs.duplicated(["trial_id", "rung"]).any()
    for trial in trials.itertuples():
        own = epochs[epochs["trial_id"] == trial.trial_id]
        runs = [2] if trial.status == "stopped" else [2, 6]
        assert list(zip(own["budget"], own["epoch"], strict=True)) == [(b, e) for b in runs for e in range(1, b + 1)]
        assert rungs.loc[rungs["trial_id"] == trial.trial_id, "rung"].tolist() == [2]
