"""Tables are made anew where the journal knows more than they do, and never from a journal that knows less."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.results.runs import RUN, Search
from tune_lpc.plan import UserError
from tune_lpc.results import Journal, export, write_run
from tune_lpc.results.refreshing import refresh

TABLE = "trials.parquet"
MADE_BY = {"versions": {"tune_lpc": "0.2.0"}}


def begun(folder: Path) -> Search:
    """A search as it begins, with its run.json."""
    write_run(folder, {**RUN, **MADE_BY})
    return Search(folder, **MADE_BY)


def go_on(search: Search) -> None:
    search.journal = Journal(search.directory / "journal.jsonl")
    search.trial([0.25] * 4)


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """A search of two trials, with its tables."""
    found = begun(tmp_path)
    for score in (0.5, 0.75):
        found.trial([score] * 4)
    found.journal.close()
    export(tmp_path)
    return found


def rows(folder: Path) -> int:
    return int(pq.read_metadata(folder / TABLE).num_rows)


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def test_whole_tables_stay_as_they_are(search: Search) -> None:
    before = (search.directory / TABLE).stat().st_ino
    assert refresh(search.directory) == []
    assert (search.directory / TABLE).stat().st_ino == before


def test_what_was_journalled_since_is_taken_in(search: Search) -> None:
    go_on(search)
    search.journal.close()
    assert refresh(search.directory) == []
    assert rows(search.directory) == 3


def test_a_search_that_is_going_on_is_taken_as_it_is(search: Search) -> None:
    go_on(search)
    assert refresh(search.directory) == []
    assert rows(search.directory) == 3


def test_a_search_that_was_killed_before_it_wrote_tables_has_them_then(tmp_path: Path) -> None:
    search = begun(tmp_path)
    search.trial([0.5] * 4)
    search.journal.close()
    assert refresh(tmp_path) == []
    assert rows(tmp_path) == 1


def test_a_damaged_table_is_told_and_made_anew(search: Search) -> None:
    cut(search.directory / TABLE, 0.5)
    assert [line.split(":")[0] for line in refresh(search.directory)] == [f"{TABLE} is cut"]
    assert rows(search.directory) == 2 and refresh(search.directory) == []


def test_nothing_is_made_anew_from_a_journal_that_was_cut(search: Search) -> None:
    cut(search.directory / "journal.jsonl", 0.4)
    assert any(line.startswith("journal.jsonl") for line in refresh(search.directory))
    assert rows(search.directory) == 2


def test_but_where_there_is_no_table_what_is_left_of_it_is_taken(search: Search) -> None:
    cut(search.directory / "journal.jsonl", 0.6)
    (search.directory / TABLE).unlink()
    assert refresh(search.directory)
    assert rows(search.directory) == 1


def test_without_a_journal_the_tables_stay(search: Search) -> None:
    (search.directory / "journal.jsonl").unlink()
    assert any("journal.jsonl is missing" in line for line in refresh(search.directory))
    assert rows(search.directory) == 2


def test_without_anything_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        refresh(tmp_path)
