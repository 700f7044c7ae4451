"""docker/slurm/job.sbatch on a real Slurm: preempted, out of time, cancelled, beside another, asked for nonsense."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.drivers import entries
from tests.slurm import SCRIPT, SIGNAL, Slurm, slurm, why_not

TRIALS, EPOCHS = 12, 60
SEARCH = ["digits", "--trials", str(TRIALS), "--epochs", str(EPOCHS), "--seeds", "1", "--fidelity", "full"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    if reason := why_not():
        pytest.skip(reason)
    with slurm() as made:
        yield made


def epochs(folder: Path) -> int:
    return sum(entry["kind"] == "epoch" for entry in entries(folder))


def is_whole(folder: Path) -> bool:
    """Whether each trial has trained its full budget, and has each epoch once."""
    trials, rows = pd.read_parquet(folder / "trials.parquet"), pd.read_parquet(folder / "epochs.parquet")
    counts = Counter(zip(rows["trial_id"], rows["epoch"], strict=True))
    return (
        trials["status"].tolist() == ["completed"] * TRIALS
        and len(counts) == TRIALS * EPOCHS
        and set(counts.values()) == {1}
    )


@pytest.mark.cluster
def test_a_preempted_search_writes_its_tables_is_queued_again_and_goes_on(cluster: Slurm) -> None:
    out = cluster.folder / "results" / "preempted"
    job = cluster.submit("--nodes=2", "--cpus-per-task=2", str(SCRIPT), *SEARCH, "--out", "results/preempted")
    cluster.wait_for(lambda: epochs(out) > 100, "the first epochs")
    urgent = cluster.submit(
        "--partition=high", "--nodes=2", "--ntasks-per-node=2", "--output=urgent.txt", "--wrap=sleep 2"
    )
    cluster.wait_for_state(urgent, "COMPLETED")
    assert cluster.restarts(job) == 1
    assert "the search was interrupted (SIGUSR1)" in cluster.output(job)
    assert "job.sbatch: is queued again, and will go on" in cluster.output(job)
    before = pd.read_parquet(out / "trials.parquet")
    assert "interrupted" in set(before["status"]) and len(pd.read_parquet(out / "epochs.parquet")) > 100
    cluster.wait_for_state(job, "COMPLETED")
    assert is_whole(out), cluster.output(job)
    assert cluster.restarts(job) == 1
    cluster.wait_until_nothing_is_left()
    placed = pd.read_parquet(out / "placements.parquet")
    assert set(placed["session"]) == {0, 1}
    assert not [path.name for path in cluster.folder.glob("tune_lpc-*-ray.txt")]


@pytest.mark.cluster
def test_a_search_out_of_time_is_queued_again_and_goes_on(cluster: Slurm) -> None:
    out = cluster.folder / "results" / "late"
    job = cluster.submit("--nodes=1", "--cpus-per-task=2", str(SCRIPT), *SEARCH, "--out", "results/late")
    cluster.wait_for(lambda: epochs(out) > 50, "the first epochs")
    # One to two minutes from now: the signal is due.
    cluster.told("scontrol", "update", f"JobId={job}", f"TimeLimit={cluster.seconds(job) // 60 + 2}")
    cluster.wait_for(lambda: cluster.restarts(job) == 1, "the time limit")
    cluster.told("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    assert "the search was interrupted (SIGUSR1)" in cluster.output(job)
    assert set(pd.read_parquet(out / "trials.parquet")["status"]) <= {"interrupted", "completed"}
    cluster.wait_for_state(job, "COMPLETED")
    assert cluster.restarts(job) == 1 and is_whole(out), cluster.output(job)
    cluster.wait_until_nothing_is_left()


@pytest.mark.cluster
def test_two_jobs_share_a_node_and_a_cancelled_one_ends_in_good_order(cluster: Slurm) -> None:
    options = ("--nodes=1", "--cpus-per-task=1", "--nodelist=s1", str(SCRIPT), *SEARCH)
    jobs = {name: cluster.submit(*options, "--out", f"results/{name}") for name in ("left", "right")}
    for name in jobs:
        cluster.wait_for(lambda name=name: epochs(cluster.folder / "results" / name) > 5, "both to train")
    assert {cluster.state(job) for job in jobs.values()} == {"RUNNING"}
    addresses = {name: re.findall(r"joining Ray at (\S+)", cluster.output(job)) for name, job in jobs.items()}
    assert len({str(found) for found in addresses.values()}) == 2
    nodes = cluster.network["s1"].processes("gcs_server")
    assert len(nodes) == 2
    for job in jobs.values():
        cluster.told("scancel", job)
    for name, job in jobs.items():
        cluster.wait_for_state(job, "CANCELLED")
        cluster.wait_for(lambda job=job: "submit the same again to go on" in cluster.output(job), "its end")
        assert "the search was interrupted (SIGTERM)" in cluster.output(job)
        assert (cluster.folder / "results" / name / "trials.parquet").exists()
    cluster.wait_until_nothing_is_left()


@pytest.mark.cluster
def test_a_missing_setting_is_named_and_bad_input_is_not_tried_again(cluster: Slurm) -> None:
    def told() -> str:
        job = cluster.submit("--nodes=1", "--cpus-per-task=1", str(SCRIPT), "digits", "--epochs", "many")
        cluster.wait_for_state(job, "FAILED")
        assert cluster.restarts(job) == 0 and "ExitCode=2:0" in cluster.shown(job)
        assert "--epochs is 'many'" in cluster.output(job)
        return cluster.output(job)

    warning = "ask the administrator for SlurmctldParameters=preempt_send_user_signal"
    assert warning not in told()
    cluster.configure("")
    cluster.told("scontrol", "reconfigure")
    try:
        assert warning in told()
    finally:
        cluster.configure(SIGNAL)
        cluster.told("scontrol", "reconfigure")
    cluster.wait_until_nothing_is_left()


def test_outside_of_slurm_and_without_a_space_it_says_what_to_do() -> None:
    environment = {"PATH": os.environ["PATH"]}

    def refused(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            ["bash", str(SCRIPT), *arguments],
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2 and done.stdout == ""
        (line,) = done.stderr.splitlines()
        return line

    assert "there is no Slurm job here; submit it: sbatch" in refused("digits")
    assert "no search space is given" in refused(SLURM_JOB_ID="1")
    assert "--address is given" in refused("digits", "--address", "auto", SLURM_JOB_ID="1")
