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
            "No: 2 other configs can't be told from it with a confidence of 95 %. The simplest of these is rank 2.",
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
    assert ("larger learning_rate" in found.answer) == (lost > 1)


@pytest.mark.parametrize(
    ("plain", "level"), [(0.85, Level.PASS), (0.895, Level.WARNING), (0.95, Level.FAIL), (None, None)]
)
def test_the_regulariser(plain: float | None, level: Level | None) -> None:
    rows = [config(1, 0.9)]
    if plain is not None:
        rows.append(config(2, plain, **{"config.gamma_ramp": "off"}))
    found = regulariser(run_of(best=rows))
    assert (None if found is None else found.level) is level


@pytest.mark.parametrize(
    ("tested", "level", "words"),
    [
        ([], Level.WARNING, "python -m tune_lpc.confirm results/made"),
        ([0.895, 0.9], Level.PASS, "inside the announced interval"),
        ([0.85, 0.86], Level.WARNING, "4.50 points less, below the announced interval"),
    ],
)
def test_optimism(tested: list[float], level: Level, words: str) -> None:
    rows = [{"rank": 1, "test_accuracy": value, "announced": 0.9, "announced_low": 0.89} for value in tested]
    tables = {"best": [config(1, 0.9)], **({"confirm": rows} if rows else {})}
    found = optimism(run_of(**tables))
    assert found is not None and found.level is level and words in found.answer


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
    found = verdicts(read_run(folder))[-1]
    assert found.level is Level.FAIL
    assert all(name in found.answer for name in ("best.parquet is missing", "rungs.parquet is damaged", "run.json"))
    assert len(read_run(folder).firsts) == 6
