"""Several runs beside each other: told apart by the shortest names, each leading to its own page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.pages.made import made_run
from tune_lpc.pages.folder import Run
from tune_lpc.pages.overview import names_of
from tune_lpc.pages.writing import write_overview, write_report
from tune_lpc.report import main


def run(folder: str, space: str, method: str | None) -> Run:
    about: dict[str, Any] = {"space": {"name": space}, **({} if method is None else {"method": method})}
    return Run(Path(folder), about, {})


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        ([run("a", "digits", "lpc"), run("b", "digits", "vanilla")], ["lpc", "vanilla"]),
        ([run("a", "digits", "lpc"), run("b", "mnist", "lpc")], ["digits, lpc", "mnist, lpc"]),
        ([run("x/a", "digits", "lpc"), run("x/b", "digits", "lpc")], ["a", "b"]),
        ([run("x/a", "digits", "lpc"), run("y/a", "digits", "lpc")], ["x/a", "y/a"]),
        ([run("x/a", "digits", None)], ["digits"]),
    ],
)
def test_runs_have_the_shortest_names_that_tell_them_apart(runs: list[Run], names: list[str]) -> None:
    assert list(names_of(runs)) == names


def test_the_page_leads_to_the_page_of_each_that_has_one(tmp_path: Path) -> None:
    folders = [made_run(tmp_path / name, count) for name, count in (("one two", 4), ("none", 0))]
    write_report(folders[0], with_figures=False)
    text = write_overview(folders, tmp_path).read_text(encoding="utf-8")
    assert 'href="one%20two/report.html"' in text and 'href="none/' not in text
    assert "2 searches" in text


def test_the_command_writes_a_page_of_each_folder_and_one_of_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [made_run(tmp_path / "all" / name, 3) for name in ("a", "b")]
    assert main([str(tmp_path / "all"), "--no-figures"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"page of all: {tmp_path / 'all' / 'runs.html'}"
    assert all((folder / "report.html").is_file() for folder in folders)


def test_one_folder_has_no_page_of_all(tmp_path: Path) -> None:
    made_run(tmp_path / "a", 2)
    assert main([str(tmp_path / "a"), "--no-figures"]) == 0
    assert not list(tmp_path.rglob("runs.html"))
