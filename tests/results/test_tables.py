from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.results.runs import RUN, Search, record
from tune_lpc.results import export, tables
from tune_lpc.results.agreement import agreement


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def plain_rows(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows, with None for each null."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in frame.to_dict("records")
    ]


def trial_rows(search: Search) -> list[dict[Any, Any]]:
    return plain_rows(export(search.directory).trials)


def ranking(search: Search) -> list[str]:
    best = export(search.directory).best
    assert best["rank"].tolist() == list(range(1, len(best) + 1))
    return list(best["trial_id"])


def test_the_full_budget_comes_first_then_more_epochs_then_the_score(search: Search) -> None:
    long_low = search.trial([0.9, 0.5, 0.4], "stopped")
    full_low = search.trial([0.1, 0.1, 0.1, 0.2])
    short = search.trial([0.99], "stopped")
    long_high = search.trial([0.1, 0.1, 0.6], "stopped")
    full_high = search.trial([0.1, 0.1, 0.1, 0.3])
    assert ranking(search) == [full_high, full_low, long_high, long_low, short]


def test_the_last_score_decides_not_the_best(search: Search) -> None:
    peak = search.trial([0.99, 0.1, 0.1, 0.5])
    steady = search.trial([0.6, 0.6, 0.6, 0.6])
    assert ranking(search) == [steady, peak]
    best = export(search.directory).best
    assert best["score"].tolist() == [0.6, 0.5]
    assert best["best_epoch"].tolist() == [1, 1]
    assert best["best.validation_accuracy"].tolist() == [0.6, 0.99]
    assert best["epochs"].tolist() == [4, 4]


def test_ties_go_to_the_lower_number_whatever_the_loss(search: Search) -> None:
    losses = {search.start(epochs=1): loss for loss in (None, 0.7, 0.3, 0.7)}
    for trial_id, loss in losses.items():
        search.epoch(trial_id, 1, 0.5, budget=1, validation_loss=loss)
        search.end(trial_id)
    assert ranking(search) == ["t000", "t001", "t002", "t003"]


def test_ties_below_the_full_budget_follow_the_same_rule(search: Search) -> None:
    for loss in (0.7, 0.3, 0.7):
        search.epoch(search.start(), 1, 0.5, validation_loss=loss)
    assert ranking(search) == ["t000", "t001", "t002"]


def test_an_interrupted_trial_is_ranked_by_what_it_reached(search: Search) -> None:
    stopped = search.trial([0.1, 0.5], "stopped")
    running = search.trial([0.1, 0.4, 0.3], None)
    done_but_for_its_end = search.trial([0.1, 0.1, 0.1, 0.2], None)
    assert ranking(search) == [done_but_for_its_end, running, stopped]


def test_diverged_failed_and_scoreless_trials_are_not_ranked(search: Search) -> None:
    search.trial([0.9, 0.9, 0.9, 0.9], "diverged")
    search.trial([0.9, 0.9, 0.9, 0.9], "failed")
    search.trial([0.9, 0.9, 0.9, None])
    search.trial([], "stopped")
    killed_while_diverging = search.start()
    search.epoch(killed_while_diverging, 1, 0.9, diverged="train_loss is nan")
    good = search.trial([0.1], "stopped")
    assert ranking(search) == [good]


def test_the_first_of_equal_epochs_is_the_best_one(search: Search) -> None:
    trial_id = search.start()
    for epoch, accuracy in ((1, None), (2, 0.4), (3, 0.7), (4, 0.7)):
        search.epoch(trial_id, epoch, accuracy)
    trials = export(search.directory).trials
    assert trials["best_epoch"].tolist() == [3]
    assert trials["best.gamma"].tolist() == [pytest.approx(3e-3)]
    assert trials["last.gamma"].tolist() == [pytest.approx(4e-3)]


def test_an_epoch_entry_out_of_order_does_not_change_which_is_last(search: Search) -> None:
    trial_id = search.start()
    for epoch in (2, 3, 1):
        search.epoch(trial_id, epoch, epoch / 10)
    trials = export(search.directory).trials
    assert trials["epochs"].tolist() == [3]
    assert trials["last.validation_accuracy"].tolist() == [0.3]


