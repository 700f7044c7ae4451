"""Clusters that can't be joined, each told in a line within seconds: tokens, versions, no node beside us."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.heads import Head, ray_head
from tune_lpc.engine import joining
from tune_lpc.engine.joining import joining_problems, version_problems

OURS = (joining.ray.__version__, joining.platform.python_version())


@pytest.mark.parametrize(("ray_version", "python_version"), [("2.59.0", OURS[1]), (OURS[0], "3.9.1")])
def test_other_versions_are_told_with_both(ray_version: str, python_version: str) -> None:
    known = json.dumps({"ray_version": ray_version, "python_version": python_version}).encode()
    (problem,) = version_problems("--address h:1", known)
    for named in (ray_version, python_version, *OURS):
        assert named in problem


@pytest.mark.parametrize(
    "known",
    [None, b"", b"no JSON", b"{}", json.dumps({"ray_version": OURS[0], "python_version": OURS[1]}).encode()],
)
def test_the_same_versions_or_none_told_are_no_problem(known: bytes | None) -> None:
    assert version_problems("--address h:1", known) == []


def test_without_a_node_on_this_machine_a_cluster_is_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    found = lambda: {"10.0.0.1:6380"}  # noqa: E731
    found.cache_clear = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setattr(joining.services, "find_gcs_addresses", found)
    (problem,) = joining._node_problems("10.0.0.1:6379", "--address 10.0.0.1:6379")
    assert "needs a node of that cluster on this machine: ray start --address 10.0.0.1:6379" in problem
    assert "tune_lpc.submit" in problem
    assert joining._node_problems("head:6380", "") == []  # a machine has many names


def test_a_cluster_of_this_machine_has_no_problems(ray_session: str) -> None:
    assert joining_problems(ray_session) == []


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head(dashboard=False) as head:
        yield head


def told_by(head: Head, folder: Path, **environment: str) -> str:
    """The one line with which a search on the cluster is refused; within seconds, with no file left."""
    start, out = time.monotonic(), folder / "out"
    command = ["-m", "tune_lpc.run", "digits", "--out", str(out), "--address", head.address]
    done: subprocess.CompletedProcess[str] = head.python(*command, **environment)
    assert done.returncode == 2 and not out.exists()
    assert time.monotonic() - start < 45  # it imports torch and Ray
    (line,) = done.stderr.splitlines()
    return line.removeprefix(f"error: --address {head.address} ")


@pytest.mark.cluster
def test_a_wrong_token_is_told(head: Head, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("f" * 32)
    assert told_by(head, tmp_path, RAY_AUTH_TOKEN_PATH=str(wrong)).startswith(f"refuses the token in {wrong}: ")


@pytest.mark.cluster
def test_a_missing_token_is_told(head: Head, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    told = told_by(head, tmp_path, RAY_AUTH_TOKEN_PATH=missing)
    assert told.startswith(f"can't be joined: RAY_AUTH_TOKEN_PATH is {missing}, but no token can be read there")


@pytest.mark.cluster
def test_that_no_token_was_shown_is_told(head: Head, tmp_path: Path) -> None:
    told = told_by(head, tmp_path, RAY_AUTH_MODE="disabled")
    assert told.startswith("asks for a token, and none was shown; set RAY_AUTH_MODE=token")
