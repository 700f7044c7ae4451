"""What a search meets besides kills: damaged files, a full disk, data that vanish.

All on the real Ray, with real processes. Searches of one slot and one seed: so each must end as one that met nothing.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.commands import ONE_SEED, image_folder, refused, space_file
from tests.drivers import Driver, Drivers, end_of, entries, kill, outcome, wait_until
from tune_lpc.engine import callback, journalling
from tune_lpc.results import JOURNAL_FILE, MIN_FREE_BYTES

pytestmark = pytest.mark.slow

EPOCHS = 120
"""Many, so that there are checkpoints to damage: they take a share of the time at most, so not each epoch has one."""
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.fixture
def drivers(ray_session: str, tmp_path: Path) -> Iterator[Drivers]:
    """Starts searches on the Ray of the session."""
    started = Drivers(tmp_path, ray_session)
    yield started
    started.end()


@pytest.fixture(scope="module")
def arguments(folder: Path) -> list[str]:
    """The search that is damaged in several ways."""
    dimensions = '"learning_rate": Float(1e-3, 1e-2, log=True)'
    options = ["--trials", "3", "--epochs", str(EPOCHS), "--fidelity", "truncated", "--set", "first_rung=40"]
    return [space_file(folder, dimensions), *options, *ONE_SEED, "--concurrent", "1"]


@pytest.fixture(scope="module")
def reference(ray_session: str, arguments: list[str], folder: Path) -> Path:
    """The same search, which met nothing."""
    drivers, out = Drivers(folder, ray_session), folder / "reference"
    try:
        assert end_of(drivers.fork([*arguments, "--out", str(out)])) == 0, drivers.told()
    finally:
        drivers.end()
    return out


def of_kind(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in entries(folder) if entry["kind"] == kind]


def is_as_the_reference(folder: Path, reference: Path) -> None:
    """The tables say the same, but for times and for epochs done again."""
    found = outcome(folder)
    for name, table in outcome(reference).items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True, obj=name)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_or_fail(drivers: Drivers, driver: Driver, happened: Callable[[], bool], what: str) -> None:
    wait_until(lambda: happened() or driver.status() is not None, what)
    assert driver.status() is None, f"the search ended before {what}: {drivers.told()}"


# Damaged files


def keep_the_state_of_ray_in(folder: str) -> None:
    tempfile.tempdir = folder


def checkpoint_epochs(out: Path, number: int) -> dict[int, Path]:
    """The checkpoints of a trial by the epoch that they hold."""
    return {int(path.name.split("-")[1]): path for path in (out / "checkpoints" / str(number)).glob("[0-9]*.pt")}


def last_epoch(out: Path, trial_id: str) -> int:
    return max((e["record"]["epoch"] for e in of_kind(out, "epoch") if e["trial_id"] == trial_id), default=0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="sees through /proc whether a worker has ended")
def test_a_resume_works_from_what_is_whole_and_says_what_it_left_out(
    drivers: Drivers, arguments: list[str], reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, of_ray = tmp_path / "run", tmp_path / "ray"
    of_ray.mkdir()
    driver = drivers.fork([*arguments, "--out", str(out)], keep_the_state_of_ray_in, str(of_ray))

    def second_trial_has_two_checkpoints_and_goes_on() -> bool:
        found = checkpoint_epochs(out, 1)
        return len(found) == 2 and last_epoch(out, "trial-00001") > max(found)

    wait_or_fail(drivers, driver, second_trial_has_two_checkpoints_and_goes_on, "two checkpoints of the second trial")
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGSTOP)  # it lives, and holds the folder

    again = [*arguments, "--out", str(out)]
    (line,) = refused(again, capsys)
    assert f"{out} already holds a run, which is still going; choose another folder with --out" in line
    (line,) = refused([*again, "--resume"], capsys)
    assert f"a search is running in {out}; wait for it, or end it first" in line

    assert kill(driver) == -signal.SIGKILL
    worker = of_kind(out, "trial_placed")[-1]["pid"]
    wait_until(lambda: not alive(worker), "the end of the worker")

    *differences, mend = refused([*again, "--resume", "--epochs", str(EPOCHS + 1)], capsys)
    assert any(str(EPOCHS) in line and str(EPOCHS + 1) in line for line in differences), differences
    assert "give what was given before, or choose another folder with --out" in mend

    # The end of the last entry goes; it is that of an epoch, which is lost with it.
    journal = out / JOURNAL_FILE
    last = journal.read_bytes().splitlines()[-1]
    assert b'"kind":"epoch"' in last
    os.truncate(journal, journal.stat().st_size - len(last) // 2)
    known = last_epoch(out, "trial-00001")
    # The newest checkpoint that fits the journal: it may be one epoch ahead.
    epochs = sorted(epoch for epoch in checkpoint_epochs(out, 1) if epoch <= known + 1)
    damaged = checkpoint_epochs(out, 1)[epochs[-1]]
    os.truncate(damaged, damaged.stat().st_size // 2)
    # Ray's own state is not used: what is left of it is emptied.
    state = [path for path in of_ray.rglob("*") if path.is_file()]
    assert state
    for path in state:
        os.truncate(path, 0)

    assert end_of(drivers.fork([*again, "--resume"])) == 0, drivers.told()
    (resumed,) = of_kind(out, "run_resumed")
    (cut,) = resumed["left_out"]
    assert "is cut off" in cut
    assert f"left out: {cut}" in drivers.told()
    placed = next(entry for entry in of_kind(out, "trial_placed") if entry["time"] > resumed["time"])
    assert placed["trial_id"] == "trial-00001"
    assert placed["left_out"] == [f"checkpoint {damaged} is damaged: its checksum does not match"]
    assert placed["continued_from"] == ([EPOCHS, epochs[-2]] if len(epochs) > 1 else None)
    assert placed["left_out"][0] in drivers.told().replace("\n", "")
    is_as_the_reference(out, reference)


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of a little more than a search needs free."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here ({mounted.stderr.strip()}); it takes root")
    yield place
    # Lazily: a worker that is about to end may still be in it.
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Write a file that leaves so many bytes free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while (free := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize) > leave:
                file.write(bytes(min(MEGABYTE, free - leave)))
        except OSError:
            pass  # full
    return filler


def look_often() -> None:
    callback.DISK_CHECK_EVERY, journalling.TRY_AGAIN_EVERY = 0.05, 0.1


def test_a_full_disk_pauses_the_search_and_nothing_is_lost(
    drivers: Drivers,
    arguments: list[str],
    reference: Path,
    small_disk: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = small_disk / "run"
    filler = fill(small_disk, leave=20 * MEGABYTE)
    (line,) = refused([*arguments, "--out", str(out)], capsys)
    assert f"the disk of {out} has 20 MB free, but needs 34 MB; free some" in line
    assert not out.exists()
    filler.unlink()

    # Too little is left: the search waits, says so, and goes on by itself.
    driver = drivers.fork([*arguments, "--out", str(out)], look_often)
    wait_or_fail(drivers, driver, lambda: last_epoch(out, "trial-00000") > 2, "epochs of the first trial")
    filler = fill(small_disk, leave=MIN_FREE_BYTES - 4 * MEGABYTE)
    wait_or_fail(drivers, driver, lambda: len(of_kind(out, "paused")) == 1, "the pause")
    told = of_kind(out, "paused")[0]["reason"]
    assert re.fullmatch(rf"the disk of {out} is full \(2[78] MB free, 32 MB needed\)", told)
    wait_or_fail(drivers, driver, lambda: told in drivers.told().replace("\n", ""), "the message")
    assert "the search waits: free space, or end it with Ctrl-C and resume it later" in drivers.told().replace("\n", "")
    epochs = len(of_kind(out, "epoch"))
    time.sleep(0.3)
    assert len(of_kind(out, "epoch")) == epochs
    filler.unlink()
    wait_or_fail(drivers, driver, lambda: len(of_kind(out, "epoch")) > epochs, "the search to go on")
    assert [entry["reason"] for entry in of_kind(out, "continued")] == [told]

    # Nothing at all is left, and it is ended while it waits.
    filler = fill(small_disk)
    wait_or_fail(drivers, driver, lambda: drivers.told().count("the search waits") > 1, "another pause")
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGINT)
    assert end_of(driver) == 130, drivers.told()
    assert "the search was interrupted (SIGINT)" in drivers.told()
    assert "go on with: python -m tune_lpc.run" in drivers.told()
    assert "Traceback" not in drivers.told()

    filler.unlink()
    assert end_of(drivers.fork([*arguments, "--out", str(out), "--resume"])) == 0, drivers.told()
    is_as_the_reference(out, reference)


# Data that vanish

FROM_DISK = ["data_from=disk", "data_workers=0", "image_size=8", "batch_size=8"]


def test_the_breaker_stops_a_search_whose_data_vanish_and_the_next_method_runs(
    drivers: Drivers, tmp_path: Path
) -> None:
    data, gone, out = image_folder(tmp_path / "shades"), tmp_path / "gone", tmp_path / "run"
    methods = ["vanilla", "lpc"]
    search = ["digits", "--method", *methods, "--data-dir", str(data), "--set", *FROM_DISK]
    search += ["--trials", "4", "--epochs", "10", "--fidelity", "full", "--max-failures", "0", "--concurrent", "1"]
    search += [*ONE_SEED, "--out", str(out)]
    first, second = (out / method for method in methods)
    driver = drivers.fork(search)
    wait_or_fail(drivers, driver, lambda: last_epoch(first, "trial-00000") > 2, "epochs of the first trial")
    data.rename(gone)
    wait_or_fail(drivers, driver, lambda: bool(of_kind(first, "run_ended")), "the end of the first search")
    gone.rename(data)  # long before a worker of the second search has started
    assert end_of(driver) == 1, drivers.told()
    assert "the search ended early: 3 trials in a row failed for the same reason" in drivers.told()
    assert str(data) in drivers.told().rpartition("failed for the same reason")[2]
    assert "mend it, then go on with: python -m tune_lpc.run" in drivers.told()
    ends = of_kind(first, "trial_ended")
    failed = [entry for entry in ends if entry["status"] == "failed"]
    print(f"{len(failed)} trials failed: {[entry['reason'] for entry in failed]}")
    assert len(failed) >= 3
    assert [entries(folder)[-1]["outcome"] for folder in (first, second)] == ["failed", "finished"]
    trials = pd.read_parquet(first / "trials.parquet")
    assert (trials["status"] == "completed").sum() == len(ends) - len(failed)
    assert pd.read_parquet(second / "trials.parquet")["status"].tolist() == ["completed"] * 4

    journal = (second / JOURNAL_FILE).stat().st_size
    assert end_of(drivers.fork([*search, "--resume"])) == 0, drivers.told()
    assert (second / JOURNAL_FILE).stat().st_size > journal
    for folder in (first, second):
        trials, epochs = (pd.read_parquet(folder / f"{name}.parquet") for name in ("trials", "epochs"))
        assert trials["status"].tolist() == ["completed"] * 4
        assert not epochs.duplicated(["trial_id", "epoch"]).any()
        assert len(epochs) == 4 * 10
