"""A search on a head and two workers, each a host of its own: cables pulled, hosts unplugged, the head's Ray killed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.clusters import PATIENCE, WORKERS, Cluster
from tests.drivers import entries, wait_until
from tests.hosts import ROOT, Host, network, told_by, why_not

pytestmark = pytest.mark.cluster

LONG = ["--seeds", "1", "--fidelity", "full", "--concurrent", "3"]
"""With three trials at once on two workers of two CPUs each of them has one at least."""
REACHES = "import socket, sys; socket.create_connection((sys.argv[1], 8000), timeout=3).close()"


class Search:
    """A search on the cluster. host: where it is started."""

    def __init__(self, cluster: Cluster, name: str, *options: str, host: str = "head") -> None:
        self.cluster, self.host, self.out = cluster, host, cluster.folder / "results" / name
        self._told = cluster.folder / f"search-{name}.txt"
        command = ["python", "-m", "tune_lpc.run", "digits", *LONG, *options, "--out", str(self.out)]
        self.process = cluster.network[host].start(
            *command, "--address", cluster.address, output=self._told, OMP_NUM_THREADS="1"
        )

    def told(self) -> str:
        return self._told.read_text(errors="replace")

    def kinds(self) -> Counter[str]:
        return Counter(entry["kind"] for entry in entries(self.out))

    def epochs(self) -> int:
        return self.kinds()["epoch"]

    def hosts(self) -> dict[str, str]:
        """Where each trial that has begun was placed last."""
        return {entry["trial_id"]: entry["host"] for entry in entries(self.out) if entry["kind"] == "trial_placed"}

    def running_on(self, host: str) -> set[str]:
        """The trials that are there now."""
        over = {entry["trial_id"] for entry in entries(self.out) if entry["kind"] == "trial_ended"}
        return {trial for trial, place in self.hosts().items() if place == host and trial not in over}

    def train(self, epochs: int) -> None:
        """Wait for so many more epochs; the search must not end meanwhile."""
        goal = self.epochs() + epochs
        self._wait(lambda: self.epochs() >= goal, f"{epochs} more epochs")

    def wait_for_trials_on(self, *names: str) -> None:
        self._wait(lambda: all(self.running_on(name) for name in names), f"trials on {names}")

    def _wait(self, happened: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < deadline, f"waited for {what}\n{self.told()}\n{told_by(self.cluster.folder)}"
            time.sleep(0.3)

    def end(self) -> int:
        """Ask it to end in good order, as Ctrl-C does; its exit status."""
        (driver,) = self.cluster.network[self.host].processes("-m tune_lpc.run digits")
        driver.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def lost_nothing(self) -> bool:
        """Whether every trial has its epochs from the first to its last, each once, and none has failed."""
        trials, rows = pd.read_parquet(self.out / "trials.parquet"), pd.read_parquet(self.out / "epochs.parquet")
        seen = {trial: sorted(group["epoch"]) for trial, group in rows.groupby("trial_id")}
        journalled = {
            (entry["trial_id"], entry["record"]["epoch"]) for entry in entries(self.out) if entry["kind"] == "epoch"
        }
        return (
            set(trials["status"]) <= {"completed", "interrupted"}
            and all(epochs == list(range(1, len(epochs) + 1)) for epochs in seen.values())
            and sum(map(len, seen.values())) == len(journalled)
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    with network(["head", *WORKERS]) as made:
        yield Cluster(made)


def endless(cluster: Cluster, name: str, host: str = "head") -> Search:
    """A search that goes on until it is ended, on both workers."""
    search = Search(cluster, name, "--trials", "500", "--epochs", "300", host=host)
    search.wait_for_trials_on(*WORKERS)
    search.train(30)
    return search


def busier(search: Search) -> str:
    return max(WORKERS, key=lambda name: len(search.running_on(name)))


def ended_in_good_order(search: Search, reason: str) -> None:
    """It ends for want of a head, tells why and how to go on, and has written its files."""
    assert search.process.wait(PATIENCE) == 1, search.told()
    told = search.told()
    assert reason in told and "go on with: python -m tune_lpc.run --resume digits" in told, told
    assert not any(word in told for word in ("Traceback", "StackTrace", "WrongClusterID")), told
    assert entries(search.out)[-1]["kind"] == "run_ended" and reason in entries(search.out)[-1]["reason"]
    assert search.lost_nothing()


def no_harm_is_done_by_eight_seconds_without(host: Host, search: Search) -> None:
    host.cut()
    time.sleep(8)
    host.mend()
    search.train(60)
    assert search.kinds()["trial_restarted"] == 0
    assert search.end() == 130 and search.lost_nothing()


def test_a_link_that_is_cut_for_eight_seconds_does_no_harm(cluster: Cluster) -> None:
    search = endless(cluster, "short")
    no_harm_is_done_by_eight_seconds_without(cluster.network[busier(search)], search)


def test_a_link_of_the_search_itself_that_is_cut_for_eight_seconds_does_no_harm(cluster: Cluster) -> None:
    search = endless(cluster, "own", host="w1")
    no_harm_is_done_by_eight_seconds_without(cluster.network["w1"], search)


def test_a_link_that_is_cut_for_long_costs_a_restart_and_no_epoch(cluster: Cluster) -> None:
    search = endless(cluster, "long")
    name = busier(search)
    there = search.running_on(name)
    cluster.network[name].cut()
    time.sleep(76)
    assert search.process.poll() is None, search.told()
    assert search.running_on(name) < there, "none of them goes on elsewhere"
    cluster.network[name].mend()
    cluster.wait_for_nodes(3)
    search.wait_for_trials_on(name)
    search.train(60)
    assert search.kinds()["trial_restarted"] >= len(there)
    assert search.end() == 130 and search.lost_nothing()
    assert "Traceback" not in search.told() and "StackTrace" not in search.told()
    assert "marked dead" in (search.out / "ray.log").read_text()


def test_a_worker_that_is_unplugged_and_started_again_is_used_again(cluster: Cluster) -> None:
    search = endless(cluster, "unplugged")
    name = busier(search)
    there = search.running_on(name)
    cluster.network[name].kill()
    search.train(60)
    cluster.network[name].boot()
    cluster.start_worker(name)
    search.wait_for_trials_on(name)
    search.train(60)
    assert search.kinds()["trial_restarted"] >= len(there)
    assert search.end() == 130 and search.lost_nothing()
    assert "Traceback" not in search.told()


def test_a_head_that_dies_and_is_started_again_loses_no_epoch(cluster: Cluster) -> None:
    options = ("--trials", "6", "--epochs", "60")
    search = Search(cluster, "headless", *options)
    search.wait_for_trials_on(*WORKERS)
    search.train(60)
    (gcs,) = cluster.network["head"].processes("gcs_server")
    gcs.kill()
    # Its supervisor has another head there within seconds, which knows nothing of this search.
    ended_in_good_order(search, "was started anew")
    before = search.epochs()
    cluster.wait_for_nodes(3)
    resumed = Search(cluster, "headless", *options, "--resume")
    assert resumed.process.wait(PATIENCE) == 0, resumed.told()
    assert resumed.lost_nothing() and resumed.epochs() > before
    trials = pd.read_parquet(resumed.out / "trials.parquet")
    assert trials["status"].tolist() == ["completed"] * 6
    assert len(pd.read_parquet(resumed.out / "epochs.parquet")) == 6 * 60


def test_a_head_that_dies_for_good_lets_the_search_end_with_its_tables(cluster: Cluster) -> None:
    search = Search(cluster, "ended", "--trials", "6", "--epochs", "300")
    search.wait_for_trials_on(*WORKERS)
    search.train(60)
    cluster.kill_head()
    ended_in_good_order(search, "does not answer any more")


def test_a_cut_link_and_an_unplugged_host_are_what_they_say(tmp_path: Path) -> None:
    """What the tests above do to the hosts."""
    if reason := why_not():
        pytest.skip(reason)
    with network(["one", "two"]) as made:
        one, two = made["one"], made["two"]

        def reached() -> bool:
            return one.run("python", "-c", REACHES, "two", timeout=60).returncode == 0

        def serve() -> None:
            two.start("python", "-m", "http.server", "8000", output=made.folder / "server.txt")
            wait_until(reached, "the server", every=0.2)

        serve()
        assert one.run("hostname").stdout == "one\n" and not one.processes("http.server")
        two.cut()
        assert not reached()
        two.mend()
        wait_until(reached, "the mended link", every=0.2)
        two.run("touch", "/tmp/kept")
        assert not one.run("ls", "/tmp/kept").stdout
        two.kill()
        assert not two.processes() and not reached()
        two.boot()
        assert not two.processes("http.server") and not two.run("ls", "/tmp/kept").stdout
        serve()
        assert str(ROOT) in one.run("sh", "-c", "echo $PYTHONPATH").stdout
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert made.prefix not in spaces and not made.folder.exists()