def test_a_trial_without_a_score_has_no_best_epoch(search: Search) -> None:
    search.trial([None, None], None)
    trials = export(search.directory).trials
    assert trials["best_epoch"].tolist() == [pd.NA]
    assert trials["best.gamma"].tolist() == [pd.NA]
    assert trials["last.gamma"].tolist() == [pytest.approx(2e-3)]


# Climbs by complete short runs


def test_a_row_an_epoch_of_a_run_ordered_by_number_budget_and_epoch(search: Search) -> None:
    first, second = search.start(), search.start()
    search.run(second, 2, [0.1, 0.2])
    search.run(first, 4, [0.3])
    search.run(first, 2, [0.4, 0.5])
    epochs = export(search.directory).epochs
    assert epochs["trial_id"].tolist() == [first, first, first, second, second]
    assert epochs["budget"].tolist() == [2, 2, 4, 2, 2]
    assert epochs["epoch"].tolist() == [1, 2, 1, 1, 2]
    assert epochs["validation_accuracy"].tolist() == [0.4, 0.5, 0.3, 0.1, 0.2]


def test_a_trial_tells_of_its_longest_run_and_counts_all(search: Search) -> None:
    climbed = search.start()
    search.run(climbed, 1, [0.9])
    search.run(climbed, 2, [0.8, 0.7])
    search.run(climbed, 4, [0.6, 0.5, 0.55, 0.4])
    cut_off = search.start()
    search.run(cut_off, 1, [0.9])
    search.run(cut_off, 2, [0.3])
    begun = search.start(control=True)
    rows = trial_rows(search)
    assert [row["trial_id"] for row in rows] == [climbed, cut_off, begun]
    assert [row["budget"] for row in rows] == [4, 2, None]
    assert [row["epochs"] for row in rows] == [4, 1, 0]
    assert [row["epochs_trained"] for row in rows] == [7, 2, 0]
    assert [row["best_epoch"] for row in rows] == [1, 1, None]
    assert [row["best.validation_accuracy"] for row in rows] == [0.6, 0.3, None]
    assert [row["last.validation_accuracy"] for row in rows] == [0.4, 0.3, None]
    assert [row["seconds"] for row in rows] == [14.0, 4.0, 0.0]
    assert [row["control"] for row in rows] == [False, False, True]


def test_a_climb_is_ranked_by_its_longest_finished_run(search: Search) -> None:
    # In the middle of its run of 4 epochs this one shines, but no ramp is up yet: its run of 2 counts.
    in_the_middle = search.start()
    search.run(in_the_middle, 1, [0.1])
    search.run(in_the_middle, 2, [0.1, 0.3])
    search.run(in_the_middle, 4, [0.99, 0.99, 0.99])
    stopped = search.start()
    search.run(stopped, 1, [0.2])
    search.run(stopped, 2, [0.6, 0.4])
    search.end(stopped, "stopped")
    low = search.start()
    search.run(low, 1, [0.98])
    search.end(low, "stopped")
    full = search.start()
    search.run(full, 4, [0.1, 0.1, 0.1, 0.05])
    search.end(full)
    unfinished = search.start()
    search.run(unfinished, 2, [0.97])
    assert ranking(search) == [full, stopped, in_the_middle, low]
    best = export(search.directory).best
    assert best["score"].tolist() == [0.05, 0.4, 0.3, 0.98]
    assert best["budget"].tolist() == [4, 2, 2, 1]
    assert best["epochs"].tolist() == [4, 2, 2, 1]
    assert best["best_epoch"].tolist() == [1, 1, 2, 1]
    assert best["best.validation_accuracy"].tolist() == [0.1, 0.6, 0.3, 0.98]


def test_a_climb_that_diverged_after_a_finished_run_is_not_ranked(search: Search) -> None:
    for status in ("diverged", None):
        trial_id = search.start()
        search.run(trial_id, 1, [0.9])
        search.epoch(trial_id, 1, None, budget=4, diverged="train_loss became nan in epoch 1")
        if status:
            search.end(trial_id, status)
    assert ranking(search) == []
    assert [row["last.diverged"] for row in trial_rows(search)] == ["train_loss became nan in epoch 1"] * 2


