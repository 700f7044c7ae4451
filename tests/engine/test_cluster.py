"""The Ray cluster of a search, as far as no Ray is needed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tune_lpc.engine.cluster import address_problems, scratch_folder


def test_a_scratch_folder_goes_with_its_search_and_takes_those_of_killed_ones_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (tmp_path / f"tune_lpc-ray-{socket.gethostname()}-{ended.stdout.strip()}-x" / "ray").mkdir(parents=True)
    alive = tmp_path / f"tune_lpc-ray-{socket.gethostname()}-{os.getppid()}-y"
    alive.mkdir()
    with scratch_folder() as folder:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([Path(folder).name, alive.name])
    assert list(tmp_path.iterdir()) == [alive]


@pytest.mark.parametrize("address", [None, "auto", "local"])
def test_an_address_that_ray_itself_resolves_is_not_tried(address: str | None) -> None:
    assert address_problems(address) == []


@pytest.mark.parametrize("address", ["somewhere", "host:", "host:port", "ray://host"])
def test_an_address_without_a_port_is_one_problem(address: str) -> None:
    (problem,) = address_problems(address)
    assert repr(address) in problem
