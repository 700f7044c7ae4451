"""Where compiled kernels are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from tune_lpc.training.fast import compiling
from tune_lpc.training.fast.compiling import compiled

ROOT = Path(__file__).parents[3]
EXACT: frozenset[str] = frozenset()
WORKER = """
import numpy
import torch
from tune_lpc.training.fast import h0
from tune_lpc.training.persistence import h0_deaths
torch.set_num_threads(1)
print(h0_deaths(torch.tensor([[[0.0], [3.0], [1.0]]])).tolist())
print("from the cache:", sum(h0._trees_kernel(numpy.dtype("float32"), "l2").stats.cache_hits.values()))
"""


def _doubled(values: Any) -> None:
    for place in range(len(values)):
        values[place] *= 2


def _check_doubling() -> None:
    values = np.arange(3.0)
    compiled(_doubled, "void(float64[::1])", EXACT)(values)
    assert values.tolist() == [0, 2, 4]


@pytest.mark.slow
def test_workers_that_start_together_compile_once(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment["TUNE_LPC_CACHE"] = str(tmp_path)
    command = [sys.executable, "-c", WORKER]
    workers = [
        subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    printed = []
    try:
        for worker in workers:
            output, errors = worker.communicate(timeout=240)
            assert worker.returncode == 0, errors
            printed.append(output.splitlines())
    finally:
        for worker in workers:
            worker.kill()
    assert [lines[0] for lines in printed] == ["[[1.0, 2.0]]"] * 2
    assert sorted(lines[1] for lines in printed) == ["from the cache: 0", "from the cache: 1"]
    assert len(list((tmp_path / "compiled").rglob("*.nbc"))) == 1


def test_numbas_own_folder_is_used_where_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, ours = tmp_path / "own", tmp_path / "ours"
    monkeypatch.setenv("TUNE_LPC_CACHE", str(ours))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(own))
    _check_doubling()
    assert list(own.rglob("*.nbc")) and not ours.exists()
    assert str(own) == numba.config.CACHE_DIR


def test_the_cache_folder_is_used_where_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    _check_doubling()
    assert list((tmp_path / "compiled").rglob("*.nbc"))
    assert numba.config.CACHE_DIR == ""


def test_a_change_of_what_kernels_share_has_them_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared.py"
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(compiling, "SHARED", shared)
    for text, compilations in (("before", 1), ("after", 2), ("before", 2)):
        shared.write_text(text)
        _check_doubling()
        assert len(list((tmp_path / "compiled").rglob("*.nbc"))) == compilations


def test_a_folder_that_cannot_be_made_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder can be made under a file")
    monkeypatch.setenv("TUNE_LPC_CACHE", str(file))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    _check_doubling()
    assert "compiling for this process alone" in caplog.text