def test_epochs_done_again_and_restarts_are_counted(search: Search) -> None:
    trial_id, other = search.start(), search.start()
    for seconds in (2.0, 3.0, 5.0):
        search.epoch(trial_id, 1, 0.5, budget=1, seconds=seconds)
        search.journal.append("trial_restarted", trial_id=trial_id, reason="its worker was lost")
    search.epoch(trial_id, 1, 0.5, budget=4)
    search.epoch(other, 1)
    row, untouched = trial_rows(search)
    assert (row["epochs_trained"], row["epochs_repeated"], row["restarts"], row["seconds"]) == (2, 2, 3, 12.0)
    assert (untouched["epochs_trained"], untouched["epochs_repeated"], untouched["restarts"]) == (1, 0, 0)


def test_an_epoch_told_twice_was_trained_once(search: Search) -> None:
    # A trial that goes on from a checkpoint tells the checkpoint's epoch again, the very same record.
    trial_id = search.start()
    for _ in range(2):
        search.epoch(trial_id, 1, 0.5)
    (row,) = trial_rows(search)
    assert (row["epochs_trained"], row["epochs_repeated"], row["seconds"]) == (1, 0, 2.0)


def test_a_record_from_before_there_were_budgets_belongs_to_the_full_one(search: Search) -> None:
    trial_id = search.start()
    old = record(1)
    del old["budget"]
    search.journal.append("epoch", trial_id=trial_id, record=old)
    tables = export(search.directory)
    assert tables.epochs["budget"].tolist() == [4]
    assert ranking(search) == [trial_id]


# Measures


def test_measures_belong_to_the_last_epoch_of_the_full_budget(search: Search) -> None:
    search.journal.append("run_started", run={**RUN, "measures": {"nc1": "collapse", "nc2": "angles"}})
    measured = {"values": {"nc1": 0.25, "nc2": None}, "reasons": {"nc2": "the means coincide"}}
    whole, cut_off, stopped, bare = (search.start() for _ in range(4))
    for trial_id in (whole, cut_off):
        for epoch in (1, 2, 3):
            search.epoch(trial_id, epoch)
        search.journal.append("measures", trial_id=trial_id, **measured)
    search.epoch(whole, 4)
    search.epoch(stopped, 1)
    search.run(bare, 4, [0.1, 0.2, 0.3, 0.4])
    rows = trial_rows(search)
    assert [row["measure.nc1"] for row in rows] == [0.25, None, None, None]
    assert [row["measure.nc1.reason"] for row in rows] == [
        None,
        "its last epoch is not recorded",
        "the trial did not train its full budget",
        "not taken",
    ]
    assert rows[0]["measure.nc2.reason"] == "the means coincide"


# Placements


def test_a_row_a_stay_on_a_worker_tells_where_and_in_which_session(search: Search) -> None:
    first, second, _ = search.start(), search.start(), search.start()
    search.placed(second)
    search.placed(first)
    search.journal.append("run_resumed", command="again", started="2026-11-26", left_out=[], session={})
    search.placed(first, continued_from=(4, 2), processes=2)
    export(search.directory)
    placements = pd.read_parquet(search.directory / "placements.parquet", dtype_backend="numpy_nullable")
    names = ["trial_id", "number", "session", "host", "pid", "from_budget", "from_epoch", "processes"]
    assert plain_rows(placements) == [
        dict(zip(names, values, strict=True))
        for values in (
            (first, 0, 0, "here", 7, None, None, 1),
            (first, 0, 1, "here", 7, 4, 2, 2),
            (second, 1, 0, "here", 7, None, None, 1),
        )
    ]


# Rungs and what they foretell


