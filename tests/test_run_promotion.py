"""A real search whose rungs let trials go on later, and whose best configs are trained with further seeds."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.local_engine import trials_run_here
from tune_lpc.run import main
from tune_lpc.search.seeds import stages

TRIALS, EPOCHS, RUNG = 6, 9, 3
SEARCH = ["digits", "--trials", str(TRIALS), "--epochs", str(EPOCHS), "--seed", "3", "--concurrent", "1"]
SEARCH += ["--fidelity", "truncated", "--set", f"first_rung={RUNG}", "rung_rule=promote", "most_rungs=1"]
SEARCH += ["seeds=3", "seed_splits=true", "score_window=2"]


@dataclass(frozen=True)
class Finished:
    """A search that ended. told: what it printed."""

    folder: Path
    told: str

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def finished(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder, told = tmp_path_factory.mktemp("promotion") / "run", io.StringIO()
    with contextlib.redirect_stdout(told):
        assert main([*SEARCH, "--out", str(folder)]) == 0
    return Finished(folder, told.getvalue())


def test_one_that_goes_on_later_goes_on_from_its_checkpoint_and_trains_no_epoch_twice(finished: Finished) -> None:
    rungs, places, trials = (finished.table(name) for name in ("rungs", "placements", "trials"))
    promoted = rungs.loc[rungs["promoted"], "number"].tolist()
    assert promoted, "of six trials two go on, and neither of the first two that come does so at once"
    for number in promoted:
        left, went_on = rungs[rungs["number"] == number]["goes_on"]
        assert (left, went_on) == (False, True)
        stays = places[places["number"] == number]
        assert stays["from_epoch"].fillna(0).tolist() == [0, RUNG]
        assert stays["from_budget"].iloc[1] == EPOCHS
    assert (trials["epochs_repeated"] == 0).all() and (trials["restarts"] == 0).all()
    epochs = finished.table("epochs")
    assert not epochs.duplicated(["trial_id", "epoch"]).any()
    assert epochs.groupby("number")["epoch"].max().tolist() == trials["epochs"].tolist()
    assert set(trials.loc[trials["number"].isin(promoted), "status"]) == {"completed"}


def test_the_others_begin_at_the_beginning(finished: Finished) -> None:
    rungs, places = finished.table("rungs"), finished.table("placements")
    others = places[~places["number"].isin(rungs.loc[rungs["promoted"], "number"])]
    assert others["from_epoch"].isna().all() and others["number"].is_unique
    assert len(others) + rungs["promoted"].sum() == len(finished.table("trials"))


def test_a_third_is_beyond_the_rung_and_nothing_passed_for_coming_first(finished: Finished) -> None:
    rungs = finished.table("rungs")
    assert set(rungs["rung"]) == {RUNG}
    come = rungs[~rungs["promoted"]]
    assert come["number"].tolist() == list(range(TRIALS)), "further seeds come to no rung"
    assert not come.loc[come["goes_on"], "of"].lt(3).any()
    assert rungs.loc[rungs["goes_on"], "number"].nunique() >= TRIALS // 3


def test_the_best_are_trained_with_further_seeds_each_on_a_split_of_its_own(finished: Finished) -> None:
    trials = finished.table("trials").set_index("number")
    repeats = trials[trials["repeat_of"].notna()]
    completed = (trials.loc[trials["repeat_of"].isna(), "status"] == "completed").sum()
    assert repeats.index.tolist() == list(range(TRIALS, TRIALS + sum(stages(int(completed), 3, 3))))
    assert (repeats["status"] == "completed").all() and (repeats["epochs"] == EPOCHS).all()
    for number, own in repeats.groupby("repeat_of"):
        first = trials.loc[number]
        assert own["config.seed"].tolist() == [first["config.seed"] + further for further in range(1, len(own) + 1)]
        assert own["config.split"].tolist() == list(range(1, len(own) + 1))
        for name in ("config.learning_rate", "config.penultimate_width", "config.gamma_ramp", "config.precision"):
            assert (own[name] == first[name]).all()
    assert repeats["last.validation_accuracy"].notna().all()


def test_the_ranking_has_means_and_intervals_of_all_seeds(finished: Finished) -> None:
    best, trials, epochs = (finished.table(name) for name in ("best", "trials", "epochs"))
    assert len(best) == TRIALS
    first = best.iloc[0]
    assert (first["seeds"], first["diverged_seeds"], first["tied"]) == (3, 0, True)
    own = trials[(trials["number"] == first["number"]) | (trials["repeat_of"] == first["number"])]
    last = epochs[epochs["number"].isin(own["number"]) & (epochs["epoch"] > EPOCHS - 2)]
    assert first["score"] == pytest.approx(last["validation_accuracy"].mean())
    assert first["low"] < first["score"] < first["high"] <= 1
    short = best[best["status"] == "stopped"]
    assert short["low"].isna().all() and (short["seeds"] == 1).all()


def test_no_checkpoint_is_left(finished: Finished) -> None:
    assert not (finished.folder / "checkpoints").exists()


def test_it_tells_of_seeds_who_leads_and_how_surely(finished: Finished) -> None:
    first = finished.table("best").iloc[0]
    lines = finished.told.splitlines()
    assert any(re.search(rf"trial \d+ \(another seed of trial {first['number']}\) completed", line) for line in lines)
    assert any(f"leading: {first['score']:.4f} (" in line and ", 3 seeds, trial " in line for line in lines)
    between = f"{first['score']:.4f} ({first['low']:.4f} to {first['high']:.4f}), 3 seeds"
    assert f"named: rank 1, trial {first['number']}, validation accuracy {between}" in lines
    repeats = int(finished.table("trials")["repeat_of"].notna().sum())
    assert any(f"({repeats} of them further seeds of the best)" in line for line in lines)
    assert not any("a single training" in line for line in lines)


def test_the_same_seed_gives_the_same_tables_whatever_runs_them(finished: Finished, tmp_path: Path) -> None:
    with trials_run_here():
        assert main([*SEARCH, "--out", str(tmp_path / "again")]) == 0
    for name in ("trials", "epochs", "best", "rungs"):
        found = [finished.table(name), pd.read_parquet(tmp_path / "again" / f"{name}.parquet")]
        times = [column for column in found[0] if column.endswith(("seconds", "images_per_second"))]
        pd.testing.assert_frame_equal(*(table.drop(columns=times) for table in found), check_exact=True)
