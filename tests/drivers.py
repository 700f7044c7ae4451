"""Searches in processes of their own, for tests that kill or signal them; and what such a search leaves behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from tune_lpc.results import JOURNAL_FILE, read_journal

PATIENCE = 180.0
"""Seconds after which what a test waits for counts as missing; generous, for a loaded machine."""
TABLES = ("trials", "epochs", "best", "rungs", "fidelity")
"""What came out of a search; `placements` tells how it went."""
OF_THE_CLOCK = ("seconds", "images_per_second", "epochs_repeated", "restarts")
"""Columns that tell how the search went, not what came out."""
_RAY_FOLDER = "RAY_TMPDIR"


class Driver(Protocol):
    """A running search: one forked from a process that has imported everything, or the real command line."""

    @property
    def pid(self) -> int | None:
        """Its process id."""

    def status(self) -> int | None:
        """The exit status, minus the number of the signal that killed it; None while it runs."""


class Command:
    """The real command line with a Ray of its own."""

    def __init__(self, arguments: list[str], output: Path, ray_folder: str) -> None:
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tune_lpc.run", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, _RAY_FOLDER: ray_folder},
                start_new_session=True,
            )
        self.pid: int | None = self._process.pid

    def status(self) -> int | None:
        """See `Driver`."""
        return self._process.poll()


class Fork:
    """The same command in a process that need not import anything any more, which saves seconds each time."""

    def __init__(self, arguments: list[str], output: Path, before: Callable[..., None] | None, *given: Any) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tune_lpc.run", "tune_lpc.cli.live", "tune_lpc.engine.tuner"])
        self._process = context.Process(target=_run, args=(arguments, str(output), before, given))
        self._process.start()
        self.pid = self._process.pid

    def status(self) -> int | None:
        """See `Driver`."""
        return self._process.exitcode


def _run(arguments: list[str], output: str, before: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    """What a fork does: run the command as if it had been typed, its output in a file."""
    from tune_lpc.run import main

    os.setsid()
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    if before is not None:
        before(*given)
    sys.exit(main(arguments))


def _use_ray_folder(ray_folder: str) -> None:
    os.environ[_RAY_FOLDER] = ray_folder


class Drivers:
    """Starts searches, and sees to it that none outlives the test."""

    def __init__(self, folder: Path, address: str) -> None:
        self.output = folder / "output.txt"
        self._address = address
        self._started: list[Driver] = []

    def fork(self, arguments: list[str], before: Callable[..., None] | None = None, *given: Any) -> Driver:
        """A search on the Ray of the session, in a fork that calls `before(*given)` first."""
        driver = Fork([*arguments, "--address", self._address], self.output, before, *given)
        self._started.append(driver)
        return driver

    def fork_with_its_own_ray(self, arguments: list[str], ray_folder: str) -> Driver:
        """A search in a fork that starts a Ray, whose files go to `ray_folder`."""
        driver = Fork(arguments, self.output, _use_ray_folder, ray_folder)
        self._started.append(driver)
        return driver

    def command(self, arguments: list[str], ray_folder: str) -> Driver:
        """A search by the real command line, which starts a Ray, whose files go to `ray_folder`."""
        driver = Command(arguments, self.output, ray_folder)
        self._started.append(driver)
        return driver

    def told(self) -> str:
        """What the searches have printed so far."""
        return self.output.read_text() if self.output.exists() else ""

    def end(self) -> None:
        """Kill what still runs."""
        for driver in self._started:
            kill(driver)


def kill(driver: Driver) -> int:
    """Kill a driver as the out-of-memory killer does; its exit status, which tells whether it had ended by itself."""
    if driver.status() is None:
        assert driver.pid is not None
        os.kill(driver.pid, signal.SIGKILL)
    return end_of(driver)


def end_of(driver: Driver) -> int:
    """Wait for a driver to end; its exit status."""
    wait_until(lambda: driver.status() is not None, "the search to end")
    status = driver.status()
    assert status is not None
    return status


def wait_until(happened: Callable[[], bool], what: str, every: float = 0.01) -> None:
    """Wait for `happened`; the test fails when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(every)


# What a search leaves behind


def entries(folder: Path) -> list[dict[str, Any]]:
    """The whole entries of a run's journal, none when there is no journal yet."""
    path = folder / JOURNAL_FILE
    return read_journal(path)[0] if path.exists() else []


def outcome(folder: Path) -> dict[str, pd.DataFrame]:
    """Every table of a run, without the columns that tell how the search went."""
    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    return {
        name: frame[[column for column in frame if column.split(".")[-1] not in OF_THE_CLOCK]]
        for name, frame in frames.items()
    }


def processes_with(ray_folder: str) -> list[str]:
    """Command lines of the processes that were started with `ray_folder` for the files of Ray, Ray's own above all."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if ray_folder.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text())
            except OSError:
                continue  # it has ended meanwhile
    return found
