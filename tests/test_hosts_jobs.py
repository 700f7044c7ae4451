"""Searches sent as jobs to a cluster of three hosts, by a fourth that has no Ray, and sees none of the cluster's files.

Nothing of the cluster can be reached from there but two ports of its head: the dashboard's, and that of Ray's client.
"""

from __future__ import annotations

import filecmp
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import ray

from tests.clusters import OTHER_RAY, PATIENCE, WORKERS, Cluster, with_another_ray
from tests.commands import space_file
from tests.drivers import entries
from tests.hosts import network, why_not

pytestmark = pytest.mark.cluster

NAME = re.compile(r"raysubmit_\w+")
DASHBOARD_PORT, CLIENT_PORT = 8265, 10001
SHARED = "shared"
"""The folder that the hosts of the cluster share, and the client does not."""
SETUP = f"""
mkdir -p "$2/{SHARED}"
if [ "$1" = client ]; then
    mount -t tmpfs tmpfs "$2/{SHARED}"
    ip rule add pref 1 ipproto tcp dport {DASHBOARD_PORT} lookup main
    ip rule add pref 2 ipproto tcp dport {CLIENT_PORT} lookup main
    ip rule add pref 3 to 10.213.0.0/24 unreachable
fi
"""
SEARCH = ["--seeds", "1", "--fidelity", "full", "--concurrent", "3"]
"""With three trials at once on two workers of two CPUs each of them has one at least."""
REACHES = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).close()"


class Client:
    """The host from which searches are sent."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.host = cluster, cluster.network["client"]
        self.jobs = f"http://{cluster.network['head'].address}:{DASHBOARD_PORT}"

    def by(self, *command: str, status: int = 0, **environment: str) -> str:
        """What a command about jobs prints, on both streams; it must end with that status."""
        line = ("python", "-m", f"tune_lpc.{command[0]}", *command[1:], "--address", self.jobs)
        done = self.host.run(*line, timeout=PATIENCE * 2, **environment)
        told = done.stdout + done.stderr
        assert done.returncode == status, told
        assert "Traceback" not in told, told
        return told

    def refused(self, *command: str, **environment: str) -> str:
        """The one line with which a command ends that can't do what it is asked for."""
        told = self.by(*command, status=2, **environment)
        assert len(told.splitlines()) == 1, told
        return told.strip()

    def reaches(self, name: str, port: int) -> bool:
        """Whether something of that host can be reached from here."""
        return self.host.run("python", "-c", REACHES, name, str(port), timeout=60).returncode == 0

    def out(self, name: str) -> Path:
        """A folder of results on the cluster."""
        return self.cluster.folder / SHARED / name


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    if reason := why_not():
        pytest.skip(reason)
    with network(["head", *WORKERS, "client"], setup=SETUP) as made:
        yield Client(Cluster(made, dashboard_host=made["head"].address))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def is_whole_copy(copy: Path, of: Path) -> bool:
    """Whether both folders hold the same files, of the same content to the last byte."""
    names = files(of)
    return files(copy) == names and filecmp.cmpfiles(copy, of, names, shallow=False) == (names, [], [])


