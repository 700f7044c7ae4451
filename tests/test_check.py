"""The command `python -m tune_lpc.check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.made import made_run
from tune_lpc.check import main


def test_whole_folders_are_said_to_be_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path / "both" / "one", 2)
    made_run(tmp_path / "both" / "other", 3)
    assert main([str(tmp_path / "both")]) == 0
    assert capsys.readouterr().out.count("all files are whole") == 2


def test_all_problems_of_all_folders_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = made_run(tmp_path / "one", 2), made_run(tmp_path / "other", 2)
    (one / "best.parquet").unlink()
    (other / "run.json").write_text("[]")
    assert main([str(one), str(other), str(tmp_path / "none")]) == 2
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert all(line.startswith("error: ") for line in lines) and len(lines) == 3
    assert "best.parquet" in lines[0] and "run.json" in lines[1] and "none" in lines[2]
