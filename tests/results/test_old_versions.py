"""Runs of older versions stay readable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from tune_lpc.results import export

OLD = Path(__file__).parents[1] / "journals" / "version-0.1.0"
TABLES = ("trials.parquet", "epochs.parquet", "best.parquet", "rungs.parquet", "fidelity.parquet")


def test_a_run_of_version_0_1_0_gives_the_tables_that_it_gave_then(tmp_path: Path) -> None:
    shutil.copyfile(OLD / "finished" / "journal.jsonl", tmp_path / "journal.jsonl")
    assert export(tmp_path).damaged == []
    for name in TABLES:
        before, now = pq.read_table(OLD / "finished" / name), pq.read_table(tmp_path / name)
        assert now.select(before.column_names).equals(before), name
        added = now.drop_columns(before.column_names)
        assert all(column.startswith("config.") for column in added.column_names)
        assert all(column.null_count == len(column) for column in added.columns)
    placements = pq.read_table(tmp_path / "placements.parquet")
    assert placements["number"].to_pylist() == list(range(6))
    assert set(placements["session"].to_pylist()) == {0}


def test_a_killed_run_of_version_0_1_0_is_exported_as_far_as_it_came(tmp_path: Path) -> None:
    shutil.copyfile(OLD / "killed" / "journal.jsonl", tmp_path / "journal.jsonl")
    tables = export(tmp_path)
    assert len(tables.epochs) == 60
    assert "interrupted" in set(tables.trials["status"])
    assert tables.best["rank"].tolist() == list(range(1, len(tables.best) + 1))
    assert len(tables.best) > 0