def wait_for_epochs(out: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (out.exists() and {entry["host"] for entry in placed(out)} == set(WORKERS) and kinds(out)["epoch"] > 30):
        assert time.monotonic() < deadline
        time.sleep(0.3)


def placed(out: Path) -> list[dict[str, str]]:
    return [entry for entry in entries(out) if entry["kind"] == "trial_placed"]


def kinds(out: Path) -> Counter[str]:
    return Counter(entry["kind"] for entry in entries(out))


def test_the_client_is_no_part_of_the_cluster(client: Client) -> None:
    """What the tests below stand on."""
    assert client.reaches("head", DASHBOARD_PORT) and client.reaches("head", CLIENT_PORT)
    assert not client.reaches("head", 6379) and not client.reaches("w1", 52365)
    assert not client.host.processes("raylet")


def test_a_search_is_sent_followed_and_fetched(client: Client) -> None:
    folder = client.cluster.folder / "spaces"
    folder.mkdir()
    space = Path(space_file(folder, '"learning_rate": Float(*LIMITS, log=True)'))
    space.write_text("from limits import LIMITS\n" + space.read_text())
    (folder / "limits.py").write_text("LIMITS = (1e-3, 1e-1)")
    client.host.run("mv", str(folder), "/tmp/own")  # where no other host sees it
    out, here = client.out("followed"), client.cluster.folder / "fetched"
    # Long enough for both workers to come up.
    options = ["--out", str(out), *SEARCH, "--trials", "6", "--epochs", "150"]
    printed = client.by("submit", "/tmp/own/small.py", *options)
    assert "6 trials: 6 completed" in printed and "tune_lpc: exit status 0" in printed and "INFO" not in printed
    (name,) = set(NAME.findall(printed))
    assert {entry["host"] for entry in placed(out)} == set(WORKERS)
    (row,) = [line for line in client.by("jobs", "status").splitlines() if line.startswith(name)]
    assert row.split()[1:3] == ["finished", "0"] and row.endswith(str(out))
    assert "6 trials: 6 completed" in client.by("jobs", "logs", name)
    assert not client.host.run("ls", str(out)).stdout
    told = client.by("jobs", "fetch", name, "--to", str(here))
    assert f"{here}: all files are whole" in told
    assert "journal.jsonl" in files(here) and "best.parquet" in files(here)
    assert is_whole_copy(here, out)


def test_a_search_is_left_stopped_resumed_and_fetched(client: Client) -> None:
    out, here = client.out("left"), client.cluster.folder / "fetched-later"
    options = ["--out", str(out), *SEARCH, "--trials", "12", "--epochs", "60"]
    printed = client.by("submit", "digits", *options, "--detach")
    name = NAME.findall(printed)[0]
    wait_for_epochs(out)
    assert client.by("jobs", "status", name).splitlines()[1].split()[1] == "runs"
    assert "still runs" in client.refused("jobs", "fetch", name)
    assert f"{name}: stopped, exit status 143" in client.by("jobs", "stop", name)
    assert entries(out)[-1]["kind"] == "run_ended"
    stopped = pd.read_parquet(out / "trials.parquet")
    assert "interrupted" in set(stopped["status"])
    assert len(pd.read_parquet(out / "epochs.parquet")) == kinds(out)["epoch"]
    assert client.by("jobs", "status", name).splitlines()[1].split()[1:3] == ["stopped", "143"]
    assert "12 trials: 12 completed" in client.by("jobs", "resume", name)
    ended = pd.read_parquet(out / "trials.parquet")
    assert ended["status"].tolist() == ["completed"] * 12
    assert len(pd.read_parquet(out / "epochs.parquet")) == 12 * 60
    assert "all files are whole" in client.by("jobs", "fetch", "--to", str(here))
    assert is_whole_copy(here, out)


def test_the_exit_status_of_bad_input_is_kept(client: Client) -> None:
    file = client.out("file")
    file.write_text("")
    printed = client.by("submit", "digits", "--out", str(file), *SEARCH, status=2)
    (line,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert str(file) in line and "can't be written" in line
    assert "tune_lpc: exit status 2" in printed
    name = NAME.findall(printed)[0]
    assert client.by("jobs", "status", name).splitlines()[1].split()[1:3] == ["failed", "2"]
    client.by("jobs", "logs", name, "--follow", status=2)
    assert file.read_text() == ""


def test_what_can_not_be_fetched_is_one_line(client: Client) -> None:
    here = client.cluster.folder / "nothing"
    file = client.out("file")
    file.write_text("")
    job = NAME.findall(client.by("submit", "digits", "--out", str(file), *SEARCH, status=2))[0]
    fetch = ("jobs", "fetch", job, "--to", str(here))
    client.host.run("ip", "rule", "add", "pref", "0", "ipproto", "tcp", "dport", str(CLIENT_PORT), "unreachable")
    assert not client.reaches("head", CLIENT_PORT)
    line = client.refused(*fetch)
    assert f"ray://10.213.0.1:{CLIENT_PORT} (" in line and "fetch needs that port open (--client-port)" in line
    client.host.run("ip", "rule", "del", "pref", "0", "ipproto", "tcp")
    assert client.reaches("head", CLIENT_PORT)
    # The dashboard's port is open, but it is not that of Ray's client.
    assert "is not Ray's client; fetch needs" in client.refused(*fetch, "--client-port", str(DASHBOARD_PORT))
    assert "has no folder" in client.refused(*fetch)
    line = client.refused(*fetch, **with_another_ray(client.cluster.folder / "another"))
    assert "fetch needs the Ray of the cluster" in line and OTHER_RAY in line and ray.__version__ in line
    assert not list(client.cluster.folder.glob("*nothing*"))
