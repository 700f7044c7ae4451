"""Addresses of clusters: what can't be joined is told in a line, in seconds."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tune_lpc.engine import address as address_module
from tune_lpc.engine.address import address_problems


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on a free port that greets whoever connects with an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(5)


@pytest.mark.parametrize("address", [None, "local"])
def test_a_ray_of_our_own_has_none(address: str | None) -> None:
    assert address_problems(address) == []


@pytest.mark.parametrize("address", ["somewhere", "host:", "host:port", "host:99999", ""])
def test_an_address_without_a_port_is_one_problem(address: str) -> None:
    (problem,) = address_problems(address)
    assert repr(address) in problem and "must be auto or HOST:PORT" in problem


@pytest.mark.parametrize("address", ["ray://head:10001", "ray://head"])
def test_the_address_of_rays_client_is_refused_with_what_to_do_instead(address: str) -> None:
    (problem,) = address_problems(address)
    assert problem.startswith(f"--address {address} is for Ray's client")
    assert "--address head:6379" in problem and "tune_lpc.submit SPACE --address http://head:8265" in problem


@pytest.mark.parametrize("address", ["http://head:8265", "https://head/"])
def test_the_address_of_jobs_is_told_as_such(address: str) -> None:
    (problem,) = address_problems(address)
    assert f"tune_lpc.submit SPACE --address {address};" in problem and "HOST:6379" in problem


def test_a_real_ray_is_joined(ray_session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert address_problems(ray_session) == []
    monkeypatch.setenv("RAY_ADDRESS", ray_session)
    assert address_problems("auto") == []


def test_nothing_listens() -> None:
    (problem,) = address_problems("127.0.0.1:1")
    assert problem.startswith("nothing can be joined at --address 127.0.0.1:1 (")


def test_auto_goes_by_the_environment_and_is_checked_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    (problem,) = address_problems("auto")
    assert "RAY_ADDRESS 127.0.0.1:1" in problem and "is Ray running there?" in problem
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    (problem,) = address_problems("auto")
    assert "RAY_ADDRESS" in problem and "must be auto or HOST:PORT" in problem


def test_auto_goes_by_the_last_ray_of_the_machine_and_is_checked_alike(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    (problem,) = address_problems("auto")
    assert "127.0.0.1:1" in problem and "auto" in problem


def test_the_port_of_the_dashboard_is_told() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        (problem,) = address_problems(f"127.0.0.1:{server.server_port}")
    assert "web server" in problem and "dashboard" in problem and "6379" in problem


def test_another_server_is_told() -> None:
    with listening(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as address:
        (problem,) = address_problems(address)
    assert "is not Ray" in problem


def test_a_server_that_says_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_module, "ANSWER_SECONDS", 1.0)
    silent = threading.Event()
    with listening(lambda connection: silent.wait(3) and None) as address:
        (problem,) = address_problems(address)
        silent.set()
    assert "does not answer in" in problem
