"""The files of a comparison: all of them or none, with columns that say what they mean."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.results.confirmations import change_rows, confirmed, network, networks, read, three
from tests.results.runs import largest_file
from tune_lpc.plan import UserError
from tune_lpc.results.comparison import compare
from tune_lpc.results.comparison_files import FILES, common_parent, write_comparison
from tune_lpc.results.schema import comparison_schema, comparison_tests_schema


def written(folder: Path, out: Path, against: str | None = None) -> list[str]:
    write_comparison(compare([folder], against), out, {"command": "compare it"})
    return sorted(path.name for path in out.iterdir())


def test_four_files_in_a_new_folder(tmp_path: Path) -> None:
    assert written(three(tmp_path / "three"), tmp_path / "new" / "folder") == sorted(FILES)


def test_pages_are_written_with_them(tmp_path: Path) -> None:
    comparison = compare([confirmed(tmp_path / "a", networks([0.9]))])
    write_comparison(comparison, tmp_path / "out", {}, {"page.html": "é"})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FILES, "page.html"])
    assert (tmp_path / "out" / "page.html").read_text(encoding="utf-8") == "é"


def test_a_row_a_config_and_measure(tmp_path: Path) -> None:
    rows = [*networks([0.9, 0.92, None], [0.5, 0.3, None]), network(0.99, 0, rank=2)]
    confirmed(tmp_path / "in" / "plain", rows, further_seeds=1)
    confirmed(tmp_path / "in" / "lpc", networks([0.95, 0.96, 0.97], [0.01, 0.02, 0.03], method="lpc"))
    written(tmp_path / "in", tmp_path)
    assert pq.read_schema(tmp_path / "comparison.parquet").equals(comparison_schema())
    table = read(tmp_path / "comparison.parquet")
    assert len(table) == 9
    keys = ["label", "rank", "measure"]
    by_key = {tuple(row[name] for name in keys): row for row in table.to_dict("records")}
    accuracy = by_key["vanilla", 1, "test_accuracy"]
    assert (accuracy["networks"], accuracy["values"], accuracy["mean"]) == (3, 2, pytest.approx(0.91))
    assert (accuracy["announced"], accuracy["optimism"]) == (0.97, pytest.approx(0.06))
    assert accuracy["optimism_low"] < 0.06 < accuracy["optimism_high"]
    assert (accuracy["trials"], accuracy["further_seeds"], accuracy["epochs_trained"]) == (3, 1, 16)
    assert accuracy["hours"] == pytest.approx(32 / 3600)
    nc1 = by_key["vanilla", 1, "test.nc1"]
    assert bool(nc1["geometric"]) and nc1["middle"] == pytest.approx(math.sqrt(0.15))
    assert (nc1["mean"], nc1["median"]) == (pytest.approx(0.4), pytest.approx(0.4))
    assert table[table["measure"] != "test_accuracy"][["announced", "optimism"]].isna().all(axis=None)
    tied = by_key["vanilla", 2, "test_accuracy"]
    assert tied["reason"] == "one seed has a value, so that the luck between seeds is not known"
    assert by_key["lpc", 1, "test_loss"]["method"] == "lpc"


def test_a_row_a_test(tmp_path: Path) -> None:
    written(three(tmp_path / "three"), tmp_path, against="all")
    assert pq.read_schema(tmp_path / "comparison_tests.parquet").equals(comparison_tests_schema())
    table = read(tmp_path / "comparison_tests.parquet")
    assert len(table) == 9
    first = table.to_dict("records")[0]
    assert (first["measure"], first["label"], first["against"]) == ("test_accuracy", "lpc", "vanilla")
    assert (first["pairs"], first["tests"], bool(first["differs"])) == (5, 3, True)
    assert first["hedges_g"] == pytest.approx(0.7979 * first["cohen_d"], rel=1e-4)
    assert table["unequal_budget"].isna().all() and table["reason"].isna().all()


def test_without_tests_the_table_of_them_is_empty(tmp_path: Path) -> None:
    written(three(tmp_path / "three") / "lpc", tmp_path)
    assert len(read(tmp_path / "comparison_tests.parquet")) == 0


def test_of_what_it_was_made_stands_in_the_metadata(tmp_path: Path) -> None:
    written(three(tmp_path / "three"), tmp_path)
    for name in ("comparison.parquet", "comparison_tests.parquet"):
        made = json.loads(pq.read_schema(tmp_path / name).metadata[b"tune_lpc.run"])
        assert made["command"] == "compare it"
        assert [search["label"] for search in made["compared"]] == ["vanilla", "lpc", "sliding"]
        assert made["compared"][0]["data.fingerprint"] == "digits"


def test_a_second_comparison_takes_the_place_of_the_first(tmp_path: Path) -> None:
    three(tmp_path / "three")
    written(tmp_path / "three", tmp_path / "out")
    change_rows(tmp_path / "three" / "lpc", test_accuracy=0.5)
    written(tmp_path / "three", tmp_path / "out")
    table = read(tmp_path / "out" / "comparison.parquet")
    assert table[(table["label"] == "lpc") & (table["measure"] == "test_accuracy")]["mean"].tolist() == [0.5]


def test_on_a_full_disk_all_stays_as_it_was(tmp_path: Path) -> None:
    three(tmp_path / "three")
    written(tmp_path / "three", tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}
    change_rows(tmp_path / "three" / "lpc", test_accuracy=0.5)
    comparison = compare([tmp_path / "three"])
    for out in (tmp_path / "out", tmp_path / "new"):
        with largest_file(6000), pytest.raises(UserError, match=r"can't be written \(.*File too large"):
            write_comparison(comparison, out, {}, {"page.html": "a page"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["file", "file/below", "\0", "x" * 300])
def test_where_nothing_can_be_written_it_is_said_in_a_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    comparison = compare([confirmed(tmp_path / "a", networks([0.9]))])
    with pytest.raises(UserError, match=r"can't be written \(.*\); choose another folder with --out"):
        write_comparison(comparison, tmp_path / name, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "file"]


def test_the_common_parent(tmp_path: Path) -> None:
    real = Path(os.path.realpath(tmp_path))
    assert common_parent([tmp_path / "a", tmp_path / "b" / "c"]) == real
    assert common_parent([tmp_path / "a"]) == real / "a"
    with pytest.raises(UserError, match="have no folder in common but /; say where to write with --out"):
        common_parent([tmp_path, Path("/elsewhere")])
