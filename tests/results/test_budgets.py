from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.results.runs import Search
from tune_lpc.plan import UserError
from tune_lpc.results import export
from tune_lpc.results.budgets import Budget, inequality, load_budget


def search(folder: Path) -> Path:
    """Two trials of 4 epochs and one of 2, one of them a further seed; 2 s an epoch."""
    made = Search(folder)
    made.trial([0.5] * 4)
    made.trial([0.5] * 4, repeat_of=0)
    made.trial([0.5] * 2, "stopped")
    made.journal.close()
    export(folder)
    return folder


def test_what_a_search_spent(tmp_path: Path) -> None:
    assert load_budget(search(tmp_path), {}) == Budget(2, 1, 10, pytest.approx(20 / 3600), timed=False)


@pytest.mark.parametrize(
    ("limits", "timed"),
    [({"hours": 2.0, "gpu_hours": None}, True), ({"hours": None, "gpu_hours": 1.0}, True), ({"hours": None}, False)],
)
def test_whether_time_was_the_limit(limits: dict[str, Any], timed: bool, tmp_path: Path) -> None:
    assert load_budget(search(tmp_path), {"time": limits}).timed is timed


def test_damage_is_one_line(tmp_path: Path) -> None:
    search(tmp_path)
    with pytest.raises(UserError, match=r"run\.json is damaged: time is 5; take the file as it was written"):
        load_budget(tmp_path, {"time": 5})
    path = tmp_path / "trials.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["seconds", "repeat_of"]), path)
    with pytest.raises(UserError, match="lacks the columns seconds, repeat_of; it must be the file that a search"):
        load_budget(tmp_path, {})
    seconds = table["seconds"].cast("string")
    pq.write_table(table.set_column(table.schema.names.index("seconds"), "seconds", seconds), path)
    with pytest.raises(UserError, match=r"is damaged: .*it must be the file that a search wrote"):
        load_budget(tmp_path, {})
    path.write_bytes(b"no table")
    with pytest.raises(UserError, match="is damaged, it must be a Parquet file"):
        load_budget(tmp_path, {})


SPENT = Budget(100, 5, 1000, 2.0, timed=False)
TIMED = Budget(100, 5, 1000, 2.0, timed=True)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (SPENT, SPENT, None),
        (Budget(105, 9, 1050, 9.0, timed=False), SPENT, None),
        (Budget(100, 5, 1300, 2.0, timed=False), SPENT, "30 % more epochs"),
        (Budget(50, 5, 500, 2.0, timed=False), SPENT, "50 % fewer trials and 50 % fewer epochs"),
        (SPENT, Budget(0, 0, 0, 0.0, timed=False), "100 in place of 0 trials and 1000 in place of 0 epochs"),
        (Budget(10, 5, 100, 2.1, timed=True), TIMED, None),
        (Budget(100, 5, 1000, 3.0, timed=True), TIMED, "50 % more hours"),
        (Budget(100, 5, 1000, 3.0, timed=True), SPENT, None),
    ],
    ids=["same", "within 5 %", "epochs", "both", "none", "time alone", "more time", "one timed"],
)
def test_what_differs_by_more_than_5_percent(one: Budget, other: Budget, told: str | None) -> None:
    assert inequality(one, other) == told
