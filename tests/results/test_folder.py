"""The folder of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune_lpc.results import folder_problems, holds_run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["run", "a/b/c", "a b/c d/../é", "../{}/run", ".", "a/.."])
def test_a_folder_that_can_be_written_has_no_problem_and_nothing_stays_behind(place: Path, name: str) -> None:
    name = name.format(place.name)
    assert folder_problems(Path(name)) == []
    assert folder_problems(place / name) == []
    assert list(place.iterdir()) == []


def test_what_was_there_stays(place: Path) -> None:
    (place / "old" / "empty").mkdir(parents=True)
    assert folder_problems(place / "old" / "new" / "run") == []
    assert folder_problems(place / "old" / "empty") == []
    assert [path.name for path in (place / "old").iterdir()] == ["empty"]


def test_a_way_through_a_link_leads_where_the_link_points(place: Path) -> None:
    (place / "real" / "inside").mkdir(parents=True)
    (place / "real" / "run.json").write_text("{}")
    (place / "link").symlink_to(place / "real" / "inside")
    (problem,) = folder_problems(Path("link/.."))
    assert "already holds a run" in problem


@pytest.mark.parametrize("file", ["journal.jsonl", "run.json"])
def test_a_folder_that_holds_a_run_is_a_problem(place: Path, file: str) -> None:
    (place / file).write_text("")
    assert holds_run(place)
    (problem,) = folder_problems(place)
    assert problem.startswith(f"{place} already holds a run; choose another folder")
    assert [path.name for path in place.iterdir()] == [file]


def test_a_folder_without_a_run_holds_none(place: Path) -> None:
    assert not holds_run(place)
    assert not holds_run(place / "missing")


def test_a_place_that_cannot_be_written_is_one_line_that_names_it(place: Path) -> None:
    (place / "file").write_text("")
    for name in ("file", "file/run", "file/a/run"):
        (problem,) = folder_problems(Path(name))
        assert problem.startswith(f"the output folder {name} can't be written (")
        assert problem.endswith("choose another with --out")
    assert [path.name for path in place.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["x" * 300, "new/" + "x" * 300, "x" * 300 + "/run"])
def test_a_name_that_is_too_long_is_one_line_and_nothing_stays_behind(place: Path, name: str) -> None:
    (problem,) = folder_problems(Path(name))
    assert problem.startswith(f"the output folder {name} can't be written (File name too long)")
    assert list(place.iterdir()) == []


def test_links_in_a_circle_are_one_line(place: Path) -> None:
    (place / "a").symlink_to(place / "b")
    (place / "b").symlink_to(place / "a")
    (problem,) = folder_problems(Path("a/run"))
    assert problem.startswith("the output folder a/run can't be written (")


def test_a_nul_in_the_name_is_one_line(place: Path) -> None:
    (problem,) = folder_problems(Path("a\0b"))
    assert problem.startswith(r"the output folder 'a\x00b' can't be written (a NUL in its name)")
    assert list(place.iterdir()) == []
