"""The services of docker/compose.yaml, run by podman on a host of their own. Needs root.

podman-compose starts them one at a time, as it knows no conditions of `depends_on` with Debian's podman. Nothing of it
is seen from outside: when the host goes, its processes, networks and mounts go with it.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml

from tests import hosts
from tests import image as images
from tests.hosts import Network, network
from tests.image import BASE, DOCKER, PATH, Image, configured, image

PROJECT = "tune_lpc"
SERVICES = ("token", "head", "worker", "search")
PATIENCE = 240.0
TOKEN = "/run/token/auth_token"
# Programs and Debian's packages that have them.
_PROGRAMS = {
    "podman": "podman",
    "crun": "crun",
    "iptables": "iptables",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "/usr/libexec/podman/catatonit": "catatonit",
}
# podman keeps files in /run; crun wants control groups of the second kind, in which it makes none.
_SETUP = """
mount -t tmpfs tmpfs /run
mount -t cgroup2 none /sys/fs/cgroup
"""


@cache
def why_not() -> str | None:
    """Why no containers can be had here; None where they can."""
    if (reason := images.why_not() or hosts.why_not()) is not None:
        return reason
    if missing := [package for program, package in _PROGRAMS.items() if shutil.which(program, path=PATH) is None]:
        return f"needs Debian's packages {', '.join(missing)}, to run containers"
    return None if find_spec("podman_compose") else "needs podman-compose, from PyPI"


class Services:
    """Services of docker/compose.yaml on a host where nothing else runs.

    folder: on this machine, and on that host at the same place.
    """

    def __init__(self, made: Network, built: Image) -> None:
        self.host, self.folder, self.image = made["engine"], made.folder, built
        self._store = self.folder / "store"
        made.environment.update(
            configured(self.folder, store=self._store, running=Path("/run/storage"), images=built.store / "store")
        )
        made.environment.update(PATH=PATH, WORKER_CPUS="2")
        # systemd, which podman would have ask for the health of containers, is not there: tests ask.
        changed: dict[str, Any] = {
            name: {"pull_policy": "never", "healthcheck": {"interval": "disable"}} for name in SERVICES
        }
        # Its image is not to be had. All but the program is as the Compose file has it.
        changed["prometheus"] = {
            "image": BASE,
            "pull_policy": "never",
            "entrypoint": ["/usr/bin/prometheus"],
            "volumes": ["/usr/bin/prometheus:/usr/bin/prometheus:ro"],
        }
        # podman-compose hands the mode of its tmpfs on as a decimal number, so it may not write there.
        command = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["prometheus"]["command"]
        elsewhere = "--storage.tsdb.path=/tmp/prometheus"
        changed["prometheus"]["command"] = [elsewhere if "tsdb.path" in each else each for each in command]
        self._changed = self.folder / "changed.yaml"
        self._changed.write_text(yaml.safe_dump({"services": changed}))

    def run(self, *command: str, timeout: float = PATIENCE) -> CompletedProcess[str]:
        """Run a command on their host, to its end."""
        return self.host.run(*command, timeout=timeout)

    def told(self, *command: str, timeout: float = PATIENCE) -> str:
        """What a command there prints; it has to succeed."""
        return _told(self.run(*command, timeout=timeout))

    def compose(self, *arguments: str, timeout: float = PATIENCE) -> CompletedProcess[str]:
        """Run `podman-compose ARGUMENTS`, to its end."""
        options = ("-f", str(DOCKER / "compose.yaml"), "-f", str(self._changed))
        # Docker's Compose takes the profile of a service that is named.
        options += ("--profile", "search", "--profile", "watch")
        return self.run(sys.executable, "-m", "podman_compose", *options, *arguments, timeout=timeout)

    def start(self, service: str, *options: str) -> None:
        """Start a service, but nothing that it depends on."""
        _told(self.compose("up", "--detach", "--no-deps", "--no-build", *options, service))

    def search(self, *arguments: str, timeout: float = PATIENCE) -> CompletedProcess[str]:
        """`docker compose run --rm search ARGUMENTS`."""
        return self.compose("run", "--rm", "-T", "--no-deps", "search", *arguments, timeout=timeout)

    def names(self, service: str) -> list[str]:
        """Of the containers of a service, those that have ended too."""
        label = f"label=com.docker.compose.service={service}"
        return sorted(self.told("podman", "ps", "--all", "--filter", label, "--format", "{{.Names}}").split())

    def name(self, service: str) -> str:
        """Of its only container."""
        (found,) = self.names(service)
        return found

    def inside(self, name: str, *command: str) -> str:
        """What a command in a container prints; it has to succeed."""
        return self.told("podman", "exec", name, *command)

    def inspected(self, name: str) -> dict[str, Any]:
        """What podman knows of a container."""
        (found,) = json.loads(self.told("podman", "container", "inspect", name))
        return dict(found)

    def is_well(self, name: str) -> bool:
        """Whether the health check of the Compose file passes."""
        return self.run("podman", "healthcheck", "run", name).returncode == 0

    def wait_until_well(self, service: str) -> None:
        """Wait until all containers of a service are."""
        self.wait_for(lambda: all(map(self.is_well, self.names(service))), f"{service} to be well")

    def wait_for(self, happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait; what all containers have told is in the error, should it take too long."""
        deadline = time.monotonic() + patience
        while not happened():
            assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}\n{self.logs()}"
            time.sleep(1.0)

    def logs(self) -> str:
        """What the containers have told."""
        names = self.told("podman", "ps", "--all", "--format", "{{.Names}}").split()
        done = {name: self.run("podman", "logs", name) for name in names}
        return "\n".join(f"== {name}\n{each.stdout}{each.stderr}" for name, each in done.items())

    def volume(self, name: str) -> Path:
        """Where a volume of the Compose file lies on this machine."""
        return self._store / "volumes" / f"{PROJECT}_{name}" / "_data"


def _told(done: CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@contextmanager
def services() -> Iterator[Services]:
    """No service yet: `start` them. When the context ends, nothing of them is left."""
    with image() as built, network(["engine"], setup=_SETUP) as made:
        yield Services(made, built)
