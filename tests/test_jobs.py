"""Searches as jobs of a cluster: `tune_lpc.submit` and `tune_lpc.jobs`, on a real head with a token."""

from __future__ import annotations

import filecmp
import http.server
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import space_file
from tests.heads import PATIENCE, Head, ray_head
from tune_lpc.engine import jobs as jobs_module
from tune_lpc.engine.jobs import entrypoint, without_rays_lines
from tune_lpc.jobs import main as jobs
from tune_lpc.submit import _of_the_search
from tune_lpc.submit import main as submit

NAME = re.compile(r"raysubmit_\w+")


def told(command: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines with which `submit …` or `jobs …` refuses; it must end with status 2."""
    run = submit if command[0] == "submit" else jobs
    try:
        status = run(command[1:])
    except SystemExit as exit_of_argparse:
        status = exit_of_argparse.code
    assert status == 2
    return capsys.readouterr().err.splitlines()


# What is told without a cluster

TO = ["--address", "http://127.0.0.1:1", "--out", "/results/x"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["digits", *TO[2:]], "--address is missing"),
        (["digits", *TO[:2]], "--out is missing"),
        ([*TO], "give a search space"),
        (["digits", *TO[:2], "--out", "results/x"], "--out is 'results/x', but must be a folder of the cluster"),
        (["digits", *TO, "--data-dir", "data"], "--data-dir is 'data', but must be a folder of the cluster"),
        (["digits", *TO, "--warm-start", "/a", "b"], "--warm-start is 'b', but must be a folder of the cluster"),
        (["digits", *TO, "--optuna-storage", "postgresql://a:b@h/d"], "--optuna-storage may hold a password"),
        (["digits", *TO, "--dry-run"], "--dry-run starts no search"),
        (["digits", *TO, "--trials", "many"], "--trials is 'many', but must be a whole number"),
        (["digit", *TO], "there is no search space 'digit'; did you mean 'digits'?"),
        (["digits", *TO], "nothing can be sent to --address http://127.0.0.1:1 ("),
        (["digits", "--address", "127.0.0.1:6379", *TO[2:]], "but must be that of Ray's dashboard, as http://HOST"),
        (["digits", "--address", "ray://h:10001", *TO[2:]], "but must be that of Ray's dashboard, as http://HOST"),
    ],
)
def test_what_can_not_be_sent_is_one_line(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told(["submit", *arguments], capsys)
    assert named in line


def test_all_problems_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(told(["submit", "digits", "--trials", "many", "--epochs", "0.5", "--data-dir", "x"], capsys)) == 5


@pytest.mark.parametrize("verb", ["status", "logs", "stop", "resume", "fetch"])
def test_a_dead_address_is_one_line(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told(["jobs", verb, "--address", "http://127.0.0.1:1"], capsys)
    assert "does Ray's dashboard run there?" in line


def test_another_web_server_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
        threading.Thread(target=server.handle_request, daemon=True).start()
        (line,) = told(["jobs", "status", "--address", f"http://127.0.0.1:{server.server_port}"], capsys)
    assert "is a web server, but not Ray's dashboard" in line


def test_the_port_of_ray_itself_is_told(ray_session: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told(["jobs", "status", "--address", f"http://{ray_session}"], capsys)
    assert "is no web server, as Ray's dashboard is" in line


def test_a_silent_server_is_told_in_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(jobs_module, "ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        (line,) = told(["jobs", "status", "--address", f"http://127.0.0.1:{server.getsockname()[1]}"], capsys)
    assert "timed out" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--address", "http://h:1", "s.py", "--set", "a=1", "b=2", "--detach"],
        ["--address=http://h:1", "--detach", "s.py", "--set", "a=1", "b=2"],
        ["s.py", "--addr", "http://h:1", "--set", "a=1", "b=2"],
    ],
)
def test_the_search_gets_its_own_options(arguments: list[str]) -> None:
    assert _of_the_search(arguments) == ["s.py", "--set", "a=1", "b=2"]


@pytest.mark.parametrize(
    ("python", "status", "lines"),
    [
        ('case "$1" in -c) ;; *) exit 5; esac', 5, ["tune_lpc: exit status 5"]),
        ("exit 1", 2, ["error: the cluster has no tune_lpc; install it on every node", "tune_lpc: exit status 2"]),
        # One that is stopped: the shell hears the signal too, and lives on for the line.
        ('case "$1" in -c) ;; *) kill -TERM $PPID; exit 143; esac', 143, ["tune_lpc: exit status 143"]),
    ],
)
def test_the_log_tells_the_exit_status(tmp_path: Path, python: str, status: int, lines: list[str]) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", entrypoint(["digits"])], env={"PATH": f"{tmp_path}:/bin"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.splitlines()) == (status, lines)


def test_another_version_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "tune_lpc").mkdir()
    (tmp_path / "tune_lpc" / "__init__.py").write_text("__version__ = '9.9'")
    done = subprocess.run(
        ["sh", "-c", entrypoint(["digits"])],
        env={"PATH": f"{Path(sys.executable).parent}:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("note: tune_lpc 9.9 of the cluster runs this; ")


def test_what_ray_says_of_its_own_is_left_out() -> None:
    log = "2026 INFO job_manager.py:1 -- Runtime env is setting up.\nRunning entrypoint for job x: y\nours\n"
    assert without_rays_lines(log) == "ours\n"


# On a cluster


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head() as head:
        yield head


def by(head: Head, *command: str, status: int = 0) -> str:
    """What a command about jobs prints, on both streams; it must end with that status."""
    done = head.python("-m", f"tune_lpc.{command[0]}", *command[1:], "--address", head.jobs)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.cluster
def test_a_search_is_sent_followed_and_fetched(head: Head, tmp_path: Path) -> None:
    space = space_file(tmp_path, '"learning_rate": Float(*LIMITS, log=True)')
    Path(space).write_text("from limits import LIMITS\n" + Path(space).read_text())
    (tmp_path / "limits.py").write_text("LIMITS = (1e-3, 1e-1)")
    (tmp_path / "other.py").write_text("raise RuntimeError")
    out, here = tmp_path / "out", tmp_path / "fetched"
    printed = by(head, "submit", space, "--out", str(out), "--seeds", "1")
    assert "2 trials: 2 completed" in printed and "tune_lpc: exit status 0" in printed
    assert "Traceback" not in printed and "INFO" not in printed
    (name,) = set(NAME.findall(printed))
    (row,) = [line for line in by(head, "jobs", "status").splitlines() if line.startswith(name)]
    assert row.split()[1:3] == ["finished", "0"] and row.endswith(str(out))
    assert "2 trials: 2 completed" in by(head, "jobs", "logs", name)
    told = by(head, "jobs", "fetch", name, "--to", str(here), "--client-port", str(head.client_port))
    assert f"{here}: all files are whole" in told
    assert files(here) == files(out)
    assert filecmp.cmpfiles(here, out, files(out), shallow=False) == (files(out), [], [])
    again = by(head, "jobs", "fetch", name, "--to", str(here), "--client-port", str(head.client_port), status=2)
    assert "is there already" in again
    for port in (1, head.jobs_port, head.port):  # none, a web server, Ray itself
        told = by(head, "jobs", "fetch", "--to", f"{here}2", "--client-port", str(port), status=2)
        assert "the same Ray and Python" in told and len(told.splitlines()) == 1


@pytest.mark.cluster
def test_a_search_is_stopped_and_resumed(head: Head, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--trials", "12", "--seeds", "1", "--fidelity", "full"]
    printed = by(head, "submit", "digits", "--out", str(out), "--epochs", "30", *options, "--detach")
    name = NAME.findall(printed)[0]
    for verb in ("logs", "status", "stop", "resume", "fetch"):
        assert f"python -m tune_lpc.jobs {verb} {name} --address {head.jobs}" in printed
    wait_for_epochs(out)
    assert "still runs" in by(head, "jobs", "resume", name, status=2)
    assert "still runs" in by(head, "jobs", "fetch", name, status=2)
    follower = subprocess.Popen(
        [sys.executable, "-m", "tune_lpc.jobs", "logs", name, "--follow", "--address", head.jobs],
        env=head.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    assert follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    _, said = follower.communicate(timeout=PATIENCE)
    assert follower.returncode == 130 and f"{name} goes on" in said and "tune_lpc.jobs stop" in said
    assert f"{name}: stopped, exit status 143" in by(head, "jobs", "stop", name)
    assert (out / "trials.parquet").exists()
    assert "has ended already" in by(head, "jobs", "stop", name, status=2)
    assert "12 trials: 12 completed" in by(head, "jobs", "resume", name)


def wait_for_epochs(out: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ((out / "journal.jsonl").exists() and "epoch" in (out / "journal.jsonl").read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.cluster
def test_the_exit_status_of_the_search_is_that_of_the_command(head: Head, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    printed = by(head, "submit", "digits", "--out", str(tmp_path / "file"), status=2)
    assert "can't be written" in printed and "tune_lpc: exit status 2" in printed
    assert by(head, "jobs", "status", NAME.findall(printed)[0]).splitlines()[1].split()[1:3] == ["failed", "2"]


@pytest.mark.cluster
def test_an_unknown_job_and_a_wrong_token_are_one_line(head: Head, tmp_path: Path) -> None:
    (line,) = by(head, "jobs", "logs", "raysubmit_0", status=2).splitlines()
    assert "has no search 'raysubmit_0' among its jobs" in line
    wrong = tmp_path / "wrong"
    wrong.write_text("f" * 32)
    done = head.python("-m", "tune_lpc.jobs", "status", "--address", head.jobs, RAY_AUTH_TOKEN_PATH=str(wrong))
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and f"refuses the token in {wrong}" in line
