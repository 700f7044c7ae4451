"""run.json, and the way back from a row of a table to its trial."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.results.runs import LPC, RUN, SGD, TOPOLOGICAL, Search, largest_file
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.results import export, load_ranked, load_run, write_run
from tune_lpc.results.events import RunResumed
from tune_lpc.results.loading import sessions_of


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def test_run_file_round_trip(tmp_path: Path) -> None:
    write_run(tmp_path, {"command": "x", "seeds": {"search": 1}, "cost": math.inf})
    assert load_run(tmp_path) == {"command": "x", "seeds": {"search": 1}, "cost": None}
    assert "\n  " in (tmp_path / "run.json").read_text()


def test_a_failing_run_file_leaves_the_old_one(tmp_path: Path) -> None:
    write_run(tmp_path, RUN)
    with largest_file(10), pytest.raises(OSError, match="File too large"):
        write_run(tmp_path, {"command": "other"})
    assert load_run(tmp_path) == RUN


@pytest.mark.parametrize("content", [None, b"", b'{"command": ', b"[1]", b"\xff\xfe"])
def test_a_missing_or_damaged_run_file_is_the_users_to_mend(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(UserError, match=r"run\.json"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    "settings", [LPC, TOPOLOGICAL, SGD, {**LPC, **TOPOLOGICAL, "head": "none", "train_size": 9, "validation_size": 30}]
)
def test_a_ranked_row_gives_back_its_trial(search: Search, settings: dict[str, Any]) -> None:
    search.trial([0.1, 0.1, 0.1, 0.1])
    search.trial([0.2, 0.2, 0.2, 0.2], **settings)
    export(search.directory)
    assert load_ranked(search.directory, 1) == TrialSpec.build({"epochs": 4, **settings})
    assert load_ranked(search.directory, 2) == TrialSpec.build({"epochs": 4})


def test_a_ranked_trial_tells_in_which_sessions_it_was_trained(search: Search) -> None:
    search.placed(search.trial([0.3, 0.3, 0.3, 0.3]))
    second = search.trial([0.2, 0.2], None)
    search.placed(second)
    search.journal.write(RunResumed("resume 1", "", session={"hardware": "of the first resume"}))
    search.journal.write(RunResumed("resume 2", "", session={"hardware": "of the second"}))
    search.placed(second, (4, 2))
    export(search.directory)
    assert [facts.get("hardware", "of the beginning") for facts in sessions_of(search.directory, 2)] == [
        "of the beginning",
        "of the second",
    ]
    search.journal.path.unlink()
    assert sessions_of(search.directory, 2) == [], "the tables alone don't tell"


@pytest.mark.parametrize("rank", [-1, 0, 3])
def test_a_rank_out_of_range_says_how_many_there_are(search: Search, rank: int) -> None:
    search.trial([0.1])
    search.trial([0.2])
    export(search.directory)
    with pytest.raises(UserError, match=f"rank is {rank}, but must be from 1 to 2"):
        load_ranked(search.directory, rank)


def test_nothing_ranked_no_run_and_damage_are_told_apart(search: Search) -> None:
    with pytest.raises(UserError, match=r"has no best\.parquet"):
        load_ranked(search.directory, 1)
    search.trial([], "failed")
    export(search.directory)
    with pytest.raises(UserError, match="ranks no config"):
        load_ranked(search.directory, 1)
    (search.directory / "best.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"best\.parquet is damaged"):
        load_ranked(search.directory, 1)
