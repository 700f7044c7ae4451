"""Which setting matters: what made the scores comes first, and settings without an effect count where they have one."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest

from tune_lpc.search.importance import FEWEST, importances

SPACE: dict[str, dict[str, Any]] = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "weight_decay": {"type": "float", "low": 0.0, "high": 1.0, "log": False},
    "gamma_ramp": {"type": "choice", "options": ["off", "linear"]},
    "gamma_end": {"type": "float", "low": 1.0, "high": 100.0, "log": True},
}
COMPLETED, ALL = "completed", "completed and stopped"


def trials(count: int, matters: str, **columns: Any) -> pd.DataFrame:
    """Trials whose score is the place of one setting in its range; gamma_end has an effect where gamma is on."""
    draw, rows = random.Random(0), []
    for number in range(count):
        is_on = draw.random() < 0.5
        places = {"learning_rate": draw.random(), "weight_decay": draw.random(), "gamma_end": draw.random()}
        score = {"gamma_ramp": 0.4 + 0.5 * is_on, **places}[matters]
        if matters == "gamma_end" and not is_on:
            score = 0.5 * draw.random()
        row = {
            "number": number,
            "repeat_of": None,
            "status": "completed",
            "epochs": 9,
            "last.validation_accuracy": score + 1e-6 * draw.random(),
            "config.learning_rate": 1e-4 * 1000 ** places["learning_rate"],
            "config.weight_decay": places["weight_decay"],
            "config.gamma_ramp": "linear" if is_on else "off",
            "config.gamma_end": 100 ** places["gamma_end"] if is_on else None,
        }
        rows.append(row | columns)
    return pd.DataFrame(rows).convert_dtypes()


def shares(table: pd.DataFrame, kind: str = COMPLETED) -> dict[str, float]:
    return {row["parameter"]: row["importance"] for row in importances(table, SPACE) if row["trials"] == kind}


@pytest.mark.parametrize("name", list(SPACE))
def test_what_makes_the_scores_matters_most(name: str) -> None:
    found = shares(trials(200, name))
    assert sum(found.values()) == pytest.approx(1)
    # Where gamma_end decides, the best all have gamma on: the switch matters as well.
    others = [share for other, share in found.items() if other not in (name, "gamma_ramp" if "gamma" in name else name)]
    assert found[name] > 2 * max(others)


def test_stopped_trials_are_worse_than_all_that_came_further_whatever_their_score() -> None:
    full = trials(100, "weight_decay", **{"config.learning_rate": 1e-2})
    stopped = trials(100, "weight_decay", **{"config.learning_rate": 1e-4, "status": "stopped", "epochs": 1})
    stopped["last.validation_accuracy"] = 0.999
    found = importances(pd.concat([full, stopped], ignore_index=True), SPACE)
    table = {(row["parameter"], row["trials"]): row for row in found}
    assert table["learning_rate", COMPLETED]["importance"] is None, "it has one value there"
    assert table["learning_rate", ALL]["importance"] > 0.2
    assert (table["weight_decay", COMPLETED]["count"], table["weight_decay", ALL]["count"]) == (100, 200)


def test_further_seeds_and_trials_without_a_score_are_left_out() -> None:
    table = trials(40, "weight_decay")
    repeats = trials(40, "learning_rate", repeat_of=3)
    lost = trials(40, "learning_rate", **{"last.validation_accuracy": None})
    whole = pd.concat([table, repeats, lost], ignore_index=True).convert_dtypes()
    assert importances(whole, SPACE) == importances(table, SPACE)


def test_of_few_trials_and_of_few_with_an_effect_nothing_is_told() -> None:
    assert set(shares(trials(FEWEST - 1, "weight_decay")).values()) == {None}
    table = trials(60, "weight_decay")
    table["config.gamma_end"] = table["config.gamma_end"].where(table["number"] < 8)
    found = shares(table)
    assert found["gamma_end"] is None and found["weight_decay"] is not None


def test_nothing_matters_where_all_is_the_same() -> None:
    table = trials(20, "weight_decay", **{"config.learning_rate": 1e-2, "config.weight_decay": 0.5,
                                          "config.gamma_ramp": "off", "config.gamma_end": None})  # fmt: skip
    assert set(shares(table).values()) == {None}
