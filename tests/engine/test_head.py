"""The head of a cluster as it is seen without Ray: a process that listens, and is ended."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.drivers import wait_until
from tune_lpc.engine import head as head_module
from tune_lpc.engine.head import Head, Standing

SETTINGS = bytes(3) + b"\x04" + bytes(5)


class Listener:
    """What listens at an address, and says `answer` to each that comes."""

    def __init__(self, answer: bytes = SETTINGS) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._answer, self._open = answer, [self._server]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._server.accept()[0]
                self._open.append(connection)
                connection.sendall(self._answer)

    def end(self) -> None:
        """End as a process that is killed does: the system closes what it had open."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.end()


def test_the_end_of_a_head_is_noticed_at_once_and_nobody_listens_there(listener: Listener) -> None:
    head = Head(listener.address)
    assert head.look() is Standing.HERE
    assert not head.broke_off(0.1)
    threading.Timer(0.2, listener.end).start()
    began = time.monotonic()
    assert head.broke_off(30)
    assert time.monotonic() - began < 5
    wait_until(lambda: head.look() is Standing.GONE, "the end of the listener")


def test_without_a_connection_the_time_is_waited() -> None:
    began = time.monotonic()
    assert not Head("127.0.0.1:1").broke_off(0.2)
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_one_that_does_not_answer_as_ray_does_is_silent(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_module, "ANSWER_SECONDS", 0.3)
    other = Listener(answer)
    assert Head(other.address).look() is Standing.SILENT
    other.end()


def test_a_head_is_known_by_its_cluster(ray_session: str) -> None:
    own = Head(ray_session).cluster_there()
    assert own is not None and len(own) == 56
    assert Head(ray_session, own).look() is Standing.HERE
    assert Head(ray_session, "0" * 56).look() is Standing.ANOTHER
