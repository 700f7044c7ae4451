"""Workers and nodes that are lost in the middle of a search, with processes really killed and really frozen.

One search on a cluster of three nodes of this machine goes through three faults, each on a node of its own: a worker is
killed, a node is killed, a node is frozen.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.commands import ONE_SEED, space_file
from tests.drivers import Drivers, end_of, entries, wait_until
from tune_lpc.search import watch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers of a node through /proc"),
]

TRIALS, EPOCHS = 4, 80
"""More trials than nodes, in small batches: so each node has one to lose, however late its worker starts."""
SHORTEST_WAIT = 10.0
"""Seconds without an epoch after which a trial may count as stuck, here; 30 s otherwise.

Without that guard it takes Ray 64 s to take a node that does not answer for dead: five health checks, 3 s apart, of up
to 10 s each (RAY_health_check_period_ms, RAY_health_check_timeout_ms and RAY_health_check_failure_threshold in the
environment of the head node). The cluster of this test leaves them as they are.
"""

NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
for _ in range(2):
    cluster.add_node(num_cpus=1, wait=False)
cluster.wait_for_nodes()
print(cluster.address, *(node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()), flush=True)
sys.stdin.read()
"""
"""Starts three nodes, tells the address and the process ids of their raylets, the head's first, and waits."""


@dataclass
class Fault:
    """What was done to the node of `raylet`, when, and to the worker of which trial."""

    raylet: int
    time: float = 0.0
    trial_id: str = ""
    worker: int = 0


@dataclass
class Faults:
    """The search, when it is over. raylets: of each worker that the journal names, that of its node."""

    folder: Path
    status: int
    told: str
    faults: dict[str, Fault]
    raylets: dict[int, int] = field(default_factory=dict)

    def what_came_of(self, fault: Fault) -> tuple[dict[str, Any], dict[str, Any]]:
        """The entries that say that the trial was restarted after the fault, and where it went on."""
        of_trial = [entry for entry in entries(self.folder) if entry.get("trial_id") == fault.trial_id]
        after = [entry for entry in of_trial if entry["time"] >= fault.time]
        restarted = next(entry for entry in after if entry["kind"] == "trial_restarted")
        placed = next(e for e in after if e["kind"] == "trial_placed" and e["time"] >= restarted["time"])
        return restarted, placed


