"""A search on machines as they are: each ends with status 0 and its files, by the real command with its own Ray."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make other users and file systems"),
]

COMMAND = [sys.executable, "-m", "tune_lpc.run", "digits", "--trials", "1", "--epochs", "1", "--seeds", "1", "--out"]
NAMELESS = 54321
"""A uid of which the machine knows no name."""
AS_NOBODY_KNOWN = [
    *("setpriv", f"--reuid={NAMELESS}", f"--regid={NAMELESS}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),  # Python may lie in root's home
]
DEAD = "http://127.0.0.1:9"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may write, with so short a name that Ray's files can lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def can_run(*command: str) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


def searched(
    place: Path, *, before: tuple[str, ...] = (), shell: str = "", without: str = "", **environment: str
) -> str:
    """Run the search, and what it said; it must have ended well. shell: around the command, which is "$@" there."""
    command = [*before, *COMMAND, str(place / "out")]
    if shell:
        command = ["bash", "-c", shell, "bash", *command]
    kept = {name: value for name, value in os.environ.items() if name != without}
    done = subprocess.run(command, capture_output=True, text=True, env={**kept, **environment}, timeout=300)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "Traceback" not in told
    assert pd.read_parquet(place / "out" / "trials.parquet")["status"].tolist() == ["completed"]
    return told


def test_few_open_files_and_a_closed_standard_output(place: Path) -> None:
    assert searched(place, shell='ulimit -n 256; exec "$@" >&-') == ""


def test_a_long_folder_for_temporary_files_and_dead_proxies_in_the_c_locale(place: Path) -> None:
    long = place / ("x" * (87 - len(str(place))))
    long.mkdir()
    assert len(str(long)) == 88
    names = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
    proxies = {name: DEAD for lower in names for name in (lower, lower.upper())}
    searched(place, TMPDIR=str(long), LC_ALL="C", PYTHONIOENCODING="latin-1", **proxies)
    assert list(long.iterdir()) == []


@pytest.mark.skipif(not can_run("unshare", "-m", "true"), reason="no file systems can be mounted here")
def test_a_small_shared_memory_and_a_full_disk_behind_standard_output(place: Path) -> None:
    mount = "mount -t tmpfs -o size=64m tmpfs /dev/shm"
    searched(place, before=("unshare", "-m", "bash", "-c", f'{mount} && exec "$@" > /dev/full', "bash"))


@pytest.mark.skipif(not can_run(*AS_NOBODY_KNOWN, "true"), reason="no other user can be taken on here")
def test_a_user_without_name_and_home_where_another_has_rays_folder(place: Path) -> None:
    (place / "ray").mkdir()
    elsewhere = {"TUNE_LPC_CACHE": str(place / "cache"), "RAY_AUTH_TOKEN_PATH": str(place / "token")}
    searched(place, before=(*AS_NOBODY_KNOWN,), without="HOME", TMPDIR=str(place), **elsewhere)
    assert (place / "token").stat().st_uid == NAMELESS
    assert list((place / "ray").iterdir()) == []