def test_a_row_a_rung_in_order_of_the_journal_and_the_first_of_equals_stands(search: Search) -> None:
    first, second = search.start(), search.start(control=True)
    search.rung(second, 1, 0.5, rank=1, of=1, control=True)
    search.rung(first, 1, None, rank=2, of=2, goes_on=False)
    search.rung(second, 2, 0.75)
    search.rung(first, 1, 0.9, rank=1, of=3, goes_on=True)
    names = ["trial_id", "number", "rung", "score", "rank", "of", "goes_on", "control", "promoted"]
    assert plain_rows(export(search.directory).rungs) == [
        dict(zip(names, values, strict=True))
        for values in (
            (second, 1, 1, 0.5, 1, 1, True, True, False),
            (first, 0, 1, None, 2, 2, False, False, False),
            (second, 1, 2, 0.75, 1, 1, True, False, False),
        )
    ]


def test_a_rung_of_a_trial_without_its_start_is_left_out(search: Search) -> None:
    search.rung("lost", 1, 0.5)
    tables = export(search.directory)
    assert tables.rungs.empty
    assert tables.damaged == ["trial lost is left out: its start entry is missing (1 entry)"]


def controls(search: Search, at_rung: list[float], final: list[float | None]) -> None:
    for score, last in zip(at_rung, final, strict=True):
        trial_id = search.start(control=True)
        search.run(trial_id, 1, [score])
        search.rung(trial_id, 1, score, control=True)
        search.run(trial_id, 4, [0.1, 0.2, 0.3])
        search.epoch(trial_id, 4, last, diverged=None if last is not None else "train_loss became nan in epoch 4")
        search.end(trial_id, "diverged" if last is None else "completed")


def test_what_a_rung_foretells_comes_from_the_control_trials_alone(search: Search) -> None:
    at_rung, final = [0.1, 0.9, 0.5, 0.3, 0.7], [0.4, 0.8, 0.9, 0.3, None]
    controls(search, at_rung, final)
    # Neither of these says anything: one is no control trial, one has not reached its end, one has no score there.
    search.rung(search.trial([0.9, 0.9, 0.9, 0.0]), 1, 0.99)
    search.rung(search.trial([0.9], None), 1, 0.0, control=True)
    search.rung(search.start(control=True), 2, 0.5, control=True)
    search.rung(search.trial([None], "diverged"), 1, None, control=True)
    fidelity = export(search.directory).fidelity
    expected = agreement(at_rung, final, reduction_factor=3)
    assert fidelity["rung"].tolist() == [1, 2]
    assert fidelity["trials"].tolist() == [5, 0]
    assert fidelity["spearman"].tolist() == [expected.spearman, pd.NA]
    assert fidelity["kept"].tolist() == [expected.kept, pd.NA]
    assert fidelity["regret"].tolist() == [expected.regret, pd.NA]
    assert None not in (expected.spearman, expected.kept, expected.regret)


def test_the_reduction_factor_of_the_space_decides_who_is_kept(search: Search) -> None:
    at_rung, final = [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.9]
    controls(search, at_rung, final)
    for factor in (2, 4):
        search.journal.append("run_started", run={**RUN, "space": {"reduction_factor": factor}})
        (kept,) = export(search.directory).fidelity["kept"]
        assert kept == agreement(at_rung, final, factor).kept
    assert agreement(at_rung, final, 2).kept != agreement(at_rung, final, 4).kept


def test_without_control_trials_nothing_is_foretold(search: Search) -> None:
    search.rung(search.trial([0.1, 0.2, 0.3, 0.4]), 1, 0.1)
    assert export(search.directory).fidelity.empty


def test_without_the_reduction_factor_nothing_is_foretold(search: Search) -> None:
    controls(search, [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    search.journal.append("run_started", run={})
    assert export(search.directory).fidelity.empty


def test_tables_made_in_several_blocks_are_the_same(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        search.trial([0.1, 0.1, 0.1, number / 10])
    whole = export(search.directory)
    files = {path.name: path.read_bytes() for path in search.directory.glob("*.parquet")}
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 3)
    again = export(search.directory)
    assert (len(again.trials), len(again.epochs), len(again.best)) == (7, 28, 7)
    assert again.epochs.equals(whole.epochs)
    assert {path.name: path.read_bytes() for path in search.directory.glob("*.parquet")} == files
