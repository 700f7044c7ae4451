"""The folder of a run."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from tune_lpc.results import MIN_FREE_BYTES, Journal, folder_problems, holds_run
from tune_lpc.results.folder import free_space_problem


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
    assert problem.startswith(f"{place} already holds a run; go on with it with --resume, choose another folder")
    assert [path.name for path in place.iterdir()] == [file]


@pytest.mark.parametrize("file", ["journal.jsonl", "run.json"])
def test_to_go_on_a_folder_may_hold_a_run_or_none(place: Path, file: str) -> None:
    assert folder_problems(place, resume=True) == []
    (place / file).write_text("")
    assert folder_problems(place, resume=True) == []
    assert [path.name for path in place.iterdir()] == [file]


def test_a_run_that_is_being_written_is_left_alone(place: Path) -> None:
    with Journal(place / "journal.jsonl"):
        (problem,) = folder_problems(place, resume=True)
        assert problem == f"a search is running in {place}; wait for it, or end it first"
        (problem,) = folder_problems(place)
        assert problem == f"{place} already holds a run, which is still going; choose another folder with --out"
    assert folder_problems(place, resume=True) == []


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


# Free space


def with_free(bytes_free: int, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every disk has that much free meanwhile; the folders asked about."""
    asked: list[Path] = []
    usage = namedtuple("usage", ["total", "used", "free"])

    def disk_usage(path: Path) -> tuple[int, int, int]:
        asked.append(path)
        return usage(10**12, 10**12 - bytes_free, bytes_free)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    return asked


def test_what_fits_is_no_problem(place: Path) -> None:
    free = shutil.disk_usage(place).free
    assert free_space_problem(place, 0) is None
    assert free_space_problem(place / "a" / "b", free // 2) is None


def test_what_does_not_fit_is_one_line_with_both_figures(place: Path) -> None:
    problem = free_space_problem(Path("a/b"), 10**18)
    assert problem is not None
    pattern = r"the disk of a/b has [\d,]+ MB free, but needs 1,000,000,000,000 MB; free some, or choose another folder"
    assert re.match(pattern, problem)


def test_the_disk_of_the_nearest_folder_that_exists_is_asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = with_free(5, monkeypatch)
    (place / "there").mkdir()
    assert free_space_problem(place / "there" / "a" / "b", 6) is not None
    assert asked == [place / "there"]


@pytest.mark.parametrize(("free", "told"), [(2_999_999, "has 2 MB free, but needs 3 MB"), (0, "has 0 MB free")])
def test_the_figures_never_look_alike(place: Path, monkeypatch: pytest.MonkeyPatch, free: int, told: str) -> None:
    with_free(free, monkeypatch)
    problem = free_space_problem(place, 3_000_000)
    assert problem is not None and told in problem


@pytest.mark.parametrize("resume", [False, True])
def test_a_disk_that_is_nearly_full_is_a_problem_before_the_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    with_free(MIN_FREE_BYTES, monkeypatch)
    assert folder_problems(place / "run", resume) == []
    with_free(MIN_FREE_BYTES - 1, monkeypatch)
    (problem,) = folder_problems(place / "run", resume)
    assert problem.startswith(f"the disk of {place / 'run'} has 33 MB free, but needs 34 MB")
    assert list(place.iterdir()) == []
