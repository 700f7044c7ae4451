"""Hosts of a network, on this machine: namespaces joined by a switch, whose links can be cut. Needs root.

Each host has its own name, addresses, processes, /tmp and /dev/shm; what lies elsewhere, and the folder of the network,
all share.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 30.0
_PREFIX = "tl"
_SWITCH = "switch"
_NETWORK = "10.213.0"
_numbers = count()
"""Of the networks that this process makes: several can be there at once."""
_INIT = """
set -e
hostname "$1"
mount --bind "$2" /mnt
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p "$2"
mount --move /mnt "$2"
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount --bind "$2/hosts" /etc/hosts
eval "$3"
trap "" CHLD  # orphans leave nothing behind
touch "$2/$1.up"
exec sleep infinity
"""


@cache
def why_not() -> str | None:
    """Why there can be no hosts here; None where there can."""
    if os.geteuid() != 0:
        return "needs root, for hosts in namespaces"
    if missing := [name for name in ("ip", "unshare", "nsenter") if shutil.which(name) is None]:
        return f"needs {' and '.join(missing)} (Debian's packages iproute2 and util-linux), for hosts in namespaces"
    name = f"{_PREFIX}{os.getpid()}-trial"
    try:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "add", "br0", "type", "bridge")
        space = ("unshare", "-m", "-u", "-p", "-f", "--mount-proc", "--propagation", "private")
        subprocess.run(["ip", "netns", "exec", name, *space, "true"], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        return f"no hosts can be made in namespaces: {error.stderr.decode(errors='replace').strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return None


class Host:
    """A host of a network.

    name: also its host name. address: on the switch.
    """

    def __init__(self, name: str, number: int, network: Network, setup: str) -> None:
        self.name, self.address = name, f"{_NETWORK}.{number}"
        self._network, self._setup = network, setup
        self._space = f"{network.prefix}{name}"
        self._port = f"p{number}"
        self._process: subprocess.Popen[bytes] | None = None
        self._init, self._own = 0, ""
        _ip("netns", "add", self._space)
        _ip("-n", self._space, "link", "add", "eth0", "type", "veth", "peer", self._port, "netns", network.switch)
        _ip("-n", self._space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            _ip("-n", self._space, "link", "set", link, "up")
        _ip("-n", network.switch, "link", "set", self._port, "master", "br0", "up")

    def boot(self) -> None:
        """Start it, with nothing on it yet."""
        ready = self._network.folder / f"{self.name}.up"
        ready.unlink(missing_ok=True)
        space = ("unshare", "-m", "-u", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private")
        arguments = (self.name, str(self._network.folder), self._setup)
        with (self._network.folder / f"{self.name}.txt").open("ab") as told:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", self._space, *space, "sh", "-c", _INIT, "sh", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not ready.exists():
            assert time.monotonic() < deadline and self._process.poll() is None, told_by(self._network.folder)
            time.sleep(0.02)
        (init,) = psutil.Process(self._process.pid).children()
        self._init, self._own = init.pid, self._space_of(init.pid)

    def kill(self) -> None:
        """End it as if its plug had been pulled: all its processes at once, what lay in its memory is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            deadline = time.monotonic() + PATIENCE
            while self.processes():
                assert time.monotonic() < deadline, f"processes of {self.name} do not end"
                time.sleep(0.05)
            self._process = None

    def cut(self) -> None:
        """Pull its cable out of the switch."""
        _ip("-n", self._network.switch, "link", "set", self._port, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("-n", self._network.switch, "link", "set", self._port, "up")

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs there, in the network's folder, what is given."""
        where = f"--wdns={self._network.folder}"
        return ["nsenter", "-t", str(self._init), "-m", "-u", "-n", "-p", where, *arguments]

    def run(self, *arguments: str, timeout: float = 300.0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command on it, to its end."""
        return subprocess.run(
            self.command(*arguments),
            env={**self._network.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str, output: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command on it, which goes on until it ends or the host does. output: a file, to which it adds."""
        with output.open("ab") as file:
            return subprocess.Popen(
                self.command(*arguments),
                env={**self._network.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def processes(self, name: str = "") -> list[psutil.Process]:
        """What runs on it and has `name` in its command line, besides the process that keeps it up."""
        found = []
        for each in psutil.process_iter():
            try:
                line = " ".join(each.cmdline())
                if each.pid != self._init and self._space_of(each.pid) == self._own and name in line:
                    found.append(each)
            except (OSError, psutil.Error):
                continue  # it has ended meanwhile
        return found

    @staticmethod
    def _space_of(process: int) -> str:
        return os.readlink(f"/proc/{process}/ns/pid")  # noqa: PTH115  # no path, but a name

    def remove(self) -> None:
        """End it, and take its place in the network away."""
        self.kill()
        subprocess.run(["ip", "netns", "del", self._space], check=False, capture_output=True)


class Network:
    """A switch and its hosts.

    folder: what all hosts share, at the same place. environment: of commands on a host; its HOME is in the folder.
    """

    def __init__(self, prefix: str, names: Sequence[str], setup: str, environment: Mapping[str, str]) -> None:
        self.prefix = prefix
        self.switch = f"{self.prefix}{_SWITCH}"
        self.folder = Path(tempfile.mkdtemp(prefix="th-"))
        (self.folder / "home").mkdir()
        unset = ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        self.environment = kept | {
            "HOME": str(self.folder / "home"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            **environment,
        }
        lines = [f"{_NETWORK}.{number} {name}" for number, name in enumerate(names, 1)]
        (self.folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        self.hosts: dict[str, Host] = {}
        _ip("netns", "add", self.switch)
        _ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self.switch, "link", "set", "br0", "up")
        for number, name in enumerate(names, 1):
            self.hosts[name] = Host(name, number, self, setup)
            self.hosts[name].boot()

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def remove(self) -> None:
        """End all hosts, and leave nothing behind."""
        for host in self.hosts.values():
            host.remove()
        _remove_spaces(self.prefix)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def network(
    names: Sequence[str], *, setup: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[Network]:
    """Hosts of these names, joined by a switch, until the context ends. setup: shell commands when each comes up."""
    _remove_those_of_killed_tests()
    made, prefix = None, f"{_PREFIX}{os.getpid()}x{next(_numbers)}-"
    try:
        made = Network(prefix, names, setup, environment or {})
        yield made
    finally:
        if made is not None:
            made.remove()
        _remove_spaces(prefix)


def told_by(folder: Path) -> str:
    """What was written into the text files of a network's folder."""
    return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')}" for path in sorted(folder.glob("*.txt")))


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _spaces() -> list[str]:
    done = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True)
    return [line.split()[0] for line in done.stdout.splitlines() if line.strip()]


def _remove_spaces(prefix: str) -> None:
    for name in _spaces():
        if name.startswith(prefix):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _remove_those_of_killed_tests() -> None:
    """Remove hosts whose makers are gone: they were killed."""
    for name in _spaces():
        made = re.fullmatch(rf"{_PREFIX}([0-9]+)(?:x[0-9]+)?-\w+", name)
        if made and not psutil.pid_exists(int(made[1])):
            done = subprocess.run(["ip", "netns", "pids", name], check=False, capture_output=True, text=True)
            for pid in map(int, done.stdout.split()):
                if psutil.pid_exists(pid):
                    psutil.Process(pid).kill()
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
