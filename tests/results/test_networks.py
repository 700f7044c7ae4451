"""confirm.parquet read back: what is damaged is one line each, and nothing is taken for a value that is none."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.results.confirmations import network, networks, write_confirm
from tune_lpc.plan import UserError
from tune_lpc.results.networks import Network, load_networks


def loaded(folder: Path, rows: list[dict[str, Any]]) -> tuple[list[str], list[Network]]:
    write_confirm(folder, rows)
    return load_networks(folder / "confirm.parquet")


def problems(folder: Path, rows: list[dict[str, Any]]) -> list[str]:
    with pytest.raises(UserError) as told:
        loaded(folder, rows)
    return told.value.problems


def test_a_row_a_network_with_its_values_by_column(tmp_path: Path) -> None:
    columns, (one, two) = loaded(tmp_path, networks([0.9, 0.95], [0.25, 0.5], method="lpc"))
    assert columns == ["test_accuracy", "test_loss", "test.nc1"]
    assert one.values == {"test_accuracy": 0.9, "test_loss": 0.1, "test.nc1": 0.25}
    assert (one.method, one.space, one.rank, one.train_on, one.test_images) == ("lpc", "digits", 1, "train", 360)
    assert (one.announced, one.announced_low, one.announced_high) == (0.97, 0.95, 0.98)
    assert (one.pair, two.pair) == ((0, 1000), (1, 1001))
    assert one.reasons == {}


def test_what_is_null_or_not_finite_is_no_value_but_has_a_reason(tmp_path: Path) -> None:
    rows = networks([0.9] * 4, [None, math.inf, math.nan, 0.5])
    rows[3]["test_loss"] = None
    found = loaded(tmp_path, rows)[1]
    reasons = [each.reasons.get("test.nc1") for each in found]
    assert reasons == ["a class is empty", "it is infinite", "it is not a number", None]
    assert found[3].reasons == {"test_loss": "no reason is given"}
    assert all(set(each.values) | set(each.reasons) == {"test_accuracy", "test_loss", "test.nc1"} for each in found)


def test_a_network_that_diverged_is_there(tmp_path: Path) -> None:
    (found,) = loaded(tmp_path, [network(None, 0)])[1]
    assert (found.status, found.reason, found.values) == ("diverged", "training loss is nan", {})


def test_a_file_without_a_network_is_refused(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, [])
    assert line.endswith(f"holds no network; run python -m tune_lpc.confirm {tmp_path} again")


def test_a_missing_column_and_one_of_another_type_are_told_in_one_line(tmp_path: Path) -> None:
    write_confirm(tmp_path, networks([0.9], [0.5]))
    path = tmp_path / "confirm.parquet"
    table = pq.read_table(path).drop_columns(["seed", "train_on"])
    place = table.schema.names.index("test.nc1")
    pq.write_table(table.set_column(place, "test.nc1", pa.array(["0.5"])), path)
    with pytest.raises(UserError) as told:
        load_networks(path)
    (line,) = told.value.problems
    assert "it lacks the columns seed, train_on; test.nc1 is of type string, not double" in line


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rank": None}, "rank is null"),
        ({"seed": None}, "seed is null"),
        ({"train_on": "test"}, "train_on is 'test', not train or all"),
        ({"test_accuracy": 1.5}, "test_accuracy is 1.5, not from 0 to 1"),
        ({"test_accuracy": math.nan}, "test_accuracy is nan, not from 0 to 1"),
        ({"announced": -0.1}, "announced is -0.1, not from 0 to 1"),
        ({"method": "lpc"}, "method is 'lpc', another"),
        ({"split": 0, "seed": 1000}, "is a network that another row has"),
    ],
)
def test_what_no_network_can_have_is_told_with_its_row(values: dict[str, Any], told: str, tmp_path: Path) -> None:
    rows = networks([0.9, 0.95])
    rows[1] |= values
    lines = problems(tmp_path, rows)
    assert lines[-1] == f"{tmp_path / 'confirm.parquet'} is damaged: in row 2 {told}; take the file as confirm wrote it"


def test_the_same_seed_may_train_another_config_or_on_all_images(tmp_path: Path) -> None:
    rows = [network(0.9, 0), network(0.9, 0, rank=2), network(0.9, 0, train_on="all")]
    assert len(loaded(tmp_path, rows)[1]) == 3
