"""Clusters that somebody else started: a head on 127.0.0.1, as `ray start` makes it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0
TOKEN = "0123456789abcdef" * 2


@dataclass
class Head:
    """A running head: where it is joined, where jobs are sent to, where Ray's client asks, and its token."""

    port: int
    jobs_port: int
    client_port: int
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def address(self) -> str:
        """For `--address` of a search."""
        return f"127.0.0.1:{self.port}"

    @property
    def jobs(self) -> str:
        """For `--address` of `submit` and `jobs`."""
        return f"http://127.0.0.1:{self.jobs_port}"

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command `python …` by somebody who has the token."""
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env={**self.environment, **environment},
            timeout=PATIENCE * 2,
            cwd=ROOT,
            check=False,
        )

    def processes(self, name: str) -> list[psutil.Process]:
        """Its processes of that name, such as gcs_server."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in below if each.name().startswith(name)]

    def node(self, *options: str, hidden: Path) -> subprocess.Popen[bytes]:
        """Another node, for which a folder is empty; needs the rights of root."""
        options = ("--address", self.address, *_own_ports(), *options)
        hide = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
        hide += ['mount -t tmpfs none "$0" && exec "$@"', str(hidden)]
        return _ray(list(options), self.environment, self.folder / "node.txt", hide)


def free_port(low: int, high: int) -> int:
    """A port of a range on which nobody listens."""
    for port in range(low + os.getpid() % 50, high):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError(f"no port is free from {low} to {high}")


def _own_ports() -> list[str]:
    return ["--dashboard-agent-listen-port", str(free_port(9400, 9600)), "--node-ip-address", "127.0.0.1"]


def _ray(
    options: list[str], environment: dict[str, str], output: Path, within: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    ray = str(Path(sys.executable).with_name("ray"))
    command = [*within, ray, "start", "--block", "--object-store-memory", "100000000", *options]
    with output.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment,
            cwd="/",
            start_new_session=True,
        )


@contextmanager
def ray_head(cpus: int = 2, *, dashboard: bool = True, **of_its_own: str) -> Iterator[Head]:
    """A head that asks for a token, until the context ends. of_its_own: environment."""
    folder = Path(tempfile.mkdtemp(prefix="th-"))  # short, as Ray puts sockets there
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    unset = ("RAY_ADDRESS", "RAY_TMPDIR", "RAY_AUTH_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        **of_its_own,
    }
    # Below 10002, where the ports of workers begin.
    ports = [free_port(low, low + 200) for low in (9000, 9200, 9600)]
    options = ["--head", "--port", str(ports[0]), "--dashboard-port", str(ports[1]), *_own_ports()]
    options += ["--ray-client-server-port", str(ports[2]), "--num-cpus", str(cpus), "--temp-dir", str(folder / "ray")]
    options += ["--include-dashboard", str(dashboard).lower()]
    process = _ray(options, environment, folder / "head.txt")
    head = Head(*ports, folder, environment, process)
    try:
        _wait_for(head, dashboard)
        yield head
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(head: Head, dashboard: bool) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline, (head.folder / "head.txt").read_text()
        with contextlib.suppress(OSError):
            if not dashboard:
                with socket.create_connection(("127.0.0.1", head.port)):
                    return
            with urllib.request.urlopen(f"{head.jobs}/api/gcs_healthz", timeout=5):
                return
        time.sleep(0.3)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a node with all that it started."""
    if process.poll() is None:
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for each in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.kill()
    process.wait()
