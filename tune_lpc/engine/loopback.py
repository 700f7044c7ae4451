"""A Ray that is started here listens on this machine alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ray._private import ray_constants
from ray.util import get_node_ip_address

_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_ANSWER_SECONDS = 5.0


@contextmanager
def on_loopback() -> Iterator[None]:
    """Within, every process of a Ray that is started binds its ports to 127.0.0.1, where else it takes all interfaces.

    Ray has that for other systems, whose firewalls would ask. It reads the variable when it is imported: so the
    processes that it starts do, and for this one, which has imported Ray, the same is said by its constant. A Ray that
    is joined must be reached from other machines, so nothing stays afterwards.
    """
    before, was_enabled = os.environ.get(_SWITCH), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[_SWITCH] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was_enabled
        os.environ.pop(_SWITCH, None)
        os.environ.update({} if before is None else {_SWITCH: before})


def is_on_loopback_alone(address: str) -> bool:
    """Whether the Ray at HOST:PORT is one that was started `on_loopback`: it can be joined in no other way.

    For Ray 127.0.0.1 is but another name for the address that this machine has in its network.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit() or not (host == "localhost" or host.startswith("127.")):
        return False
    try:
        socket.create_connection((get_node_ip_address(), int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError:
        return True
    return False
