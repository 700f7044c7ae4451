"""A Ray that is started here listens on this machine alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ray._private import ray_constants

_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


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
