"""What a cluster of several hosts listens on during a search, as docker/README.md has it: what is to be firewalled."""

from __future__ import annotations

import re
import time

import pytest

from tests.clusters import PATIENCE, WORKERS, Cluster
from tests.drivers import entries
from tests.hosts import ROOT, Host, network, told_by, why_not

pytestmark = pytest.mark.cluster

DASHBOARD = 8265
OF_THE_HEAD = {6379, 10001, 44217, 44227}
OF_A_NODE = 52365
OF_PROCESSES = range(10002, 20000)
"""From which Ray's workers, the command among them, take their ports."""
PICKED_BY = {"raylet", "ray::DashboardA", "ray::RuntimeEnv"}
"""Whose other ports are picked by the system."""
SOCKET = re.compile(r'(\S+):(\d+) +\S+ +users:\(\("([^"]+)"')


def listening(host: Host) -> set[tuple[str, int, str]]:
    """The address, the port and the program of each socket that listens on a host."""
    return {(address, int(port), name) for address, port, name in SOCKET.findall(host.run("ss", "-Htlnp").stdout)}


def is_loopback(address: str) -> bool:
    return address.removeprefix("[::ffff:").startswith("127.") or address == "[::1]"


def test_the_documentation_has_these_ports_and_no_others() -> None:
    """What the test below holds against a real cluster."""
    _, _, after = (ROOT / "docker" / "README.md").read_text().partition("\n| port | what | token |\n")
    table, _, _ = after.partition("\n\n")
    told = {int(port) for row in table.splitlines() for port in re.findall(r"\b[0-9]{4,5}\b", row.split(" | ")[0])}
    assert told == OF_THE_HEAD | {DASHBOARD, OF_A_NODE, OF_PROCESSES[0], OF_PROCESSES[-1]}


def test_a_cluster_listens_on_what_the_documentation_says() -> None:
    if reason := why_not():
        pytest.skip(reason)
    with network(["head", *WORKERS]) as made:
        cluster = Cluster(made)
        out, head = made.folder / "results", made["head"]
        options = ["--seeds", "1", "--fidelity", "full", "--concurrent", "3", "--trials", "100", "--epochs", "300"]
        command = ["python", "-m", "tune_lpc.run", "digits", *options, "--out", str(out), "--address", cluster.address]
        head.start(*command, output=made.folder / "search.txt")
        deadline = time.monotonic() + PATIENCE
        while not (out.exists() and {each.get("host") for each in entries(out)} >= set(WORKERS)):
            assert time.monotonic() < deadline, told_by(made.folder)
            time.sleep(0.5)
        found = {name: listening(host) for name, host in made.hosts.items()}
    for name, sockets in found.items():
        open_to_others = {(port, program) for address, port, program in sockets if not is_loopback(address)}
        ports = {port for port, _ in open_to_others}
        assert OF_A_NODE in ports, sockets
        assert ports & (OF_THE_HEAD | {DASHBOARD}) == (OF_THE_HEAD if name == "head" else set()), sockets
        others = {each for each in open_to_others if each[0] not in OF_THE_HEAD | {OF_A_NODE, *OF_PROCESSES}}
        assert {program for _, program in others} == PICKED_BY, sockets
    assert {address for address, port, _ in found["head"] if port == DASHBOARD} == {"127.0.0.1"}
