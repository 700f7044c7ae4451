"""A Ray cluster whose nodes are hosts of their own: a head and two workers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray

from tests.hosts import ROOT, Network, told_by

WORKERS = ("w1", "w2")
PORT = "6379"
PATIENCE = 240.0
# As docker/compose.yaml and docker/slurm/job.sbatch have it: a Ray that has ended is started again.
SUPERVISED = 'while :; do "$@"; sleep 2; done'
OTHER_RAY = "2.59.0" if ray.__version__ != "2.59.0" else "2.58.1"


class Cluster:
    """Ray on the hosts head, w1 and w2. The head runs no trials.

    dashboard_host: the address of the head on which its dashboard listens.
    """

    def __init__(self, made: Network, dashboard_host: str = "127.0.0.1") -> None:
        self.network, self.folder = made, made.folder
        self.address = f"{made['head'].address}:{PORT}"
        self._token()
        self.start("head", "--head", "--port", PORT, "--num-cpus", "0", "--dashboard-host", dashboard_host)
        for name in WORKERS:
            self.start_worker(name)
        self.wait_for_nodes(3)

    def _token(self) -> None:
        code = "from tune_lpc.engine.token import ensure_users_token as make; make()"
        assert self.network["head"].run("python", "-c", code).returncode == 0

    def start(self, name: str, *options: str) -> None:
        """Start Ray on a host, under supervision."""
        command = ("ray", "start", "--block", "--disable-usage-stats", *options)
        self.network[name].start("sh", "-c", SUPERVISED, "sh", *command, output=self.folder / f"ray-{name}.txt")

    def start_worker(self, name: str) -> None:
        self.start(name, "--address", self.address, "--num-cpus", "2")

    def kill_head(self) -> None:
        """End its GCS for good: the supervisor ends first."""
        for each in self.network["head"].processes(SUPERVISED):
            each.kill()
        for each in self.network["head"].processes("gcs_server"):
            each.kill()

    def wait_for_nodes(self, count: int) -> None:
        """Wait until so many nodes belong to it."""
        code = "\n".join(
            [
                "import ray, sys, time",
                "ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR')",
                "while sum(node['Alive'] for node in ray.nodes()) != int(sys.argv[2]):",
                "    time.sleep(0.5)",
            ]
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                done = self.network["head"].run("python", "-c", code, self.address, str(count), timeout=PATIENCE)
            except subprocess.TimeoutExpired as error:
                raise AssertionError(told_by(self.folder)) from error
            if done.returncode == 0:
                return
            assert time.monotonic() < deadline, done.stderr + told_by(self.folder)


def with_another_ray(folder: Path) -> dict[str, str]:
    """The environment in which Python finds Ray `OTHER_RAY`, put into a folder; the test is skipped where pip can't."""
    if not (folder / "ray" / "__init__.py").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run(
            [*pip, "--target", str(folder), f"ray=={OTHER_RAY}"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"pip can't get Ray {OTHER_RAY}: {done.stderr.strip().splitlines()[-1]}")
    return {"PYTHONPATH": f"{folder}:{ROOT}"}
