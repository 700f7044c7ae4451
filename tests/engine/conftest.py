"""What the tests of the engine share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.searches import Search, made_up_clock
from tune_lpc.engine import journalling


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """A search on a made-up clock, that loses no time when it waits."""
    monkeypatch.setattr(journalling, "TRY_AGAIN_EVERY", 0.0)
    return Search(tmp_path, made_up_clock(monkeypatch))
