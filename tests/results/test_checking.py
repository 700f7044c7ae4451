"""Folders that were altered in every way: each file is named; whole ones pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.pages.made import made_run
from tune_lpc.plan import UserError
from tune_lpc.results import export, load_run, write_run
from tune_lpc.results.checking import problems_of
from tune_lpc.results.manifest import MANIFEST_FILE

OLD_RUN = Path(__file__).parents[1] / "journals" / "version-0.1.0" / "finished"
FILES = (
    "trials.parquet",
    "epochs.parquet",
    "best.parquet",
    "rungs.parquet",
    "fidelity.parquet",
    "placements.parquet",
    "front.parquet",
    "importance.parquet",
    "run.json",
    "journal.jsonl",
    MANIFEST_FILE,
)
OBJECTIVES = ("validation_accuracy", "measure.nc2_equinorm:min")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two searches, of other sizes."""
    folder = tmp_path_factory.mktemp("runs")
    one = made_run(folder / "one", 8, control=2, objectives=OBJECTIVES)
    return one, made_run(folder / "other", 9, control=2, objectives=OBJECTIVES)


@pytest.fixture
def whole(runs: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs[0], tmp_path / "run"))


def test_a_whole_folder_has_no_problems(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} >= set(FILES)
    assert problems_of(whole) == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", ["missing", "cut", "one byte", "of another run"])
def test_each_file_that_was_altered_is_named(name: str, change: str, whole: Path, runs: tuple[Path, Path]) -> None:
    path = whole / name
    content = path.read_bytes()
    if change == "missing":
        path.unlink()
    elif change == "cut":
        path.write_bytes(content[: len(content) * 2 // 3])
    elif change == "one byte":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        shutil.copy(runs[1] / name, path)
    assert [problem for problem in problems_of(whole) if name in problem]


def test_a_journal_that_is_cut_between_two_entries_is_named(whole: Path) -> None:
    path = whole / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-5]))
    assert any(problem.startswith("journal.jsonl is cut") for problem in problems_of(whole))


def test_several_problems_are_told_at_once(whole: Path) -> None:
    (whole / "best.parquet").unlink()
    (whole / "rungs.parquet").write_bytes(b"")
    (whole / "run.json").write_text("{}")
    told = "\n".join(problems_of(whole))
    assert all(name in told for name in ("best.parquet", "rungs.parquet", "run.json"))


def test_what_the_tool_itself_writes_later_is_whole(whole: Path) -> None:
    write_run(whole, {**load_run(whole), "test_openings": []})
    assert problems_of(whole) == []
    export(whole)
    assert problems_of(whole) == []


def test_without_a_manifest_the_content_is_compared(whole: Path, runs: tuple[Path, Path]) -> None:
    (whole / MANIFEST_FILE).unlink()
    assert problems_of(whole) == [f"{MANIFEST_FILE} is missing"]
    shutil.copy(runs[1] / "trials.parquet", whole / "trials.parquet")
    assert any(problem.startswith("trials.parquet") for problem in problems_of(whole))


def test_a_run_of_an_old_version_is_checked_as_far_as_can_be(tmp_path: Path) -> None:
    old = Path(shutil.copytree(OLD_RUN, tmp_path / "old"))
    assert problems_of(old) == []
    (old / "epochs.parquet").write_bytes((old / "epochs.parquet").read_bytes()[:-200])
    assert any(problem.startswith("epochs.parquet is damaged") for problem in problems_of(old))


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        problems_of(tmp_path)
