"""Each way to reach a cluster of several hosts, right or wrong: the search works, or one line says what to do instead.

The hosts: the cluster's, and one beside them, on which no node of Ray runs. Cut links, unplugged hosts and dead heads
are in `test_hosts`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import ray

from tests.clusters import OTHER_RAY, PATIENCE, WORKERS, Cluster, with_another_ray
from tests.commands import image_folder
from tests.drivers import entries
from tests.hosts import ROOT, network, why_not

pytestmark = pytest.mark.cluster

PARTLY = "partly"
"""The folder that all hosts share but w2."""
SETUP = f'mkdir -p "$2/{PARTLY}" "$2/results"; if [ "$1" = w2 ]; then mount -t tmpfs tmpfs "$2/{PARTLY}"; fi'
SECONDS = 45.0
"""In which a search is refused on a busy machine; ten of them go into the imports of PyTorch and Ray."""
# Long enough for both workers to come up; with three at once on two workers of two CPUs each of them has one at least.
SEARCH = ["--seeds", "1", "--fidelity", "full", "--concurrent", "3", "--trials", "6", "--epochs", "150"]

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    with network(["head", *WORKERS, "client"], setup=SETUP) as made:
        yield Cluster(made, dashboard_host=made["head"].address)


@dataclass(frozen=True)
class Refused:
    """A search that can't be. on: the host. told: what the line says."""

    on: str
    address: str
    told: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


