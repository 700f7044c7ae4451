"""What the tests of stored results share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.stores import MemoryStore, Server, server_in_the_environment


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server that stands in for S3, named in the environment, with a cache of the test's own."""
    with server_in_the_environment(monkeypatch, tmp_path) as running:
        yield running
