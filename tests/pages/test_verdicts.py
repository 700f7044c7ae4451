"""What a page says first: each verdict by the rule in its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.pages.made import made_run
from tune_lpc.pages.folder import Run, read_run
from tune_lpc.pages.verdicts import (
    Level,
    divergence,
    edge,
    first_place,
    optimism,
    regulariser,
    robustness,
    rungs,
    verdicts,
)

ABOUT = {
    "rungs": [3, 9],
    "space": {
        "name": "made",
        "dimensions": {
            "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "optimizer": {"type": "choice", "options": ["adamw", "sgd"]},
            "gamma_ramp": {"type": "choice", "options": ["off", "linear"]},
        },
    },
}


def config(rank: int, score: float, **values: Any) -> dict[str, Any]:
    """A row of best.parquet."""
    row = {"rank": rank, "score": score, "low": score - 0.01, "high": score + 0.01, "seeds": 3, "tied": rank == 1}
    row |= {"number": rank, "trial_id": f"trial-{rank:05d}", "status": "completed", "regularisers": 1}
    return row | {"config.learning_rate": 3e-3, "config.optimizer": "adamw", "config.gamma_ramp": "linear", **values}


def trial(number: int, status: str = "completed", **values: Any) -> dict[str, Any]:
    """A row of trials.parquet."""
    row = {"trial_id": f"trial-{number:05d}", "number": number, "status": status, "budget": 9, "epochs": 9}
    row |= {"epochs_trained": 9, "repeat_of": None, "last.validation_accuracy": 0.9, "config.learning_rate": 3e-3}
    return row | values


def run_of(**tables: list[dict[str, Any]]) -> Run:
    found = {f"{name}.parquet": pd.DataFrame(rows).convert_dtypes() for name, rows in tables.items()}
    return Run(Path("results/made"), ABOUT, found)


@pytest.mark.parametrize(
    ("rows", "level", "words"),
    [
        ([], Level.FAIL, "No config has a score"),
        ([config(1, 0.9, status="stopped")], Level.WARNING, "No trial has trained its full budget"),
        ([config(1, 0.9)], Level.WARNING, "one config alone"),
        ([config(1, 0.9, seeds=1), config(2, 0.8)], Level.WARNING, "luckiest of many"),
        ([config(1, 0.9), config(2, 0.8)], Level.PASS, "Yes: with 3 seeds"),
        (
            [config(1, 0.9, regularisers=2), config(2, 0.89, tied=True), config(3, 0.88, tied=True)],
            Level.WARNING,
            "No: 2 other configs can't be told from it (95 %). Of these rank 2 is the simplest.",
        ),
    ],
)
def test_the_first_place(rows: list[dict[str, Any]], level: Level, words: str) -> None:
    found = first_place(run_of(best=rows))
    assert found.level is level and words in found.answer


@pytest.mark.parametrize(
    ("rate", "level"), [(3e-3, Level.PASS), (9.9e-2, Level.WARNING), (1.1e-4, Level.WARNING), (2e-4, Level.PASS)]
)
def test_the_edge_of_a_range_is_that_of_its_scale(rate: float, level: Level) -> None:
    found = edge(run_of(best=[config(1, 0.9, **{"config.learning_rate": rate})]))
    assert found is not None and found.level is level
    assert ("learning_rate is" in found.answer) == (level is Level.WARNING)


@pytest.mark.parametrize(
    ("spearman", "level"), [(0.9, Level.PASS), (0.45, Level.WARNING), (0.1, Level.FAIL), (None, Level.WARNING)]
)
def test_the_rungs(spearman: float | None, level: Level) -> None:
    rows = [{"rung": rung, "trials": 6, "spearman": value, "kept": 1.0, "regret": 0.0} for rung, value in
            ((3, spearman), (9, 0.95 if spearman is not None else None))]  # fmt: skip
    found = rungs(run_of(fidelity=rows))
    assert found is not None and found.level is level
    assert ("at epoch 3" in found.answer) == (spearman is not None)


@pytest.mark.parametrize(("lost", "level"), [(0, Level.PASS), (1, Level.PASS), (3, Level.WARNING), (7, Level.FAIL)])
def test_divergence_and_where(lost: int, level: Level) -> None:
    rows = [trial(number, "diverged", **{"config.learning_rate": 0.09}) for number in range(lost)]
    rows += [trial(number, **{"config.learning_rate": 1e-3 * (1 + number)}) for number in range(lost, 10)]
    found = divergence(run_of(trials=rows))
    assert found.level is level
    assert ("larger learning_rate" in found.answer) == (lost > 2)


def test_divergence_by_an_option() -> None:
    rows = [trial(number, "diverged", **{"config.optimizer": "sgd"}) for number in range(4)]
    rows += [trial(number, **{"config.optimizer": "sgd" if number < 6 else "adamw"}) for number in range(4, 24)]
    assert "100 % of them have optimizer sgd, against 10 % of the others" in divergence(run_of(trials=rows)).answer


def test_medians_of_robustness_come_first_and_means_are_told_as_such() -> None:
    means = {"measure.deepfool": 0.6, "measure.shortest_flip_mean": 0.2}
    found = robustness(run_of(best=[config(1, 0.9)], trials=[trial(1, **means)]))
    assert found is not None and "means on validation images): 3.0 times shorter" in found.answer
    medians = {"measure.deepfool_median": 0.2, "measure.shortest_flip": 0.19}
    found = robustness(run_of(best=[config(1, 0.9)], trials=[trial(1, **means, **medians)]))
    assert found is not None and "medians on validation images): a ratio of 1.05" in found.answer


PLAIN = {"config.gamma_ramp": "off", "regularisers": 0}


@pytest.mark.parametrize(
    ("rows", "level", "words"),
    [
        ([config(1, 0.9), config(2, 0.85, **PLAIN)], Level.PASS, "Yes: rank 1 with 90.00 % (89.00 to 91.00)"),
        ([config(1, 0.9), config(2, 0.895, tied=True, **PLAIN)], Level.WARNING, "can't be told apart (95 %)"),
        ([config(1, 0.95, **PLAIN), config(2, 0.9)], Level.FAIL, "No: rank 2 with 90.00 %"),
        ([config(1, 0.9), config(2, 0.85, low=None, high=None, **PLAIN)], Level.WARNING, "without intervals"),
        ([config(1, 0.9), config(2, 0.85, status="stopped", **PLAIN)], Level.WARNING, "no plain network was trained"),
    ],
)
def test_the_regulariser(rows: list[dict[str, Any]], level: Level, words: str) -> None:
    found = regulariser(run_of(best=rows, trials=[trial(1, **{"config.gamma_ramp": "off"})]))
    assert found is not None and found.level is level and words in found.answer


def test_a_search_without_a_regulariser_says_nothing_of_it() -> None:
    about = {**ABOUT, "space": {"name": "made", "dimensions": {}, "settings": {}}}
    best = pd.DataFrame([config(1, 0.9, **PLAIN)]).convert_dtypes()
    assert regulariser(Run(Path("results/made"), about, {"best.parquet": best})) is None


def test_regularisers_are_counted_where_an_old_table_does_not() -> None:
    rows = [config(1, 0.9), config(2, 0.85, **PLAIN)]
    found = regulariser(run_of(best=[{**row, "regularisers": None} for row in rows]))
    assert found is not None and found.level is Level.PASS


@pytest.mark.parametrize(
    ("tested", "level", "words"),
    [
        ([], Level.WARNING, "is not confirmed"),
        ([0.895, 0.9], Level.PASS, "0.25 points less, not below the announced interval"),
        ([0.85, 0.86], Level.WARNING, "4.50 points less, below the announced interval"),
    ],
)
def test_optimism(tested: list[float], level: Level, words: str) -> None:
    rows = [{"rank": 1, "test_accuracy": value, "announced": 0.9, "announced_low": 0.89} for value in tested]
    tables = {"best": [config(1, 0.9)], **({"confirm": rows} if rows else {})}
    found = optimism(run_of(**tables))
    assert found is not None and found.level is level and words in found.answer
    assert found.command == ("" if tested else "python -m tune_lpc.confirm results/made")


@pytest.mark.parametrize(("deepfool", "level"), [(0.2, Level.PASS), (0.4, Level.WARNING)])
def test_robustness_is_warned_of_where_the_measures_part(deepfool: float, level: Level) -> None:
    measures = {"measure.deepfool_median": deepfool, "measure.shortest_flip": 0.17}
    found = robustness(run_of(best=[config(1, 0.9)], trials=[trial(1, **measures)]))
    assert found is not None and found.level is level
    assert robustness(run_of(best=[config(1, 0.9)], trials=[trial(1)])) is None


def test_files_that_are_missing_or_damaged_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", 6)
    (folder / "best.parquet").unlink()
    (folder / "rungs.parquet").write_bytes(b"PAR1")
    (folder / "run.json").write_text("{")
    found = verdicts(read_run(folder))[0]
    assert found.level is Level.FAIL
    assert all(name in found.answer for name in ("best.parquet is missing", "rungs.parquet is damaged", "run.json"))
    assert len(read_run(folder).firsts) == 6
