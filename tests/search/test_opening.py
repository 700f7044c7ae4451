"""The folder of a run when its search begins or goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.results.runs import record
from tests.search.folders import RUN, SESSION, Made, everything_in
from tests.search.searches import SPACE
from tune_lpc.plan import UserError
from tune_lpc.results import JOURNAL_FILE, Journal, export, load_run, read_journal, read_ledger
from tune_lpc.results.events import EpochDone, RunEnded, Status, TrialPlaced, TrialStarted, trial_id_of

# A run that begins


@pytest.mark.parametrize("resume", [False, True])
def test_where_there_is_none_a_run_begins(opened: Any, resume: bool) -> None:
    new = opened(resume=resume)
    assert (new.is_new, new.to_come, new.ledger.run, new.left_out) == (True, 6, {}, [])
    assert not new.folder.exists(), "nothing is written before the search begins"
    new.begin(RUN).write(RunEnded("finished", ""))
    assert [entry["kind"] for entry in read_journal(new.folder / JOURNAL_FILE)[0]] == ["run_started", "run_ended"]
    assert load_run(new.folder) == json.loads(json.dumps(RUN))
    assert new.ledger.run == RUN and new.ledger.fidelity is not None
    assert new.ledger.fidelity.runs() == SPACE.fidelity.runs()


def test_of_two_searches_that_begin_in_the_same_folder_one_gets_it(opened: Any) -> None:
    first, second = opened(resume=False), opened(resume=False)
    first.begin(RUN)
    with pytest.raises(UserError, match=r"another search has just begun in .*/run; choose another folder with --out"):
        second.begin(RUN)


def test_a_run_begins_in_an_empty_journal(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / JOURNAL_FILE).touch()  # killed before the first entry
    again = opened()
    assert (again.is_new, again.to_come) == (True, 6)
    again.begin(RUN)
    assert [entry["kind"] for entry in read_journal(tmp_path / "run" / JOURNAL_FILE)[0]] == ["run_started"]


def test_a_run_begins_again_where_not_even_its_beginning_was_written_whole(opened: Any, made: Made) -> None:
    made.path.write_bytes(made.path.read_bytes()[:40])
    (made.folder / "run.json").unlink()
    again = opened()
    assert again.is_new
    assert again.left_out == ["line 1 is cut off: its checksum does not match"]
    again.begin(RUN)
    assert made.kinds() == ["run_started"]


def test_the_time_of_earlier_sessions_counts_with_what_their_start_took(
    opened: Any, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = read_journal(made.path)[0][0]["time"]
    monkeypatch.setattr("tune_lpc.results.journal.time.time", lambda: started + 100.0)
    made.trial(0, 3)
    second = opened()
    assert second.seconds == pytest.approx(100.0)
    monkeypatch.setattr("tune_lpc.results.journal.time.time", lambda: started + 9000.0)
    second.go_on("", {**SESSION, "time": {"hours": None, "gpu_hours": None, "startup_seconds": 12.5}})
    second.close()
    monkeypatch.setattr("tune_lpc.results.journal.time.time", lambda: started + 9007.0)
    made.trial(1, 1)
    assert opened().seconds == pytest.approx(100.0 + 12.5 + 7.0)


def damage_the_first_line(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


READ_OF_IT = ("space", "space_hash", "rungs", "seeds", "measures", "versions", "data", "split_hash")


def test_a_beginning_lost_later_is_taken_from_run_json(opened: Any, made: Made) -> None:
    made.trial(0, 12, Status.COMPLETED)
    made.trial(1, 3)
    damage_the_first_line(made.path)
    again = opened()
    assert again.to_come == 5
    assert again.left_out == ["line 1 is damaged: its checksum does not match"]
    assert again.ledger.arrivals == {3: {0: 0.5, 1: 0.5}}, "the rungs are counted from the first epoch on"
    again.go_on("", SESSION)
    entries, _ = read_journal(made.path)
    assert [entry["kind"] for entry in entries][-2:] == ["run_started", "run_resumed"]
    assert entries[-2]["run"] == json.loads(json.dumps(RUN))
    again.close()
    third = opened()
    assert third.ledger.arrivals == again.ledger.arrivals
    third.go_on("", SESSION)
    assert made.kinds().count("run_started") == 1, "now it is there"


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        "{}",
        '{"note": "mine"}',
        *(json.dumps({name: value for name, value in RUN.items() if name != lacking}) for lacking in READ_OF_IT),
        *(json.dumps({**RUN, damaged: 3}) for damaged in READ_OF_IT),
        json.dumps({**RUN, "space": {**RUN["space"], "dimensions": 3}}),
        json.dumps({**RUN, "space": {**RUN["space"], "trials": float("nan")}}),
    ],
)
def test_a_run_of_which_nothing_says_what_it_was_cannot_be_gone_on_with(
    opened: Any, made: Made, content: str | None
) -> None:
    made.trial(0, 2)
    damage_the_first_line(made.path)
    if content is None:
        (made.folder / "run.json").unlink()
    else:
        (made.folder / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"neither journal\.jsonl nor run\.json says what was run"):
        opened()
    Journal(made.path).close()  # it is left for others


def test_a_run_whose_journal_is_gone_is_not_written_over(opened: Any, made: Made) -> None:
    made.path.unlink()
    with pytest.raises(UserError, match=r"can't be resumed: its journal\.jsonl is gone"):
        opened()


def test_a_journal_that_is_no_file_is_a_problem_in_a_line(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "run" / JOURNAL_FILE).mkdir(parents=True)
    with pytest.raises(UserError, match=r"journal\.jsonl can't be written \(Is a directory\)"):
        opened()


# A run that goes on


def test_a_run_goes_on_with_what_is_left(opened: Any, made: Made) -> None:
    made.trial(0, 12, Status.COMPLETED)
    made.trial(1, 3, Status.STOPPED)
    made.trial(2, 2, Status.FAILED)
    made.trial(3, 11, Status.COMPLETED)  # its last epoch was lost
    before = everything_in(made.folder)
    again = opened()
    assert (again.is_new, again.to_come) == (False, 4)
    assert everything_in(made.folder) == before, "nothing is written before the search begins"
    again.go_on("python -m tune_lpc.run small --resume", SESSION)
    *_, entry = read_journal(made.path)[0]
    assert (entry["kind"], entry["command"]) == ("run_resumed", "python -m tune_lpc.run small --resume")
    assert entry["left_out"] == []


def test_a_long_run_is_opened_without_all_its_events_in_memory(opened: Any, made: Made) -> None:
    with Journal(made.path) as journal:
        journal.write(TrialStarted(trial_id_of(0), 0, SPACE.trial({"learning_rate": 0.01}).as_dict()))
        for number in range(3000):
            journal.write(EpochDone(trial_id_of(0), record(1 + number % 9, number / 3001, 9)))
    tracemalloc.start()
    run = opened()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert run.ledger.trials[trial_id_of(0)].epochs_repeated == 3000 - 9
    assert most < 2**20, "an event alone takes half a kilobyte"


def test_what_goes_on_is_what_the_journal_tells(opened: Any, made: Made) -> None:
    made.trial(0, 12, Status.COMPLETED)
    made.trial(1, 3)
    again = opened()
    again.go_on("", SESSION)
    told, _ = read_ledger(made.path)
    assert [trial.status for trial in again.ledger.in_order()] == [trial.status for trial in told.in_order()]
    assert (again.ledger.arrivals, again.ledger.sessions) == (told.arrivals, told.sessions)


def test_a_cut_tail_is_left_out_and_said(opened: Any, made: Made) -> None:
    made.trial(0, 3)
    made.path.write_bytes(made.path.read_bytes()[:-20])
    again = opened()
    assert again.left_out == ["line 5 is cut off: its checksum does not match"]
    assert again.ledger.trials[trial_id_of(0)].position((3, 9)) == (3, 2)
    again.go_on("", SESSION)
    *_, entry = read_journal(made.path)[0]
    assert (entry["kind"], entry["left_out"]) == ("run_resumed", again.left_out)


@pytest.mark.parametrize("content", [None, b"", b'{"command": "pyth', b'{"note": "mine"}'])
def test_run_json_is_written_again_from_the_journal(opened: Any, made: Made, content: bytes | None) -> None:
    whole = load_run(made.folder)
    if content is None:
        (made.folder / "run.json").unlink()
    else:
        (made.folder / "run.json").write_bytes(content)
    opened().go_on("", SESSION)
    run = load_run(made.folder)
    assert len(run.pop("sessions")) == 1
    assert run == whole


# Each process that drove a search


def test_every_session_is_told_with_its_versions_hardware_and_resources(opened: Any, made: Made) -> None:
    made.trial(0, 2)
    sessions = [SESSION, {**SESSION, "versions": {"torch": "4"}}]
    for number, session in enumerate(sessions, start=1):
        again = opened()
        journal = again.go_on(f"resume {number}", session)
        placed = TrialPlaced(trial_id_of(0), f"host {number}", number, (3, 2), [])
        journal.write(placed)
        again.ledger.apply(placed)
        again.close()
    told = load_run(made.folder)["sessions"]
    assert [{name: one[name] for name in SESSION} for one in told] == sessions
    assert [(one["session"], one["command"]) for one in told] == [(1, "resume 1"), (2, "resume 2")]
    assert all(one["started"] for one in told)
    entries = [entry for entry in read_journal(made.path)[0] if entry["kind"] == "run_resumed"]
    assert [entry["session"] for entry in entries] == sessions
    export(made.folder)
    placements = pd.read_parquet(made.folder / "placements.parquet")
    assert list(zip(placements["session"], placements["host"], strict=True)) == [(1, "host 1"), (2, "host 2")]
    ledger, _ = read_ledger(made.path)
    assert [session.facts for session in ledger.sessions[1:]] == sessions
    assert ledger.sessions[0].facts["versions"] == {"tune_lpc": "0.2.0"}


def test_the_sessions_in_run_json_are_no_part_of_what_was_run(opened: Any, made: Made) -> None:
    made.trial(0, 2)
    one = opened()
    one.go_on("resume 1", SESSION)
    one.close()
    damage_the_first_line(made.path)
    opened().go_on("resume 2", SESSION)
    *_, started, _ = read_journal(made.path)[0]
    assert started["run"] == json.loads(json.dumps(RUN))
    assert [session["command"] for session in load_run(made.folder)["sessions"]] == ["resume 1", "resume 2"]


def test_a_search_that_is_made_longer_says_so_and_keeps_its_sessions(opened: Any, made: Made) -> None:
    made.trial(0, 12, Status.COMPLETED)
    longer = replace(SPACE, trials=10)
    again = opened(space=longer)
    assert again.to_come == 9
    again.go_on("--trials 10", SESSION)
    again.close()
    assert made.kinds()[-2:] == ["run_started", "run_resumed"]
    run = load_run(made.folder)
    assert (run["space"]["trials"], run["space_hash"]) == (10, longer.hash())
    third = opened(space=longer)
    third.go_on("again", SESSION)
    assert [one["command"] for one in load_run(made.folder)["sessions"]] == ["--trials 10", "again"]
    assert made.kinds().count("run_started") == 2


# Another process that writes

HOLD = """
import sys
from pathlib import Path
from tune_lpc.results import Journal
journal = Journal(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_that_another_process_writes_is_refused_until_that_ends(opened: Any, made: Made) -> None:
    command = [sys.executable, "-c", HOLD, str(made.path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"a search is running in .*/run; wait for it, or end it first"):
            opened()
    finally:
        holder.kill()
        holder.communicate()
    assert opened().to_come == 6
