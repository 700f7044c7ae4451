from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars
import pyarrow.parquet as pq
import pytest

from tests.results.runs import LPC, RUN, SGD, TOPOLOGICAL, Search, front_search, largest_file, record
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.plan.record import EpochRecord, record_fields
from tune_lpc.plan.trial import setting_names, setting_type
from tune_lpc.results import Tables, export, read_journal
from tune_lpc.results import tables as tables_module

TABLES = ("trials.parquet", "epochs.parquet", "best.parquet", "rungs.parquet", "fidelity.parquet", "placements.parquet")
FILES = (*TABLES, "manifest.json")


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def frames(tables: Tables) -> dict[str, pd.DataFrame]:
    """What `export` gives back, by file; placements are in their file alone."""
    of = {"trials": tables.trials, "epochs": tables.epochs, "best": tables.best}
    of |= {"rungs": tables.rungs, "fidelity": tables.fidelity}
    return {f"{name}.parquet": frame for name, frame in of.items()}


def row(frame: pd.DataFrame, trial_id: str) -> dict[Any, Any]:
    (found,) = (row for row in frame.to_dict("records") if row["trial_id"] == trial_id)
    return found


def small_search(search: Search) -> None:
    search.trial([0.1, 0.9, 0.9, 0.8], **LPC)
    search.trial([0.2], "stopped", **TOPOLOGICAL)
    search.trial([], "failed", **SGD)
    search.trial([0.3, 0.4], None)


def test_the_front_has_a_file_where_there_are_several_objectives_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = Search(tmp_path / "one"), front_search(tmp_path / "two")
    one.trial([0.5] * 4)
    assert export(one.directory).front.empty
    assert not (one.directory / "front.parquet").exists()
    front = export(two.directory).front
    assert front.to_dict("records") == [
        {"trial_id": "t002", "number": 2, "epochs": 12, "configs": 3, "on_front": 2, "hypervolume": 0.375}
    ]
    assert pq.read_table(two.directory / "front.parquet").num_rows == 1


def test_the_ranking_has_the_front_and_the_objectives(tmp_path: Path) -> None:
    best = export(front_search(tmp_path).directory).best
    assert best["number"].tolist() == [0, 2, 1, 3]
    assert best["front"].tolist() == [1, 1, 2, pd.NA]
    assert best["objective.nc1"].tolist() == [2.0, 0.125, 4.0, 0.01]
    assert best["objective.validation_accuracy"].tolist() == best["score"].tolist()


# What the tables hold


def test_a_row_a_trial_with_its_end(search: Search) -> None:
    small_search(search)
    trials = export(search.directory).trials
    assert trials["trial_id"].tolist() == ["t000", "t001", "t002", "t003"]
    assert trials["number"].tolist() == [0, 1, 2, 3]
    assert trials["status"].tolist() == ["completed", "stopped", "failed", "interrupted"]
    assert trials["reason"].tolist() == ["it completed", "it stopped", "it failed", pd.NA]
    assert trials["epochs"].tolist() == [4, 1, 0, 2]
    assert trials["seconds"].tolist() == [8.0, 2.0, 0.0, 4.0]
    assert trials["best_epoch"].tolist() == [2, 1, pd.NA, 2]


def test_best_and_last_hold_the_whole_record_of_their_epoch(search: Search) -> None:
    small_search(search)
    trial = row(export(search.directory).trials, "t000")
    for prefix, epoch, accuracy in (("best", 2, 0.9), ("last", 4, 0.8)):
        expected = record(epoch, accuracy)
        del expected["budget"], expected["epoch"]
        found = {name: trial[f"{prefix}.{name}"] for name in expected}
        assert {name: None if pd.isna(value) else value for name, value in found.items()} == expected


def test_a_row_an_epoch_ordered_by_number_then_epoch(search: Search) -> None:
    first, second = search.start(), search.start()
    for trial_id, epoch in ((second, 1), (first, 1), (second, 2), (first, 2)):
        search.epoch(trial_id, epoch, accuracy=epoch / 10)
    epochs = export(search.directory).epochs
    assert epochs["trial_id"].tolist() == [first, first, second, second]
    assert epochs["number"].tolist() == [0, 0, 1, 1]
    assert epochs["epoch"].tolist() == [1, 2, 1, 2]
    assert epochs["validation_accuracy"].tolist() == [0.1, 0.2, 0.1, 0.2]


