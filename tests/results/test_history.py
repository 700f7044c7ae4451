"""What a journal tells, where the tables don't show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results.runs import RUN, Search
from tune_lpc.results import read_journal
from tune_lpc.results.history import History, history_of


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def told(search: Search) -> History:
    return history_of(read_journal(search.directory / "journal.jsonl")[0])


def test_a_resume_changes_no_trial(search: Search) -> None:
    trial_id = search.trial([0.1, 0.2], None)
    for number in (1, 2):
        resumed = {"command": f"resume {number}", "started": "2026-11-22", "left_out": ["line 3 is cut off"]}
        search.journal.append("run_resumed", **resumed)
        search.journal.append("trial_placed", trial_id=trial_id, host="a", pid=1, continued_from=[4, 2], left_out=[])
        search.journal.append("paused", reason="the disk is full")
    history = told(search)
    assert history.run == RUN
    (trial,) = history.trials
    assert (trial.status, trial.epochs, trial.epochs_trained, trial.restarts) == ("interrupted", 2, 2, 0)


def test_a_resumed_trial_keeps_what_it_was_and_loses_its_end(search: Search) -> None:
    trial_id = search.trial([0.1], "failed")
    config = told(search).trials[0].config
    search.journal.append("trial_started", trial_id=trial_id, number=0, config=config, control=True)
    (trial,) = told(search).trials
    assert (trial.status, trial.reason, trial.control, trial.epochs) == ("interrupted", None, False, 1)


def test_the_run_that_a_trial_is_judged_by(search: Search) -> None:
    nothing, short, climbing, long = (search.start() for _ in range(4))
    search.run(short, 2, [0.1])
    search.run(climbing, 2, [0.1, 0.2])
    search.run(climbing, 4, [0.3])
    search.run(long, 4, [0.1, 0.2])
    trials = {trial.trial_id: trial for trial in told(search).trials}
    assert trials[nothing].judged is None and trials[nothing].longest is None
    assert trials[short].judged is None and trials[short].budget == 2
    assert trials[climbing].budget == 4
    judged = [trials[name].judged for name in (climbing, long)]
    assert [(run.budget, run.epochs) for run in judged if run is not None] == [(2, 2), (4, 2)]
