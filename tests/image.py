"""The image of docker/Dockerfile, built by buildah; kept for tests of the same source. Needs root.

No engine has to run, and no registry is asked for an image: debootstrap makes the base out of Debian's packages. All
happens in namespaces: when they end, nothing of it runs and nothing is mounted any more.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from filelock import FileLock

from tests.hosts import ROOT

DOCKER = ROOT / "docker"
IMAGE, BASE = "localhost/tune_lpc:cuda", "localhost/base:tests"
"""Names in the store: what docker/compose.yaml runs, and what it was built on."""
SPARE = 35 * 10**9
"""Bytes that a build takes at most: the image, as files and as the layer made of them, and copies on the way."""
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
_RELEASE = "bookworm"
_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
_MADE_OF = ("docker/Dockerfile", "docker/*.py", "docker/*.sh", "tune_lpc/**/*", "search_spaces/**/*")
_MADE_OF += ("pyproject.toml", "README.md", "LICENSE", ".dockerignore", "tests/image.py")
_SPACE = ("unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private")
_CONTAINERS = """
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=4096:4096", "nproc=8192:8192"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""


@cache
def why_not() -> str | None:
    """Why no image can be built here; None where one can, or lies there already."""
    if os.geteuid() != 0:
        return "needs root, to build an image"
    if missing := [name for name in ("buildah", "debootstrap") if shutil.which(name, path=PATH) is None]:
        return f"needs Debian's packages {', '.join(missing)}, to build an image"
    if _mirror() is None:
        return f"needs apt with a source of Debian {_RELEASE}, for the base of an image"
    if not (_folder() / _key()).exists() and (free := shutil.disk_usage(_existing(_folder())).free) < SPARE:
        return f"needs {SPARE / 1e9:.0f} GB of free disk to build an image, and {free / 1e9:.0f} are free"
    return None


@dataclass(frozen=True)
class Image:
    """An image that was built: a store of images that podman can read."""

    store: Path

    @property
    def seconds(self) -> float:
        """How long it took to build, without its base."""
        return float((self.store / "seconds").read_text())


@contextmanager
def image() -> Iterator[Image]:
    """The image of this source, which nobody removes while the context lasts.

    It stays for later tests of the same source, in a folder of the user's cache; those of other sources are removed.
    """
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        store = folder / _key()
        if not store.exists():
            draft = folder / "draft"
            shutil.rmtree(draft, ignore_errors=True)  # of a test that was killed
            try:
                _build(draft)
                draft.rename(store)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        for other in folder.iterdir():
            if other.is_dir() and other != store:
                shutil.rmtree(other)
        yield Image(store)


def _folder() -> Path:
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache_home) / "tune_lpc_tests" / "containers"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _key() -> str:
    """What the image is made of, in a word."""
    told = hashlib.sha256()
    paths = {path for pattern in _MADE_OF for path in ROOT.glob(pattern)}
    for path in sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts):
        told.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return told.hexdigest()[:16]


def _build(folder: Path) -> None:
    """Build the base, and the image on it, into a store of images in `folder`."""
    base, scratch = folder / "base", folder / "scratch"
    scratch.mkdir(parents=True)
    environment = {**os.environ, "PATH": PATH, "TMPDIR": str(scratch)}
    environment |= configured(folder, store=folder / "store", running=folder / "run")
    log = folder / "build.txt"

    def run(*command: str) -> None:
        with log.open("ab") as file:
            done = subprocess.run(
                [*_SPACE, *command], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        assert done.returncode == 0, f"{command}:\n{log.read_text(errors='replace')[-8000:]}"

    run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _RELEASE, str(base), str(_mirror()))
    # As the image python:3 has it: `python` and `pip`, which may install into the system.
    for name in ("python", "pip"):
        link = base / "usr/bin" / name
        if not link.exists():
            link.symlink_to(f"{name}3")
    for path in [*base.glob("usr/lib/python3*/EXTERNALLY-MANAGED"), *base.glob("var/cache/apt/archives/*.deb")]:
        path.unlink()
    script = 'made=$(buildah from scratch) && buildah add "$made" "$1" / && buildah commit --rm "$made" "$2"'
    run("sh", "-c", script, "sh", str(base), BASE)
    shutil.rmtree(base)
    started = time.monotonic()
    options = f"--isolation chroot --network host --format docker --build-arg PYTHON_IMAGE={BASE}".split()
    settings = [word for volume in _settings_of_pip(folder) for word in ("--volume", volume)]
    run("buildah", "build", *options, *settings, "--file", str(DOCKER / "Dockerfile"), "--tag", IMAGE, ".")
    (folder / "seconds").write_text(f"{time.monotonic() - started:.0f}")
    for each in (scratch, folder / "run"):
        shutil.rmtree(each, ignore_errors=True)


@cache
def _mirror() -> str | None:
    """Where apt has Debian's packages from."""
    if shutil.which("apt-get") is None:
        return None
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    asked += [f"Codename: {_RELEASE}", "Component: main", "Origin: Debian"]
    told = subprocess.run(asked, check=False, capture_output=True, text=True).stdout.split()
    return told[0] if told else None


def _settings_of_pip(folder: Path) -> list[str]:
    """Volumes that make pip in a build fetch packages as it does here: its settings, and the paths they name."""
    asked = [sys.executable, "-m", "pip", "config", "list"]
    told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    settings = {}
    for line in told.splitlines():
        name, value = line.split("=", 1)
        settings[name.removeprefix(":env:.").removeprefix("global.")] = str(yaml.safe_load(value))
    file = folder / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    paths = {word.removeprefix("file://") for value in settings.values() for word in value.split()}
    found = {Path(word) for word in paths if word.startswith("/") and Path(word).exists()}
    # An index names files beside it.
    found = {path.parent if path.name == "simple" else path for path in found}
    return [f"{file}:/etc/pip.conf:ro", *(f"{path}:{path}:ro" for path in sorted(found))]


def configured(folder: Path, *, store: Path, running: Path, images: Path | None = None) -> dict[str, str]:
    """Write the configuration of buildah and podman into `folder`; the variables of the environment that name it.

    store, running: what they keep, and what only while containers run. images: a further store, which is only read.
    """
    more = f'[storage.options]\nadditionalimagestores = ["{images}"]\n' if images else ""
    content = f'[storage]\ndriver = "overlay"\ngraphroot = "{store}"\nrunroot = "{running}"\n{more}'
    (folder / "storage.conf").write_text(content)
    (folder / "containers.conf").write_text(_CONTAINERS.format(folder=folder))
    return {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
    }