def parent_of(pid: int) -> int | None:
    """The process that started `pid`, None when that is no more."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def all_processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def of_node(raylet: int) -> list[int]:
    """The processes of a node: its raylet and what that has started, the workers among them."""
    return [raylet, *(pid for pid in all_processes() if parent_of(pid) == raylet)]


def kill_all_with(marker: str) -> None:
    """Kill the processes whose environment holds `marker`, frozen ones too."""
    for pid in all_processes():
        try:
            if pid != os.getpid() and marker.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                os.kill(pid, signal.SIGKILL)
        except OSError:
            continue  # it has ended meanwhile


def running_trials(journal: list[dict[str, Any]]) -> dict[int, str]:
    """By worker, the trial that is in the middle of its epochs there."""
    found: dict[str, int] = {}
    epochs: dict[str, int] = {}
    for entry in journal:
        trial_id = entry.get("trial_id", "")
        if entry["kind"] == "trial_placed":
            found[trial_id], epochs[trial_id] = entry["pid"], 0
        elif entry["kind"] == "epoch":
            epochs[trial_id] += 1
        elif entry["kind"] in ("trial_restarted", "trial_ended"):
            found.pop(trial_id, None)
    return {worker: trial_id for trial_id, worker in found.items() if 2 <= epochs[trial_id] < EPOCHS - 10}


def strike(name: str, fault: Fault) -> None:
    if name == "worker killed":
        os.kill(fault.worker, signal.SIGKILL)
        return
    for pid in of_node(fault.raylet):
        os.kill(pid, signal.SIGKILL if name == "node killed" else signal.SIGSTOP)


def call_stuck_soon() -> None:
    watch.SHORTEST_WAIT = SHORTEST_WAIT


@pytest.fixture(scope="module")
def search(cache_of_the_session: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """The search with its three faults, over."""
    folder = tmp_path_factory.mktemp("faults")
    ray_folder = tempfile.mkdtemp(prefix="t")
    environment = {**os.environ, "RAY_TMPDIR": ray_folder, "RAY_USAGE_STATS_ENABLED": "0"}
    nodes = subprocess.Popen(
        [sys.executable, "-c", NODES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert nodes.stdout is not None
    drivers, raylets = None, list[int]()
    try:
        address, *told = nodes.stdout.readline().split()
        drivers, raylets = Drivers(folder, address), [int(raylet) for raylet in told]
        yield run_with_faults(drivers, folder, raylets)
    finally:
        if drivers is not None:
            drivers.end()
        # What a frozen raylet has started does not end with it, and some of that has written over its environment.
        for pid in [pid for raylet in raylets for pid in of_node(raylet)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        kill_all_with(ray_folder)
        nodes.wait()
        shutil.rmtree(ray_folder, ignore_errors=True)


def run_with_faults(drivers: Drivers, folder: Path, raylets: list[int]) -> Faults:
    out = folder / "run"
    space = space_file(folder, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    arguments = [
        space,
        "--set",
        "batch_size=32",
        "--trials",
        str(TRIALS),
        "--epochs",
        str(EPOCHS),
        "--fidelity",
        "full",
        *ONE_SEED,
        "--out",
        str(out),
    ]
    # A trial that is restarted may be unlucky and hit the next node that is lost.
    driver = drivers.fork([*arguments, "--max-failures", "5"], call_stuck_soon)
    # The driver is on the head's node, so only a worker is killed there.
    names = ("worker killed", "node killed", "node frozen")
    search = Faults(out, -1, "", {name: Fault(raylet) for name, raylet in zip(names, raylets, strict=True)})

    def watch_and_strike() -> bool:
        """Strike where a trial is in full swing; tells whether the search is over."""
        journal = entries(out)
        for entry in journal:
            if entry["kind"] == "trial_placed" and (raylet := parent_of(entry["pid"])) is not None:
                search.raylets.setdefault(entry["pid"], raylet)
        for worker, trial_id in running_trials(journal).items():
            for name, fault in search.faults.items():
                if not fault.time and fault.raylet == search.raylets.get(worker):
                    fault.trial_id, fault.worker, fault.time = trial_id, worker, time.time()
                    strike(name, fault)
        return driver.status() is not None

    wait_until(watch_and_strike, "the search with its faults", every=0.02)
    search.status, search.told = end_of(driver), drivers.told()
    assert all(fault.time for fault in search.faults.values()), f"the search was over too soon: {search.told}"
    return search


def test_a_search_goes_through_all_of_them_and_nothing_is_lost(search: Faults) -> None:
    assert search.status == 0, search.told
    assert entries(search.folder)[-1]["outcome"] == "finished"
    trials, epochs = (pd.read_parquet(search.folder / f"{name}.parquet") for name in ("trials", "epochs"))
    assert trials["status"].tolist() == ["completed"] * TRIALS
    assert trials["epochs"].tolist() == [EPOCHS] * TRIALS
    for _, of_trial in epochs.groupby("trial_id"):
        assert of_trial["epoch"].tolist() == list(range(1, EPOCHS + 1))
    restarts = sum(entry["kind"] == "trial_restarted" for entry in entries(search.folder))
    assert trials["restarts"].sum() == restarts >= 3
    assert f"trials started again: {restarts}" in search.told


@pytest.mark.parametrize(
    ("name", "why", "noticed_within"),
    [
        ("worker killed", "its worker process has died|unavailable", 30),
        ("node killed", "died|unavailable", 30),  # what Ray notices first: the socket, the worker or the node
        ("node frozen", "^no (first )?epoch in", SHORTEST_WAIT + 30),
    ],
)
def test_the_trial_goes_on_elsewhere_from_its_checkpoint_and_the_journal_tells_why(
    search: Faults, name: str, why: str, noticed_within: float
) -> None:
    fault = search.faults[name]
    restarted, placed = search.what_came_of(fault)
    took = restarted["time"] - fault.time
    print(f"{name}: noticed after {took:.1f} s, on again after {placed['time'] - fault.time:.1f} s; {restarted}")
    assert re.search(why, restarted["reason"])
    assert took < noticed_within
    assert placed["pid"] != fault.worker
    if name != "worker killed":
        assert search.raylets[placed["pid"]] != fault.raylet
    assert placed["continued_from"] is not None
    assert placed["left_out"] == []