HEAD = "10.213.0.1"
SUBMIT = f"python -m tune_lpc.submit SPACE --address http://{HEAD}:8265"
CASES = {
    "no node here": Refused(
        "client",
        f"{HEAD}:6379",
        (f"needs a node of that cluster on this machine: ray start --address {HEAD}:6379", "tune_lpc.submit SPACE"),
    ),
    "no node here, auto": Refused("client", "auto", ("--address is auto, but no Ray runs on this machine",)),
    "Ray's client": Refused(
        "client", f"ray://{HEAD}:10001", ("is for Ray's client, which can't carry a search", SUBMIT)
    ),
    "the address of jobs": Refused("client", f"http://{HEAD}:8265", ("tune_lpc.submit", "give HOST:6379")),
    "the dashboard's port": Refused(
        "client", f"{HEAD}:8265", ("is a web server", "give the port of Ray itself, usually 6379")
    ),
    "the dashboard's port, on the head": Refused("head", f"{HEAD}:8265", ("is a web server", "usually 6379")),
    "a dead port": Refused("client", f"{HEAD}:6390", ("nothing can be joined at", "is Ray running there?")),
    "no route": Refused("client", "10.99.0.1:6379", ("nothing can be joined at", "unreachable")),
    "no such host": Refused("client", "10.213.0.77:6379", ("10.213.0.77:6379", "is Ray running there?")),
    "a wrong token": Refused(
        "head",
        f"{HEAD}:6379",
        ("refuses the token in {folder}/wrong: it has another; put the cluster's there",),
        {"RAY_AUTH_TOKEN_PATH": "{folder}/wrong"},
    ),
    "a wrong token, without a node": Refused(
        "client",
        f"{HEAD}:6379",
        ("refuses the token in {folder}/wrong",),
        {"RAY_AUTH_TOKEN_PATH": "{folder}/wrong"},
    ),
    "no token shown": Refused(
        "head",
        f"{HEAD}:6379",
        ("asks for a token, and none was shown; set RAY_AUTH_MODE=token",),
        {"RAY_AUTH_MODE": "disabled"},
    ),
    "no file of the token": Refused(
        "head",
        f"{HEAD}:6379",
        ("RAY_AUTH_TOKEN_PATH is {folder}/missing, but no token can be read there",),
        {"RAY_AUTH_TOKEN_PATH": "{folder}/missing"},
    ),
    "no token of this user": Refused(
        "head",
        "auto",
        ("there is no token to show; put the cluster's into ~/.ray/auth_token",),
        {"HOME": "{folder}/new"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_can_not_be_is_one_line(cluster: Cluster, case: str) -> None:
    asked, folder = CASES[case], cluster.folder
    (folder / "wrong").write_text("f" * 64)
    (folder / "new").mkdir(exist_ok=True)
    environment = {name: value.format(folder=folder) for name, value in asked.environment.items()}
    line = refused(cluster, asked.on, asked.address, environment)
    for told in asked.told:
        assert told.format(folder=folder) in line


def refused(cluster: Cluster, on: str, address: str, environment: Mapping[str, str]) -> str:
    """The one line, within seconds, of a search that can't be: status 2, and nothing left behind."""
    before, start = left(cluster.folder / "results"), time.monotonic()
    done = run(cluster, on, cluster.folder / "results" / "never", "--address", address, **environment)
    assert done.returncode == 2 and not done.stdout, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert time.monotonic() - start < SECONDS
    assert left(cluster.folder / "results") == before
    return done.stderr.strip()


def left(folder: Path) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def run(cluster: Cluster, on: str, out: Path, *options: str, **environment: str) -> Done:
    command = ("python", "-m", "tune_lpc.run", "digits", *SEARCH, "--out", str(out), *options)
    return cluster.network[on].run(*command, timeout=PATIENCE * 2, OMP_NUM_THREADS="1", **environment)


def test_another_version_of_ray_is_told_with_both(cluster: Cluster) -> None:
    other = with_another_ray(cluster.folder / "another")
    for host in ("head", "client"):
        line = refused(cluster, host, cluster.address, other)
        assert f"runs Ray {ray.__version__} with" in line and f"but here are Ray {OTHER_RAY} with" in line


def completed(done: Done, out: Path) -> set[str]:
    """The hosts on which a search ran that went through as a whole."""
    told = done.stdout + done.stderr
    assert done.returncode == 0 and "6 trials: 6 completed" in done.stdout, told
    assert "Traceback" not in told and not done.stderr, told
    kinds = [entry["kind"] for entry in entries(out)]
    assert kinds.count("trial_ended") == 6 and not {"trial_restarted", "trial_failed"} & set(kinds)
    return {entry["host"] for entry in entries(out) if entry["kind"] == "trial_placed"}


def test_a_search_on_the_heads_host_runs_on_both_workers(cluster: Cluster) -> None:
    out = cluster.folder / "results" / "beside-the-head"
    assert completed(run(cluster, "head", out, "--address", cluster.address), out) == set(WORKERS)


def test_a_worker_without_the_results_takes_no_trial(cluster: Cluster) -> None:
    out = cluster.folder / PARTLY / "out"
    done = run(cluster, "head", out, "--address", cluster.address)
    assert completed(done, out) == {"w1"}
    assert done.stdout.count("left out: ") == 1 and done.stdout.count(str(out) + " is not there") == 1
    assert f"left out: w2, where the results folder {out} is not there" in done.stdout


def test_a_worker_without_the_data_takes_no_trial(cluster: Cluster) -> None:
    data, out = image_folder(cluster.folder / PARTLY / "shades"), cluster.folder / "results" / "shades"
    done = run(cluster, "head", out, "--address", cluster.address, "--data-dir", str(data))
    assert completed(done, out) == {"w1"}
    assert done.stdout.count("left out: ") == 1
    assert f"left out: w2, where the data folder {data} is not there" in done.stdout


def test_a_search_on_a_node_without_cpus_runs_on_both_workers(cluster: Cluster) -> None:
    """As docker/search.sh has it."""
    client, out = cluster.network["client"], cluster.folder / "results" / "node"
    command = ("sh", str(ROOT / "docker" / "search.sh"), "digits", *SEARCH, "--out", str(out))
    done = client.run(*command, timeout=PATIENCE * 2, OMP_NUM_THREADS="1", RAY_HEAD=cluster.address)
    client.kill()
    assert completed(done, out) == set(WORKERS)