def test_trials_are_ordered_by_number_not_by_the_journal(search: Search) -> None:
    config = TrialSpec.build({}).as_dict()
    for number in (2, 0, 1):
        search.journal.append("trial_started", trial_id=f"x{number}", number=number, config=config)
    assert export(search.directory).trials["trial_id"].tolist() == ["x0", "x1", "x2"]


def test_an_epoch_done_again_counts_once_and_the_later_one_wins(search: Search) -> None:
    trial_id = search.start()
    search.epoch(trial_id, 1, 0.1)
    search.epoch(trial_id, 2, 0.9)
    search.epoch(trial_id, 2, 0.3)
    search.epoch(trial_id, 3, 0.2)
    tables = export(search.directory)
    assert tables.epochs["validation_accuracy"].tolist() == [0.1, 0.3, 0.2]
    trial = row(tables.trials, trial_id)
    assert (trial["epochs"], trial["best_epoch"], trial["seconds"]) == (3, 2, 8.0)
    assert trial["best.validation_accuracy"] == 0.3


def test_a_trial_that_starts_again_has_no_end_until_it_ends_again(search: Search) -> None:
    trial_id = search.trial([0.1], "failed")
    config = TrialSpec.build({}).as_dict()
    search.journal.append("trial_started", trial_id=trial_id, number=0, config=config)
    trial = row(export(search.directory).trials, trial_id)
    assert (trial["status"], trial["epochs"]) == ("interrupted", 1)
    search.epoch(trial_id, 2)
    search.end(trial_id, "stopped", "rung 2")
    trial = row(export(search.directory).trials, trial_id)
    assert (trial["status"], trial["reason"], trial["epochs"]) == ("stopped", "rung 2", 2)


def test_nan_becomes_null_and_is_never_best(search: Search) -> None:
    trial_id = search.start()
    search.epoch(trial_id, 1, 0.4)
    search.epoch(trial_id, 2, math.nan, train_loss=math.inf, diverged="train_loss is inf", seconds=math.nan)
    search.end(trial_id, "diverged", "train_loss is inf")
    tables = export(search.directory)
    assert tables.epochs["validation_accuracy"].tolist() == [0.4, pd.NA]
    assert tables.epochs["train_loss"].isna().tolist() == [False, True]
    trial = row(tables.trials, trial_id)
    assert (trial["best_epoch"], trial["seconds"], trial["last.diverged"]) == (1, 2.0, "train_loss is inf")


def test_null_only_where_there_is_no_value(search: Search) -> None:
    small_search(search)
    trials = export(search.directory).trials
    without_effect = {
        "t000": {name for name, value in TrialSpec.build({**LPC}).as_dict().items() if value is None},
        "t001": {name for name, value in TrialSpec.build({**TOPOLOGICAL}).as_dict().items() if value is None},
        "t002": {name for name, value in TrialSpec.build({**SGD}).as_dict().items() if value is None},
        "t003": {name for name, value in TrialSpec.build({}).as_dict().items() if value is None},
    }
    never = {"train_topological", "train_extra", "beta", "diverged"}
    first_trials = {"repeat_of"}
    every = {field.name for field in record_fields()} - {"budget", "epoch"}
    for trial_id, names in without_effect.items():
        expected = {f"config.{name}" for name in names} | first_trials
        missing = every if trial_id == "t002" else never
        expected |= {f"{prefix}.{name}" for prefix in ("best", "last") for name in missing}
        expected |= {"budget", "best_epoch"} if trial_id == "t002" else set()
        expected |= {"reason"} if trial_id == "t003" else set()
        nulls = {column for column, value in row(trials, trial_id).items() if pd.isna(value)}
        assert nulls == expected


def test_values_keep_their_types_and_every_digit(search: Search) -> None:
    settings: dict[str, Any] = {
        "learning_rate": 0.1 + 0.2,
        "train_size": 250,
        "seed": 2**31 - 1,
        **SGD,
        "momentum": 0.9,
    }
    trial_id = search.trial([1 / 3], **settings)
    trials = export(search.directory).trials
    trial = row(trials, trial_id)
    expected = {name: value for name, value in settings.items() if name != "nesterov"}
    assert {name: trial[f"config.{name}"] for name in expected} == expected
    assert trial["config.nesterov"] is True
    assert trial["last.validation_accuracy"] == 1 / 3
    kinds = {int: "Int64", float: "Float64", bool: "boolean", str: "string"}
    for name in setting_names():
        assert str(trials[f"config.{name}"].dtype) == kinds[setting_type(name)], name


