"""What listens on this machine alone; real sockets of a whole search are in test_run_sockets.py."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import pytest

from tune_lpc.engine import loopback
from tune_lpc.engine.loopback import is_on_loopback_alone, on_loopback


@pytest.mark.parametrize("before", [None, "1"])
def test_nothing_stays_of_the_switch(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    """A Ray that is joined later must be reached from other machines."""
    monkeypatch.delenv(loopback._SWITCH, raising=False)
    if before is not None:
        monkeypatch.setenv(loopback._SWITCH, before)
    with suppress(KeyError), on_loopback():
        assert os.environ[loopback._SWITCH] == "0" and not loopback.ray_constants.ENABLE_RAY_CLUSTER
        raise KeyError
    assert os.environ.get(loopback._SWITCH) == before and loopback.ray_constants.ENABLE_RAY_CLUSTER


def test_ray_takes_the_address_from_the_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray._private.worker._global_node", None)
    with on_loopback():
        assert loopback.get_node_ip_address() == "127.0.0.1"


def test_a_ray_that_answers_under_the_address_of_the_machine_is_joined_there(monkeypatch: pytest.MonkeyPatch) -> None:
    # In place of the machine's own address another one of loopback, where the first server does not listen.
    monkeypatch.setattr(loopback, "get_node_ip_address", lambda: "127.0.0.2")
    with socket.create_server(("127.0.0.1", 0)) as alone, socket.create_server(("0.0.0.0", 0)) as everywhere:
        ports = alone.getsockname()[1], everywhere.getsockname()[1]
        assert [is_on_loopback_alone(f"127.0.0.1:{port}") for port in ports] == [True, False]
        assert is_on_loopback_alone(f"localhost:{ports[0]}")
        assert not is_on_loopback_alone(f"10.0.0.1:{ports[0]}")
    assert not any(map(is_on_loopback_alone, ("auto", "local", "ray://127.0.0.1:10001", "127.0.0.1:x")))
