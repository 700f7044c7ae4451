"""A running search in optuna-dashboard, really started and looked at in a browser, also after a kill and a resume."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ONE_SEED
from tests.drivers import Drivers, end_of, entries, kill, wait_until

pytestmark = pytest.mark.browser
SECONDS = 10.0
"""After which the dashboard shows what has happened."""


@pytest.fixture
def drivers(tmp_path: Path, ray_session: str) -> Iterator[Drivers]:
    found = Drivers(tmp_path, ray_session)
    yield found
    found.end()


def dashboard_of(path: Path) -> tuple[subprocess.Popen[bytes], str]:
    """optuna-dashboard on a port that was free a moment ago, and where its list of trials is."""
    command = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("optuna-dashboard is not installed: pip install 'tune_lpc[dashboard]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [command, str(path), "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, "the dashboard to start", every=0.1)
    return process, f"http://127.0.0.1:{port}/dashboard/studies/0/trials"


def trials_shown(page: Any, address: str) -> int:
    """How many trials the page lists."""
    page.goto(address)
    page.wait_for_selector("text=/[0-9]+ Trials?/", timeout=SECONDS * 1000)
    found = re.search(r"([0-9]+) Trials?", page.inner_text("body"))
    return int(found[1]) if found else 0


def test_trials_are_shown_while_the_search_runs_and_after_a_kill(
    drivers: Drivers, chromium: Any, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    search = ["digits", "--trials", "80", "--epochs", "27", *ONE_SEED, "--out", str(out)]
    first = drivers.fork(search)
    wait_until(lambda: (out / "optuna.journal").exists(), "the study")
    process, address = dashboard_of(out / "optuna.journal")
    page = chromium.new_page()
    try:
        wait_until(lambda: any(entry["kind"] == "trial_started" for entry in entries(out)), "a trial")
        began = time.monotonic()
        while trials_shown(page, address) == 0:
            assert time.monotonic() - began < SECONDS
        assert first.status() is None, "the search still runs"
        kill(first)
        before = sum(entry["kind"] == "trial_started" for entry in entries(out))
        assert trials_shown(page, address) >= 1
        second = drivers.fork([*search, "--resume"])
        wait_until(
            lambda: sum(entry["kind"] == "trial_started" for entry in entries(out)) > before + 4, "trials after it"
        )
        began, shown = time.monotonic(), 0
        while shown <= before:
            shown = trials_shown(page, address)
            assert time.monotonic() - began < SECONDS, f"{shown} trials are shown, and {before} were there before"
        kill(second)
        assert end_of(second) != 0
    finally:
        page.close()
        process.kill()
        process.wait()