def test_frames_equal_the_files(search: Search) -> None:
    small_search(search)
    tables = export(search.directory)
    for name, frame in frames(tables).items():
        file = pd.read_parquet(search.directory / name, dtype_backend="numpy_nullable")
        pd.testing.assert_frame_equal(frame, file)


def test_a_run_without_trials_gives_readable_files_with_all_columns(tmp_path: Path) -> None:
    full = tmp_path / "full"
    empty = tmp_path / "empty"
    for directory in (full, empty):
        directory.mkdir()
    search = Search(full)
    small_search(search)
    search.rung("t001", 1, 0.2)
    search.placed("t001")
    Search(empty)
    export(full)
    tables = export(empty)
    assert [len(frame) for frame in frames(tables).values()] == [0, 0, 0, 0, 0]
    for name in TABLES:
        assert pq.read_table(empty / name).num_rows == 0
        assert pq.read_schema(empty / name).equals(pq.read_schema(full / name), check_metadata=True)


# What other tools read


@pytest.mark.parametrize("trials", [0, 4])
def test_polars_and_duckdb_read_every_file_with_its_types(search: Search, trials: int) -> None:
    if trials:
        small_search(search)
        search.placed("t001")
    tables = export(search.directory)
    lengths = {name: len(frame) for name, frame in frames(tables).items()} | {"placements.parquet": min(trials, 1)}
    kinds = {
        "int64": (polars.Int64, "BIGINT"),
        "double": (polars.Float64, "DOUBLE"),
        "bool": (polars.Boolean, "BOOLEAN"),
        "string": (polars.String, "VARCHAR"),
    }
    for name in TABLES:
        path = search.directory / name
        expected = {field.name: kinds[str(field.type)] for field in pq.read_schema(path)}
        in_polars = polars.read_parquet(path)
        assert dict(in_polars.schema) == {column: kind for column, (kind, _) in expected.items()}
        assert in_polars.height == lengths[name]
        in_duckdb = duckdb.sql(f"select * from '{path}'")
        assert dict(zip(in_duckdb.columns, map(str, in_duckdb.types), strict=True)) == {
            column: kind for column, (_, kind) in expected.items()
        }
        assert len(in_duckdb.fetchall()) == lengths[name]
    if trials:
        query = (
            f"""select avg("config.learning_rate") from '{search.directory / FILES[0]}' where "config.beta" is null"""
        )
        assert duckdb.sql(query).fetchall() == [(pytest.approx(1e-3),)]


def test_the_run_travels_in_the_metadata_of_every_file(search: Search) -> None:
    search.trial([0.5])
    export(search.directory)
    for name in TABLES:
        metadata = pq.read_schema(search.directory / name).metadata
        assert metadata[b"tune_lpc.schema"] == b"2"
        assert json.loads(metadata[b"tune_lpc.run"]) == RUN


# Damage and failure


def test_a_damaged_epoch_is_left_out_and_named(search: Search) -> None:
    search.trial([0.1, 0.2, 0.3, 0.4])
    path = search.directory / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"epoch":2', b'"epoch":7')
    path.write_bytes(b"".join(lines) + lines[2][:30])
    tables = export(search.directory)
    assert tables.epochs["epoch"].tolist() == [1, 3, 4]
    trial = row(tables.trials, "t000")
    assert (trial["status"], trial["epochs"], trial["last.validation_accuracy"]) == ("completed", 4, 0.4)
    assert [line.split(":")[0] for line in tables.damaged] == ["line 4 is damaged", "line 8 is cut off"]


def test_a_trial_without_its_start_is_left_out_and_named(search: Search) -> None:
    search.trial([0.1, 0.2])
    search.trial([0.3])
    path = search.directory / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[1]
    path.write_bytes(b"".join(lines))
    tables = export(search.directory)
    assert tables.trials["trial_id"].tolist() == ["t001"]
    assert tables.epochs["trial_id"].tolist() == ["t001"]
    assert tables.damaged == ["trial t000 is left out: its start entry is missing (3 entries)"]


def test_unknown_kinds_and_fields_are_passed_over(search: Search) -> None:
    trial_id = search.start()
    search.journal.append("weather", trial_id=trial_id, verdict="promoted")
    search.epoch(trial_id, 1, deepfool=0.1)
    tables = export(search.directory)
    assert len(tables.epochs) == 1
    assert tables.damaged == []


