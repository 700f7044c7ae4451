"""What a local search listens on: this machine alone, from the command line, from Python, and after `import ray`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers import entries, processes_with, wait_until

LISTENS = "0A"
"""The state of a socket that listens, in the kernel's tables."""
OPTIONS = ["--trials", "60", "--epochs", "40", "--seeds", "1", "--concurrent", "1", "--set", "rung_rule=stop"]
COMMAND = [sys.executable, "-m", "tune_lpc.run", "digits", *OPTIONS, "--out"]
FROM_PYTHON = """
import sys
import ray
import tune_lpc

tune_lpc.run_search("digits", trials=60, epochs=40, seeds=1, concurrent=1, out=sys.argv[1], quiet=True)
"""


def listening(processes: set[int]) -> dict[str, set[int]]:
    """The addresses on which these processes listen for TCP, with the ports."""
    inodes = set()
    for process in processes:
        try:
            names = [str(entry.readlink()) for entry in Path("/proc", str(process), "fd").iterdir()]
        except OSError:
            continue  # it has ended meanwhile
        inodes |= {name[8:-1] for name in names if name.startswith("socket:[")}
    found: dict[str, set[int]] = {}
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == LISTENS and inode in inodes:
                digits, port = local.split(":")
                words = [struct.pack("=I", int(digits[at : at + 8], 16)) for at in range(0, len(digits), 8)]
                found.setdefault(socket.inet_ntop(family, b"".join(words)), set()).add(int(port, 16))
    return found


def is_loopback(address: str) -> bool:
    return address == "::1" or address.removeprefix("::ffff:").startswith("127.")


def of_search(folder: str) -> set[int]:
    """The processes that have the folder for Ray's files in their environment."""
    return {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _has(pid, folder)}  # noqa: PTH208


def _has(pid: int, folder: str) -> bool:
    try:
        return pid != os.getpid() and folder.encode() in Path("/proc", str(pid), "environ").read_bytes()
    except OSError:
        return False


@pytest.fixture
def ray_folder() -> Iterator[str]:
    """A short folder of its own, by which the processes of a search are known."""
    folder = tempfile.mkdtemp(prefix="t")
    yield folder
    wait_until(lambda: not processes_with(folder), "the end of Ray's processes", every=0.2)
    shutil.rmtree(folder, ignore_errors=True)


def test_what_listens_is_found(ray_folder: str) -> None:
    """The test below would find what listens elsewhere."""
    script = "import socket; s = socket.create_server(('0.0.0.0', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "RAY_TMPDIR": ray_folder},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        port = int(process.stdout.readline())
        assert of_search(ray_folder) == {process.pid}
        assert listening({process.pid}) == {"0.0.0.0": {port}} and not is_loopback("0.0.0.0")
        process.stdin.write("\n")


@pytest.mark.slow
@pytest.mark.parametrize("command", [COMMAND, [sys.executable, "-c", FROM_PYTHON]], ids=["command", "Python"])
def test_a_local_search_listens_on_this_machine_alone_and_keeps_its_files_to_itself(
    command: list[str], ray_folder: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    environment = {**os.environ, "RAY_TMPDIR": ray_folder}
    environment.pop("RAY_AUTH_MODE", None)  # as users have it
    with (tmp_path / "told.txt").open("w") as told:
        search = subprocess.Popen(
            [*command, str(out)], env=environment, stdout=told, stderr=told, stdin=subprocess.DEVNULL
        )
    try:
        wait_until(lambda: search.poll() is not None or _has_epochs(out), "the first epoch", every=0.5)
        assert search.poll() is None, (tmp_path / "told.txt").read_text()
        processes = of_search(ray_folder)
        names = " ".join(Path("/proc", str(pid), "cmdline").read_text() for pid in processes)
        assert all(part in names for part in ("gcs_server", "raylet", "dashboard", "ray::")), names
        found = listening(processes)
        assert sum(map(len, found.values())) >= 5, found
        assert {address: ports for address, ports in found.items() if not is_loopback(address)} == {}
        (folder,) = Path(ray_folder).iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.stat().st_uid == os.geteuid()
        assert list(folder.glob("ray/session_*/sockets")), "Ray has put its files there"
    finally:
        search.send_signal(signal.SIGINT)
        assert search.wait(120) in (130, 0)
    assert list(Path(ray_folder).iterdir()) == [], "removed at the end"


def _has_epochs(out: Path) -> bool:
    return any(entry["kind"] == "epoch" for entry in entries(out))
