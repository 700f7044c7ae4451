"""`python -m tune_lpc.run` over a space with fewer configs than trials are asked for, and over copies of before."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.commands import ONE_SEED, space_file
from tests.local_engine import trials_run_here
from tune_lpc.cli.confirmation import planned
from tune_lpc.run import main

USED_UP = "the space has only 2 configs; each was tried"
LINE = f"{USED_UP}: the search is over, though 8 trials were asked for\n"


def end_of(out: Path) -> dict[str, str]:
    last: dict[str, str] = json.loads((out / "journal.jsonl").read_text().splitlines()[-1][9:])
    return last


@pytest.mark.parametrize("hours", [[], ["--hours", "1"]], ids=["trials", "hours"])
def test_a_space_of_two_configs_is_searched_in_two_trials(
    ray_session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], hours: list[str]
) -> None:
    out, space = tmp_path / "run", space_file(tmp_path, '"learning_rate": Choice([0.01, 0.02])')
    command = [space, "--trials", "8", *hours, *ONE_SEED, "--out", str(out)]
    with trials_run_here():
        assert main(command) == 0
    told = capsys.readouterr().out
    assert (f"{USED_UP}: the search was given 1 hour" if hours else LINE) in told
    end = end_of(out)
    assert (end["kind"], end["outcome"], end["reason"]) == ("run_ended", "finished", USED_UP)
    best = pd.read_parquet(out / "best.parquet")
    assert sorted(best["config.learning_rate"]) == [0.01, 0.02]
    with trials_run_here():
        assert main([*command, "--resume"]) == 0
    told = capsys.readouterr().out
    assert "2 trials are kept, 0 to come" in told and USED_UP in told
    assert len(pd.read_parquet(out / "trials.parquet")) == 2


def test_a_dry_run_tells_how_many_trials_there_would_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = space_file(tmp_path, '"learning_rate": Choice([0.01, 0.02])')
    arguments = [space, "--fidelity", "full", "--seeds", "1", "--dry-run"]
    assert main([*arguments, "--trials", "8"]) == 0
    told = capsys.readouterr().out
    assert "trials: 2 of up to 2 epochs; 8 were asked for, but the space has only 2 configs\n" in told
    assert "cost: 4 epochs;" in told
    assert main([*arguments, "--hours", "1"]) == 0
    told = capsys.readouterr().out
    assert "trials: 2 of up to 2 epochs; as many as time allows were asked for, but the space has only 2" in told
    assert "in 1 hours about 2 configs would fit" in told or "in 1 hour about 2 configs would fit" in told
    assert main([*arguments, "--trials", "2"]) == 0
    assert "trials: 2 of up to 2 epochs\n" in capsys.readouterr().out


def test_copies_that_an_older_version_ranked_are_confirmed_once(ray_session: str, tmp_path: Path) -> None:
    out, space = tmp_path / "run", space_file(tmp_path, '"learning_rate": Choice([0.01, 0.02])')
    with trials_run_here():
        assert main([space, *ONE_SEED, "--out", str(out)]) == 0
    best = pd.read_parquet(out / "best.parquet")
    copies = pd.concat([best.iloc[[0]], best], ignore_index=True).assign(rank=[1, 2, 3], tied=True)
    copies.to_parquet(out / "best.parquet")
    asked = dict.fromkeys(("top", "seeds", "train_on", "measures"))
    found = planned(out, {**asked, "seeds": 2}, resume=False)
    assert [network["rank"] for network in found.plan["networks"]] == [1, 1, 3, 3]
    assert len(set(found.specs)) == 4
