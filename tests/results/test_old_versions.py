"""Runs of older versions stay readable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from tune_lpc.results import export

OLD = Path(__file__).parents[1] / "journals" / "version-0.1.0"
ADDED: dict[str, dict[str, list[object]]] = {
    "trials.parquet": {"repeat_of": [None] * 6, "best.train_extra": [None] * 6, "last.train_extra": [None] * 6},
    "epochs.parquet": {"train_extra": [None] * 48},
    "best.parquet": {
        "low": [0.9219, 0.9219, 0.1241, None, None, None],
        "high": [0.981, 0.981, 0.2341, None, None, None],
        "seeds": [1] * 6,
        "diverged_seeds": [0] * 6,
        "tied": [True, True, False, False, False, False],
        "front": [None] * 6,
        "regularisers": [0, 2, 2, 1, 1, 1],
    },
    "rungs.parquet": {"promoted": [False] * 6},
    "fidelity.parquet": {},
}
"""What the columns that a later version added, those of settings aside, say of the run: every config had one seed, its
interval is that of its images (180), and a rung let nobody go on who had been left."""


def rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def test_a_run_of_version_0_1_0_gives_the_tables_that_it_gave_then(tmp_path: Path) -> None:
    shutil.copyfile(OLD / "finished" / "journal.jsonl", tmp_path / "journal.jsonl")
    assert export(tmp_path).damaged == []
    for name, expected in ADDED.items():
        before, now = pq.read_table(OLD / "finished" / name), pq.read_table(tmp_path / name)
        if name == "best.parquet":
            # Trials 0 and 2 have the same score: the lower loss came first then, now the lower number does.
            before = before.take([1, 0, 2, 3, 4, 5]).set_column(0, "rank", before["rank"])
        assert now.select(before.column_names).equals(before), name
        added = now.drop_columns(before.column_names)
        settings = [column for column in added.column_names if column.startswith("config.")]
        assert all(added[column].null_count == len(added) for column in settings)
        others = {column: added[column].to_pylist() for column in added.column_names if column not in settings}
        assert {column: [rounded(value) for value in values] for column, values in others.items()} == expected, name
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