@pytest.mark.parametrize("size", [0, 2000, 30_000])
def test_a_failing_write_leaves_the_old_files(search: Search, size: int) -> None:
    search.trial([0.5])
    export(search.directory)
    before = {name: (search.directory / name).read_bytes() for name in FILES}
    assert len(before["trials.parquet"]) > 2000
    for number in range(400):
        search.epoch("t000", number + 1, accuracy=1 / (number + 7), mean_norm=math.sin(number), nc1=math.cos(number))
    with largest_file(size), pytest.raises(OSError, match="File too large"):
        export(search.directory)
    assert {name: (search.directory / name).read_bytes() for name in FILES} == before
    assert sorted(path.name for path in search.directory.iterdir()) == sorted([*FILES, "journal.jsonl"])
    assert len(export(search.directory).epochs) == 400


def test_what_a_killed_export_left_is_removed_and_nothing_else(search: Search) -> None:
    search.trial([0.5])
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = [f".{name}.{dead.pid}.part" for name in (*FILES, "run.json")]
    living = [f".trials.parquet.{os.getppid()}.part", f".notes.{dead.pid}.part", ".best.parquet.part", "a.part"]
    for name in (*left, *living):
        (search.directory / name).write_bytes(b"half a file")
    export(search.directory)
    there = sorted(path.name for path in search.directory.iterdir())
    assert there == sorted([*FILES, "journal.jsonl", *living])


def test_who_reads_meanwhile_keeps_a_whole_old_file(search: Search) -> None:
    search.trial([0.5])
    export(search.directory)
    path = search.directory / "trials.parquet"
    before = path.read_bytes()
    with path.open("rb") as reader:
        search.trial([0.6])
        export(search.directory)
        assert reader.read() == before
    assert path.read_bytes() != before


def test_exporting_twice_gives_the_same_and_leaves_the_journal_alone(search: Search) -> None:
    small_search(search)
    journal = (search.directory / "journal.jsonl").read_bytes()
    first, second = export(search.directory), export(search.directory)
    pd.testing.assert_frame_equal(first.trials, second.trials)
    assert (search.directory / "journal.jsonl").read_bytes() == journal


def test_a_folder_without_a_journal_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no run: it has no journal\.jsonl"):
        export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_export_while_the_search_runs_sees_what_is_there(search: Search) -> None:
    trial_id = search.start()
    search.epoch(trial_id, 1)
    assert isinstance(export(search.directory), Tables)
    search.epoch(trial_id, 2)
    assert export(search.directory).epochs["epoch"].tolist() == [1, 2]
    assert len(read_journal(search.directory / "journal.jsonl")[0]) == 4


def test_the_epochs_are_read_from_their_file_when_somebody_asks(search: Search) -> None:
    search.trial([0.1, 0.2])
    tables, asked_too_late = export(search.directory), export(search.directory)
    assert tables.epochs["validation_accuracy"].tolist() == [0.1, 0.2]
    assert tables.epochs is tables.epochs, "once"
    (search.directory / "epochs.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        _ = asked_too_late.epochs


def test_epochs_are_written_a_group_of_trials_at_a_time(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        search.trial([number / 10, None, 0.9, 0.5])
    whole = export(search.directory).epochs
    monkeypatch.setattr(tables_module, "EPOCHS_AT_ONCE", 10)
    again = export(search.directory).epochs
    file = pq.ParquetFile(search.directory / "epochs.parquet")
    groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert groups == [12, 12, 4]
    pd.testing.assert_frame_equal(again, whole)


def test_every_epoch_of_a_large_search_is_exported_in_order(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_module, "EPOCHS_AT_ONCE", 1000)
    config, budgets = TrialSpec.build({"epochs": 9}).as_dict(), (3, 9)
    for number in range(300):
        trial_id = f"t{number:04d}"
        search.journal.append("trial_started", trial_id=trial_id, number=number, config=config, control=False)
        for budget in budgets:
            search.run(trial_id, budget, [0.5] * budget)
    epochs = export(search.directory).epochs
    found = list(zip(epochs["number"], epochs["budget"], epochs["epoch"], strict=True))
    assert found == [(n, budget, epoch) for n in range(300) for budget in budgets for epoch in range(1, budget + 1)]


def test_the_made_up_record_is_a_whole_one() -> None:
    assert list(record(1)) == [field.name for field in record_fields()]
    assert EpochRecord(**record(1)).epoch == 1
