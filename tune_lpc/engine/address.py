"""The address of a cluster that a user names: whether a Ray is there to join. Ray itself would try for minutes."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

ANSWER_SECONDS = 10.0
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
"""How a client of gRPC begins (RFC 9113, 3.4): the preface and empty settings."""
_SETTINGS = 4
"""The type of the frame that a server of gRPC answers with, its fourth byte."""


def address_problems(address: str | None) -> list[str]:
    """Why no Ray answers at `address`: `auto` or HOST:PORT; none for a Ray of our own."""
    if address in (None, "local"):
        return []
    if address != "auto":
        return _foreign(address or "") or _problems(address or "", f"--address {address}")
    told = os.environ.get("RAY_ADDRESS")
    if told is not None and told not in ("auto", "local", ""):
        return _problems(told, f"RAY_ADDRESS {told}, which --address auto goes by,")
    found = _of_this_machine()
    if found is None:
        return ["--address is auto, but no Ray runs on this machine; start one, or name its HOST:PORT"]
    return _problems(found, f"{found}, where --address auto found the last Ray of this machine,")


def answer_problems(address: str) -> list[str]:
    """Why no Ray answers at HOST:PORT."""
    return _problems(address, address)


def uses_tls() -> bool:
    """Whether Ray speaks TLS, where it is told to."""
    return os.environ.get("RAY_USE_TLS", "0") == "1"


def is_answer(begins: bytes) -> bool:
    """Whether it is a server of gRPC whose answer to the greeting begins so, with the nine bytes before a frame."""
    return len(begins) > 3 and begins[3] == _SETTINGS


def host_and_port(address: str) -> str:
    """HOST:PORT of the Ray that an address names which has no problems."""
    if address != "auto":
        return address
    told = os.environ.get("RAY_ADDRESS")
    return (told if told not in (None, "auto", "local", "") else _of_this_machine()) or address


def _foreign(address: str) -> list[str]:
    """Addresses of other doors of a cluster, with what goes in there."""
    scheme, _, rest = address.partition("://")
    host = rest.partition("/")[0].rpartition(":")[0] or rest
    if scheme == "ray":
        return [
            f"--address {address} is for Ray's client, which can't carry a search; join a node of the cluster on this "
            f"machine with --address {host}:6379, or send the search there with python -m tune_lpc.submit SPACE "
            f"--address http://{host}:8265"
        ]
    if scheme in ("http", "https"):
        return [
            f"--address {address} is the address of tune_lpc.submit, which sends a search to the cluster: python -m "
            f"tune_lpc.submit SPACE --address {address}; to join the cluster from a node of it give HOST:6379"
        ]
    return []


def _of_this_machine() -> str | None:
    """Where the Ray was started last on this machine; Ray keeps that in a file."""
    for folder in (os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp"):
        if folder:
            try:
                return (Path(folder) / "ray" / "ray_current_cluster").read_text().strip() or None
            except OSError:
                continue
    return None


def _problems(address: str, told: str) -> list[str]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 2**16:
        return [f"{told} is {address!r}, but must be auto or HOST:PORT".replace(f" {address} is", " is", 1)]
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS) as connection:
            if uses_tls():
                return []  # it would not understand the greeting
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(GREETING)
            answer = connection.recv(9)
    except TimeoutError:
        return [f"{told} can't be joined: it does not answer in {ANSWER_SECONDS:.0f} s; is Ray running there?"]
    except OSError as error:
        return [f"nothing can be joined at {told} ({error}); is Ray running there?"]
    if is_answer(answer):
        return []
    if answer.startswith((b"HTTP/", b"<")):
        return [f"{told} is a web server, as Ray's dashboard is (port 8265); give the port of Ray itself, usually 6379"]
    return [f"{told} can't be joined: what answers there is not Ray; give the port of Ray itself, usually 6379"]
