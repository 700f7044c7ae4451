"""Each test gets a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that TUNE_LPC_CACHE names during the test."""
    folder = tmp_path / "the_cache"
    monkeypatch.setenv("TUNE_LPC_CACHE", str(folder))
    return folder
