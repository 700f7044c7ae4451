"""Nodes of a cluster that lack the results folder or the data take no trial."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.drivers import entries
from tests.heads import PATIENCE, Head, end, ray_head
from tune_lpc.engine.unfit import why_unfit


def test_a_node_that_lacks_a_folder_says_which(tmp_path: Path) -> None:
    told = why_unfit(tmp_path, None)
    assert told is not None and f"the results folder {tmp_path} is not there" in told
    (tmp_path / "journal.jsonl").touch()
    assert why_unfit(tmp_path, None) is None
    assert why_unfit(tmp_path, tmp_path) is None
    told = why_unfit(tmp_path, tmp_path / "data")
    assert told is not None and f"the data folder {tmp_path / 'data'} is not there" in told


def nodes_of(head: Head) -> int:
    """How many nodes are alive."""
    script = f"import ray; ray.init({head.address!r}, log_to_driver=False); print(sum(n['Alive'] for n in ray.nodes()))"
    done = head.python("-c", script)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.cluster
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a folder from a process")
def test_a_node_without_the_results_takes_no_trial_and_is_named_once(tmp_path: Path) -> None:
    out = tmp_path / "results" / "out"
    out.parent.mkdir()
    with ray_head(cpus=1, dashboard=False) as head:
        node = head.node("--num-cpus", "3", hidden=out.parent)
        try:
            deadline = time.monotonic() + PATIENCE
            while nodes_of(head) < 2:
                assert time.monotonic() < deadline
            options = ["--trials", "4", "--epochs", "2", "--seeds", "1", "--out", str(out), "--concurrent", "3"]
            done: subprocess.CompletedProcess[str] = head.python(
                "-m", "tune_lpc.run", "digits", *options, "--address", head.address
            )
        finally:
            end(node)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("left out: ") == 1 and f"the results folder {out} is not there" in done.stdout
    kinds = [entry["kind"] for entry in entries(out)]
    assert "trial_restarted" not in kinds and kinds.count("trial_ended") == 4
