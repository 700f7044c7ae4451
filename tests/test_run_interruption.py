"""Ctrl-C and SIGTERM to `python -m tune_lpc.run`, with processes really signalled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.commands import space_file


def processes_with(marker: str) -> list[str]:
    """Command lines of the processes whose environment holds `marker`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if marker.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text())
            except OSError:
                continue  # it has ended meanwhile
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds Ray's processes through /proc")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interruption_keeps_what_was_finished_and_leaves_no_process(
    sent: signal.Signals, status: int, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    ray_folder = tempfile.mkdtemp(prefix="tl-")
    space = space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    command = [sys.executable, "-m", "tune_lpc.run", space, "--trials", "500", "--out", str(out)]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_TMPDIR": ray_folder},
        start_new_session=True,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if "trial 3 " in line:
            break
    # As a terminal does on Ctrl-C, to every process of the group; kill sends SIGTERM to the one.
    os.killpg(running.pid, sent) if sent == signal.SIGINT else running.send_signal(sent)
    _, told = running.communicate(timeout=60)
    assert running.returncode == status
    assert "interrupted" in told
    assert "Traceback" not in told
    trials = pd.read_parquet(out / "trials.parquet")
    assert (trials["status"] != "interrupted").sum() >= 3
    assert len(trials) < 500
    assert len(pd.read_parquet(out / "epochs.parquet")) == trials["epochs"].sum()
    deadline = time.monotonic() + 10
    while processes_with(ray_folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes_with(ray_folder) == []
    shutil.rmtree(ray_folder, ignore_errors=True)
