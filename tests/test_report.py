"""The command `python -m tune_lpc.report`: of whole, running and damaged folders."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.pages.made import made_run
from tune_lpc.report import main, report_lines
from tune_lpc.results import load_run, write_run

OLD_RUN = Path(__file__).parent / "journals" / "version-0.1.0" / "finished"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made_run(tmp_path_factory.mktemp("runs") / "run", 24, control=4)
    assert main([str(folder)]) == 0
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_the_page_needs_nothing_else(made: Path) -> None:
    text = (made / "report.html").read_text(encoding="utf-8")
    before_scripts = text[: text.index('<script type="application/json"')]
    assert not re.search(r"(src|href)=\"(?!#)", before_scripts)
    assert all(level in text for level in ("PASS", "WARNING"))
    assert "made, lpc" in text and "f" * 64 in text


def test_each_figure_is_there_for_papers(made: Path) -> None:
    names = {path.name for path in (made / "figures").iterdir()}
    stems = {Path(name).stem for name in names}
    assert {"best_by_epochs", "learning_curves", "importance", "phase_map", "parameter_learning_rate"} <= stems
    assert names == {f"{stem}.{ending}" for stem in stems for ending in ("svg", "png", "pdf")}
    assert (made / "figures" / "costs.pdf").read_bytes().startswith(b"%PDF")
    assert (made / "figures" / "costs.png").read_bytes().startswith(b"\x89PNG")


def test_importance_is_told_of_trained_and_of_all_trials(made: Path) -> None:
    table = pq.read_table(made / "importance.parquet").to_pandas()
    assert set(table["trials"]) == {"completed", "completed and stopped"}
    every = table[table["trials"] == "completed and stopped"]
    assert every["importance"].sum() == pytest.approx(1)
    assert set(every["parameter"]) == {"learning_rate", "gamma_ramp", "gamma_end", "dropout"}


@pytest.mark.parametrize("name", ["trials.parquet", "best.parquet", "epochs.parquet", "run.json", "journal.jsonl"])
def test_a_damaged_folder_has_a_page_of_what_is_whole(
    name: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / name
    path.write_bytes(path.read_bytes()[:100])
    (copied / "report.html").unlink()
    assert main([str(copied), "--no-figures"]) == 0
    assert (copied / "report.html").stat().st_size > 500_000


def test_without_a_journal_the_tables_are_taken_as_they_are(copied: Path) -> None:
    (copied / "journal.jsonl").unlink()
    (copied / "best.parquet").unlink()
    assert main([str(copied), "--no-figures"]) == 0
    assert "best.parquet is missing" in (copied / "report.html").read_text(encoding="utf-8")


def test_a_run_of_an_old_version_has_a_page(tmp_path: Path) -> None:
    folder = shutil.copytree(OLD_RUN, tmp_path / "old")
    assert main([str(folder), "--no-figures"]) == 0


def test_a_folder_without_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds no run" in line


def test_a_page_that_can_not_be_written_does_a_search_no_harm(copied: Path) -> None:
    (copied / "trials.parquet").unlink()
    (line,) = report_lines(copied)
    assert line.startswith("no page could be written") and "python -m tune_lpc.report" in line


def test_what_a_file_says_can_not_break_out_of_the_page(copied: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    write_run(copied, {**load_run(copied), "command": evil, "method": evil})
    trials = pq.read_table(copied / "trials.parquet")
    place = trials.column_names.index("status")
    trials = trials.set_column(place, trials.field(place), [[evil] * len(trials)])
    pq.write_table(trials, copied / "trials.parquet")
    (copied / "journal.jsonl").unlink()
    assert main([str(copied), "--no-figures"]) == 0
    page = (copied / "report.html").read_text(encoding="utf-8")
    assert evil not in page and page.count("</script>") == 3
