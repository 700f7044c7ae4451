"""A folder of a run, and what opens it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.search.folders import IDENTITY, Made
from tune_lpc.search.opening import OpenRun, open_run


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """Opens the run in a folder to go on with it; closes it in the end."""
    runs = []

    def open_one(resume: bool = True, **changes: Any) -> OpenRun:
        runs.append(open_run(tmp_path / "run", replace(IDENTITY, **changes), resume=resume))
        return runs[-1]

    yield open_one
    for one in runs:
        one.close()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "run")
