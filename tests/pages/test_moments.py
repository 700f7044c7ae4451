"""When things happened in a search: time between its processes is left out, and every stay on a worker has an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune_lpc.pages.moments import ENDED, PLACED, Stay, Times, read_times
from tune_lpc.results import JOURNAL_FILE, Journal


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two processes an hour apart: the first was killed."""
    path, now = tmp_path / JOURNAL_FILE, [1000.0]
    monkeypatch.setattr("tune_lpc.results.journal.time.time", lambda: now[0])
    with Journal(path) as journal:

        def at(time: float, kind: str, **fields: object) -> None:
            now[0] = time
            journal.append(kind, **fields)

        at(1000, "run_started", run={})
        at(1036, "trial_placed", trial_id="a", host="one", pid=7)
        at(1040, "epoch", trial_id="a", record={})
        at(1072, "trial_restarted", trial_id="a", reason="lost")
        at(1108, "trial_placed", trial_id="a", host="one", pid=8)
        at(1180, "trial_placed", trial_id="b", host="two", pid=9)
        at(4780, "run_resumed", command="", started="")
        at(4816, "trial_placed", trial_id="b", host="two", pid=10)
        at(4852, "trial_ended", trial_id="b", status="completed", reason="")
        at(4888, "run_ended", outcome="finished", reason="")
    return path


def test_hours_are_those_in_which_a_process_drove_the_search(journal: Path) -> None:
    times = read_times(journal)
    assert times.hours == pytest.approx((180 + 108) / 3600)
    assert (times.ended, times.sessions) == ("finished", 2)
    assert times.ends() == {"b": pytest.approx((180 + 72) / 3600)}
    assert [moment.kind for moment in times.moments].count(PLACED) == 4


def test_a_stay_lasts_until_its_end_a_restart_the_next_stay_or_now(journal: Path) -> None:
    found = [(stay.trial_id, stay.worker, round(stay.start * 3600), round(stay.end * 3600))
             for stay in read_times(journal).stays()]  # fmt: skip
    assert found == [
        ("a", "one:7", 36, 72),
        ("a", "one:8", 108, 288),
        ("b", "two:9", 180, 216),
        ("b", "two:10", 216, 252),
    ]


def test_a_search_that_goes_on_has_not_ended(tmp_path: Path) -> None:
    with Journal(tmp_path / JOURNAL_FILE) as journal:
        journal.append("run_started", run={})
        journal.append("run_ended", outcome="interrupted", reason="")
        journal.append("run_resumed", command="", started="")
    assert read_times(tmp_path / JOURNAL_FILE).ended is None


def test_without_a_journal_there_are_no_times(tmp_path: Path) -> None:
    assert read_times(tmp_path / JOURNAL_FILE) == Times()


def test_an_end_alone_is_no_stay(tmp_path: Path) -> None:
    with Journal(tmp_path / JOURNAL_FILE) as journal:
        journal.append("run_started", run={})
        journal.append("trial_ended", trial_id="a", status="failed", reason="")
    times = read_times(tmp_path / JOURNAL_FILE)
    assert times.moments[0].kind == ENDED and times.stays() == list[Stay]()
