"""The head of a cluster (Ray's GCS), seen without Ray: whether it is there, and whether it is still the same one."""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress
from enum import Enum

from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.exceptions import AuthenticationError, RayError

from tune_lpc.engine.address import ANSWER_SECONDS, GREETING, is_answer, uses_tls

_ACKNOWLEDGED = b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"
"""Settings of HTTP/2 are acknowledged (RFC 9113, 6.5.3), or gRPC would close the connection."""


class Standing(Enum):
    """What is found at the address of a head."""

    HERE = "it answers"
    SILENT = "nothing answers, as when a cable is pulled"
    GONE = "its machine answers that nobody listens there"
    ANOTHER = "a head answers that is not the one of before: it knows nothing of this search"


class Head:
    """The head at HOST:PORT, with a connection to it on which nothing is said.

    Such a connection ends at once when the head's process does, whatever ended it; when a cable is pulled for a while
    it stays. cluster: the id of its cluster, in hexadecimal; None: whoever answers will do.
    """

    def __init__(self, address: str, cluster: str | None = None) -> None:
        self.address, self._cluster = address, cluster
        self._held: socket.socket | None = None
        self._is_sure = False  # that it is the same one

    def broke_off(self, seconds: float) -> bool:
        """Wait so long, or until the connection ends, which this returns."""
        if self._held is None:
            time.sleep(seconds)
            return False
        until = time.monotonic() + seconds
        while select.select([self._held], [], [], max(0.0, until - time.monotonic()))[0]:
            with suppress(OSError):
                if self._held.recv(4096):
                    continue
            self.close()
            return True
        return False

    def look(self) -> Standing:
        """Ask it for an answer, and after one that it did not give also for its cluster."""
        host, _, port = self.address.rpartition(":")
        try:
            connection = socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS)
        except ConnectionRefusedError:
            self.close()
            return Standing.GONE
        except OSError:
            self._is_sure = False
            return Standing.SILENT
        standing = self._asked(connection)
        if standing is Standing.HERE and self._held is None:
            self._held = connection
        else:
            connection.close()
        return standing

    def close(self) -> None:
        """Let the connection go."""
        self._is_sure = False
        if self._held is not None:
            self._held.close()
            self._held = None

    def cluster_there(self) -> str | None:
        """The id of the cluster whose head answers at the address; None where it lets nobody in that has our token.

        Raises RayError and its like where none answers.
        """
        try:
            return str(GcsClient(address=self.address).cluster_id.hex())
        except AuthenticationError:
            return None

    def _asked(self, connection: socket.socket) -> Standing:
        try:
            answers = uses_tls() or _greeted(connection)
        except OSError:
            answers = False
        if not answers:
            self._is_sure = False
            return Standing.SILENT
        if not self._is_sure and self._cluster is not None:
            try:
                if self.cluster_there() != self._cluster:
                    return Standing.ANOTHER
            except (RayError, RuntimeError, OSError, ValueError):
                return Standing.SILENT
        self._is_sure = True
        return Standing.HERE


def _greeted(connection: socket.socket) -> bool:
    connection.sendall(GREETING + _ACKNOWLEDGED)
    return is_answer(connection.recv(9))
