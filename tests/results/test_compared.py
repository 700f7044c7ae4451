"""Which folders are compared, under which labels, and what keeps searches from being compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.results.confirmations import change_rows, change_run, confirmed, network, networks, three
from tune_lpc.plan import UserError
from tune_lpc.results.compared import check_comparable, load_compared, on_the_same_images


def problems(*folders: Path) -> list[str]:
    with pytest.raises(UserError) as told:
        check_comparable(load_compared(folders))
    return told.value.problems


def labels(*folders: Path) -> list[str]:
    return [search.label for search in load_compared(folders)]


def two(folder: Path) -> tuple[Path, Path]:
    rows = networks([0.9, 0.95])
    return confirmed(folder / "one", rows), confirmed(folder / "two", [{**row, "method": "lpc"} for row in rows])


# Folders and labels


def test_a_parent_stands_for_its_searches_in_the_order_of_the_methods(tmp_path: Path) -> None:
    three(tmp_path)
    (tmp_path / "notes").mkdir()
    assert labels(tmp_path) == ["vanilla", "lpc", "sliding"]
    assert labels(tmp_path / "sliding", tmp_path / "vanilla") == ["sliding", "vanilla"], "as given"


def test_what_is_read_of_a_search(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "one", networks([0.9]), trials=4, epochs=3, further_seeds=2)
    (search,) = load_compared([folder])
    assert (search.method, search.directory, len(search.networks)) == ("vanilla", folder, 1)
    assert (search.budget.trials, search.budget.further_seeds, search.budget.epochs) == (4, 2, 18)
    assert search.fact("data.fingerprint") == "digits"
    assert search.fact("data.nothing") is search.fact("command.nothing") is None


def test_searches_of_the_same_method_have_their_folder_in_the_label(tmp_path: Path) -> None:
    for name in ("a/vanilla", "b/vanilla", "b/tpe"):
        confirmed(tmp_path / name, networks([0.9]))
    confirmed(tmp_path / "b/lpc", networks([0.9], method="lpc"))
    first, second = tmp_path / "a" / "vanilla", tmp_path / "b" / "vanilla"
    assert labels(first, tmp_path / "b" / "tpe") == ["vanilla (vanilla)", "vanilla (tpe)"]
    expected = [f"vanilla ({first})", f"vanilla ({second})", "vanilla (tpe)", "lpc"]
    assert labels(first, second, tmp_path / "b" / "tpe", tmp_path / "b" / "lpc") == expected


def test_a_label_can_be_printed(tmp_path: Path) -> None:
    for name in ("a\nb", "c\x1b[31m"):
        confirmed(tmp_path / name, networks([0.9]))
    assert labels(tmp_path) == ["vanilla (a?b)", "vanilla (c?[31m)"]


def test_all_that_is_missing_or_damaged_is_told_at_once(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    (one / "confirm.parquet").unlink()
    (other / "confirm.parquet").write_bytes(b"PAR1")
    empty = tmp_path / "empty"
    empty.mkdir()
    lines = problems(one, other, tmp_path / "nowhere", empty)
    assert len(lines) == 4
    assert lines[0] == f"{one} is not confirmed: it has no confirm.parquet; run python -m tune_lpc.confirm {one}"
    assert "confirm.parquet is damaged, it must be a Parquet file" in lines[1]
    assert lines[2] == f"{tmp_path / 'nowhere'} holds no run: there is no such folder; check the path"
    assert lines[3] == f"{empty} holds no run: it has no run.json"


def test_a_search_is_there_once_however_often_it_is_named(tmp_path: Path) -> None:
    one, _ = two(tmp_path)
    (tmp_path / "again").symlink_to(one)
    assert labels(one, tmp_path / "two" / ".." / "one", one) == ["vanilla"]
    assert labels(tmp_path / "two", tmp_path) == ["lpc", "vanilla"]


@pytest.mark.parametrize("name", ["\0", "x" * 300])
def test_a_name_that_no_folder_has_is_one_line(name: str) -> None:
    (line,) = problems(Path(name))
    assert "can't be read" in line


# What keeps searches from being compared


def test_searches_of_the_same_images_are_compared_without_a_word(tmp_path: Path) -> None:
    assert check_comparable(load_compared(two(tmp_path))) == []


def test_other_images_and_another_split_are_refused(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    third = confirmed(tmp_path / "three", networks([0.9]), split_hash="another")
    change_run(other, data={"fingerprint": "mnist"}, split_hash="its own")
    lines = problems(one, other, third)
    assert lines == [
        f"{other} can't be compared with {one}: their images differ (data.fingerprint); search both on the same images",
        f"{third} can't be compared with {one}: other images of the same data train and validate (split_hash); "
        "search both with the same split, train_size and validation images",
    ]


def test_other_test_images_are_refused(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    change_rows(other, test_images=359)
    (line,) = problems(one, other)
    assert line.startswith("the networks were not tested on the same images: vanilla on 360, lpc on 359")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"precision": "bfloat16"}, "precision differs: vanilla float32, lpc bfloat16"),
        ({"space": {"name": "mine"}}, "space differs: vanilla digits, lpc mine"),
        ({"versions": {"tune_lpc": "0.2.0", "torch": "2.15"}}, "version of torch differs: vanilla 2.14, lpc 2.15"),
        ({"precision": None}, "precision differs: vanilla float32, lpc unknown"),
    ],
)
def test_what_else_differs_is_told(facts: dict[str, Any], told: str, tmp_path: Path) -> None:
    one, other = two(tmp_path)
    change_run(other, **facts)
    assert check_comparable(load_compared([one, other])) == [told]


def test_networks_of_one_training_set_are_compared(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    change_rows(other, train_on="all")
    with pytest.raises(UserError, match=r"trained on other images: vanilla on train, lpc on all; confirm all with"):
        on_the_same_images(load_compared([one, other]))
    change_rows(one, train_on="all")
    kept, notes = on_the_same_images(load_compared([one, other]))
    assert [len(search.networks) for search in kept] == [2, 2]
    assert notes == ["all networks were trained on the validation images too: another regime than that of the search"]


def test_networks_of_another_training_set_are_left_out_and_told(tmp_path: Path) -> None:
    both = confirmed(tmp_path / "both", [*networks([0.9]), network(0.8, 0, train_on="all")])
    plain = confirmed(tmp_path / "plain", networks([0.9], method="lpc"))
    kept, notes = on_the_same_images(load_compared([both, plain]))
    assert [[each.train_on for each in search.networks] for search in kept] == [["train"], ["train"]]
    assert notes == ["vanilla: its networks trained on all are left out, as those of the others are trained on train"]
