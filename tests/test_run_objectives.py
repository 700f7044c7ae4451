"""A search with several objectives from the command to the tables, one of them measured at rungs."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.commands import refused
from tests.local_engine import trials_run_here
from tune_lpc.results import read_journal
from tune_lpc.run import main

OBJECTIVES = ["--objective", "validation_accuracy", "measure.nc1", "measure.entropy:min"]
SEARCH = ["digits", "--trials", "6", "--epochs", "9", "--concurrent", "1", "--seeds", "1"]
SEARCH += ["--set", "first_rung=3", "train_size=300"]


@dataclass(frozen=True)
class Finished:
    folder: Path
    told: str

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def finished(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    out, told = tmp_path_factory.mktemp("objectives") / "run", io.StringIO()
    with trials_run_here(), contextlib.redirect_stdout(told):
        assert main([*SEARCH, *OBJECTIVES, "--out", str(out)]) == 0
    return Finished(out, told.getvalue())


def test_the_ranking_goes_by_fronts_and_tells_every_objective(finished: Finished) -> None:
    best = finished.table("best")
    whole = best[best["status"] == "completed"]
    assert whole["front"].tolist() == sorted(whole["front"]) and whole["front"].iloc[0] == 1
    assert best[best["status"] == "stopped"]["front"].isna().all()
    names = [f"objective.{name}" for name in ("validation_accuracy", "measure.nc1", "measure.entropy")]
    assert whole[names].notna().all(axis=None)
    trials = finished.table("trials").set_index("number").loc[whole["number"]]
    assert whole["objective.measure.nc1"].tolist() == trials["last.nc1"].tolist()
    assert whole["objective.measure.entropy"].tolist() == trials["measure.entropy"].tolist()


def test_rungs_have_seen_every_objective(finished: Finished) -> None:
    rungs = finished.table("rungs")
    assert rungs["objective.measure.entropy"].notna().all()
    at_rung = [entry for entry in read_journal(finished.folder / "journal.jsonl")[0] if entry["kind"] == "measures"]
    assert sorted(tuple(entry["position"] or ()) for entry in at_rung)[-len(rungs) :] == [(9, 3)] * len(rungs)


def test_the_front_is_told_over_time_and_in_the_terminal(finished: Finished) -> None:
    front = finished.table("front")
    assert front["number"].tolist() == [n for n in front["number"] if n in set(finished.table("best")["number"])]
    assert (front["epochs"].diff().dropna() > 0).all()
    assert front["hypervolume"].between(0, 1, inclusive="right").all()
    assert front["on_front"].iloc[-1] == (finished.table("best")["front"] == 1).sum()
    assert f"Pareto front: {front['on_front'].iloc[-1]} of 6 ranked configs" in finished.told
    assert f"hypervolume: {front['hypervolume'].iloc[-1]:.4f} of 1" in finished.told


def test_run_json_says_what_was_asked_for(finished: Finished) -> None:
    run = json.loads((finished.folder / "run.json").read_text())
    assert run["space"]["objectives"] == ["validation_accuracy:max", "measure.nc1:min", "measure.entropy:min"]
    assert list(run["measures"]) == ["entropy"]


def test_a_search_does_not_go_on_with_other_objectives(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    again = [*SEARCH, "--out", str(finished.folder), "--resume"]
    told = refused([*again, "--objective", "validation_accuracy", "measure.nc1"], capsys)
    assert any("can't be resumed with a change: objectives: " in line for line in told)


def test_a_longer_search_goes_on_with_the_same_front(finished: Finished, tmp_path: Path) -> None:
    before = finished.table("front")
    longer = [*SEARCH, *OBJECTIVES]
    longer[longer.index("6")] = "8"
    with trials_run_here():
        assert main([*longer, "--out", str(finished.folder), "--resume"]) == 0
    now = finished.table("front")
    pd.testing.assert_frame_equal(now.iloc[: len(before)], before, check_exact=True)
