"""What a page says in words and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.pages.made import made_run
from tests.results.runs import RUN, Search
from tune_lpc.pages.folder import Run, read_run
from tune_lpc.pages.parts import all_trials, best_configs, facts, measures, provenance, state
from tune_lpc.results import export, write_run
from tune_lpc.results.summary import epochs_without_stopping


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read_run(made_run(tmp_path_factory.mktemp("runs") / "run", 30))


def test_the_head_tells_what_was_spent_and_saved_as_the_terminal_does(made: Run) -> None:
    found = dict(facts(made))
    epochs, without = int(made.trials["epochs_trained"].sum()), epochs_without_stopping(made.trials)
    assert found["epochs"] == f"{epochs:,}" and found["configs"] == "30"
    assert found["epochs saved"] == f"{100 * (1 - epochs / without):.0f} %"
    assert found["best score"] == f"{100 * made.best.iloc[0]['score']:.2f} %"


def test_of_the_best_configs_only_what_was_searched_and_has_an_effect_is_told(made: Run) -> None:
    first, *others = best_configs(made)
    row = made.best.iloc[0]
    assert (first.rank, first.trial, first.tied) == (1, row["number"], "")
    assert {value.partition("=")[0] for value in first.values} <= set(made.searched)
    assert ("gamma_end=" in " ".join(first.values)) == pd.notna(row["config.gamma_end"])
    assert {config.tied for config in others} <= {"can't be told from rank 1", "behind rank 1"}


def test_the_table_holds_every_trial_compactly(made: Run) -> None:
    table = all_trials(made)
    columns = {column["name"]: column for column in table["columns"]}
    assert table["count"] == len(made.trials) == len(columns["trial"]["values"])
    status = columns["status"]["values"]
    assert [status["texts"][code] for code in status["codes"]] == made.trials["status"].tolist()
    assert columns["last score"]["digits"] == 4
    json.dumps(table, allow_nan=False)


def test_measures_are_told_of_the_first_places(tmp_path: Path) -> None:
    run = {**RUN, "measures": {"nc1": "within-class variability", "flip": "shortest"}}
    write_run(tmp_path, run)
    search = Search(tmp_path, measures=run["measures"])
    for score, nc1 in ((0.5, 0.25), (0.75, 0.125)):
        trial_id = search.start()
        for epoch in range(1, 4):
            search.epoch(trial_id, epoch, score)
        values = {"nc1": nc1, "flip": None}
        search.journal.append("measures", trial_id=trial_id, values=values, reasons={"flip": "none was found"})
        search.epoch(trial_id, 4, score)
        search.end(trial_id)
    search.journal.close()
    export(tmp_path)
    found = measures(read_run(tmp_path))
    assert found is not None and found.header == ["rank 1", "rank 2"]
    assert list(found.rows) == [
        ("nc1", "within-class variability", ["0.125", "0.25"]),
        ("flip", "shortest", ["none", "none"]),
    ]


def test_without_measures_there_is_no_table_of_them(made: Run) -> None:
    assert measures(made) is None or made.about["measures"]


def test_how_far_the_search_is(tmp_path: Path, made: Run) -> None:
    assert state(made) == "finished"
    write_run(tmp_path, RUN)
    search = Search(tmp_path)
    search.trial([0.5] * 4)
    assert state(read_run(tmp_path)).startswith("still running")
    search.journal.close()
    assert state(read_run(tmp_path)).startswith("was cut off")
    (tmp_path / "journal.jsonl").unlink()
    assert "journal is missing" in state(read_run(tmp_path))


def test_command_versions_and_hashes_are_told(made: Run) -> None:
    found = dict(provenance(made))
    assert found["command"] == "python -m tune_lpc.run made"
    assert found["versions"] == "tune_lpc 0.2.0, torch 2.14.1"
    assert "SHA-256 " + "f" * 64 in found["data"]


@pytest.mark.parametrize("wrong", ["text", 3, None, ["a"]])
def test_a_run_json_of_other_shapes_does_no_harm(wrong: object, made: Run) -> None:
    names = ("data", "git", "versions", "hardware", "seeds", "space", "measures", "resources", "test_openings", "rungs")
    about = {**dict.fromkeys(names, wrong), "rungs": None}
    run = Run(made.directory, about, made.tables)
    assert run.searched == [] and run.objectives == []
    assert all(value for _, value in provenance(run))
    assert all_trials(run)["count"] == len(made.trials)
