"""The folder of a run when its search begins or goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.results.runs import record
from tests.search.searches import CLIMB, SPACE, run_of
from tune_lpc.plan import Float, Space, UserError
from tune_lpc.plan.schedules import SCHEDULES_VERSION
from tune_lpc.results import JOURNAL_FILE, Journal, Ledger, export, load_run, read_journal, read_ledger, write_run
from tune_lpc.results.events import (
    EpochDone,
    RunEnded,
    RunStarted,
    Status,
    TrialEnded,
    TrialPlaced,
    TrialStarted,
    trial_id_of,
)
from tune_lpc.search.opening import Identity, OpenRun, open_run

IDENTITY = Identity(SPACE, "of the images", "of the split", ("entropy",))
RUN = run_of(
    SPACE,
    schedules=SCHEDULES_VERSION,
    seeds={"sampler": SPACE.seed},
    measures={"entropy": "text"},
    data={"fingerprint": "of the images"},
    split_hash="of the split",
    space_hash=SPACE.hash(),
    versions={"tune_lpc": "0.2.0"},
)
SESSION = {"versions": {"torch": "3"}, "hardware": {"cpus": 8}, "resources": {"concurrent": 4}, "git": None}
OLD = Path(__file__).parents[1] / "journals" / "version-0.1.0"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """Opens the run in a folder to go on with it; closes it in the end."""
    runs = []

    def open_one(resume: bool = True, **changes: Any) -> OpenRun:
        runs.append(open_run(tmp_path / "run", replace(IDENTITY, **changes), resume=resume))
        return runs[-1]

    yield open_one
    for one in runs:
        one.close()


class Made:
    """A run in a folder, written as an earlier search would have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        with Journal(self.path, new=True) as journal:
            journal.write(RunStarted(RUN))
        write_run(folder, RUN)

    @property
    def path(self) -> Path:
        return self.folder / JOURNAL_FILE

    def trial(self, number: int, epochs: int, status: Status | None = None) -> None:
        """A trial with so many epochs of its climb, and its end if it has one."""
        name = trial_id_of(number)
        with Journal(self.path) as journal:
            journal.write(TrialStarted(name, number, SPACE.trial({"learning_rate": 0.01}).as_dict()))
            for budget, epoch in CLIMB[:epochs]:
                journal.write(EpochDone(name, record(epoch, 0.5, budget)))
            if status is not None:
                journal.write(TrialEnded(name, status, status))

    def kinds(self) -> list[str]:
        return [entry["kind"] for entry in read_journal(self.path)[0]]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "run")


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# A run that begins


@pytest.mark.parametrize("resume", [False, True])
def test_where_there_is_none_a_run_begins(opened: Any, resume: bool) -> None:
    new = opened(resume=resume)
    assert (new.is_new, new.to_come, new.ledger.run, new.left_out) == (True, 6, {}, [])
    assert not new.folder.exists(), "nothing is written before the search begins"
    new.begin(RUN).write(RunEnded("finished", ""))
    assert [entry["kind"] for entry in read_journal(new.folder / JOURNAL_FILE)[0]] == ["run_started", "run_ended"]
    assert load_run(new.folder) == json.loads(json.dumps(RUN))
    assert (new.ledger.run, new.ledger.fidelity) == (RUN, SPACE.fidelity)


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


def damage_the_first_line(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


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
    "content", [None, "{", "{}", '{"note": "mine"}'], ids=["missing", "damaged", "empty", "another"]
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


# Refusals

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


def changed(**settings: Any) -> dict[str, Space]:
    """The space with something else in it."""
    parts = {name: settings.pop(name) for name in list(settings) if name in Space.SEARCH_SETTINGS}
    return {"space": replace(SPACE, settings={**SPACE.settings, **settings}, **parts)}


OTHER_RANGE = {**SPACE.dimensions, "learning_rate": Float(1e-4, 1.0, log=True)}
CHANGES: list[tuple[dict[str, Any], str]] = [
    (
        {"space": replace(SPACE, dimensions=OTHER_RANGE)},
        "learning_rate: 0.0001 to 0.1, logarithmic before, 0.0001 to 1, logarithmic now",
    ),
    (changed(momentum=0.5), "momentum: 0.9 before, 0.5 now"),
    (changed(trials=3), "trials: 6 before, 3 now: it may rise, but not fall"),
    (changed(seed=2), "seed: 3 before, 2 now"),
    (changed(control_trials=2), "control_trials: 0 before, 2 now"),
    ({"measures": ()}, "measures: entropy before, none now"),
    ({"fingerprint": "of others"}, "the training images are others than before"),
    ({"split_hash": "of another"}, "the split into training and validation images is another than before"),
]
MOVES_A_RUNG: list[tuple[dict[str, Any], str]] = [
    (changed(epochs=27), "epochs: 9 before, 27 now"),
    (changed(epochs=4), "epochs: 9 before, 4 now"),
    (changed(fidelity_mode="truncated"), "fidelity_mode: compressed before, truncated now"),
    (changed(reduction_factor=2), "reduction_factor: 3 before, 2 now"),
    (changed(first_rung=5), "first_rung: 3 before, 5 now"),
    (changed(first_rung=9), "first_rung: 3 before, 9 now"),
]


@pytest.mark.parametrize(("change", "difference"), [*CHANGES, *MOVES_A_RUNG], ids=lambda value: str(value)[:30])
def test_a_change_is_refused_with_the_difference(
    opened: Any, made: Made, change: dict[str, Any], difference: str
) -> None:
    made.trial(0, 12, Status.COMPLETED)
    made.trial(1, 3)
    before = everything_in(made.folder)
    with pytest.raises(UserError) as caught:
        opened(**change)
    assert caught.value.problems == [
        f"{made.folder} can't be resumed with a change: {difference}",
        "give what was given before, or choose another folder with --out",
    ]
    assert everything_in(made.folder) == before
    Journal(made.path).close()  # it is left for others


@pytest.mark.parametrize(
    "space",
    [
        changed(fidelity_mode="full", first_rung=None)["space"],
        changed(fidelity_mode="truncated", first_rung=None, first_rung_after=0.9)["space"],
    ],
    ids=["full", "first_rung_after"],
)
def test_a_change_of_how_rungs_are_placed_is_refused_whole(opened: Any, made: Made, space: Space) -> None:
    made.trial(0, 3)
    with pytest.raises(UserError) as caught:
        opened(space=space)
    told = [problem.partition(": ")[2] for problem in caught.value.problems[:-1]]
    assert f"fidelity_mode: compressed before, {space.fidelity_mode} now" in told
    assert "first_rung: 3 before, none now" in told


def test_every_difference_is_told_at_once(opened: Any, made: Made) -> None:
    other = replace(SPACE, trials=2, dimensions=OTHER_RANGE, settings={**SPACE.settings, "seed": 2})
    with pytest.raises(UserError) as caught:
        opened(space=other, measures=("entropy", "pgd_l2"))
    told = [problem.partition(": ")[2].partition(":")[0] for problem in caught.value.problems]
    assert sorted(told[:-1]) == ["learning_rate", "measures", "seed", "trials"]


def test_more_trials_are_no_change(opened: Any, made: Made) -> None:
    made.trial(0, 12, Status.COMPLETED)
    assert opened(space=replace(SPACE, trials=10)).to_come == 9


# Runs of older versions


def test_a_run_of_version_0_1_0_is_refused_in_one_line_that_says_why(opened: Any, tmp_path: Path) -> None:
    shutil.copytree(OLD / "killed", tmp_path / "run")
    before = everything_in(tmp_path / "run")
    with pytest.raises(UserError) as caught:
        opened()
    (problem,) = caught.value.problems
    assert problem.startswith(f"{tmp_path / 'run'} can't be resumed: it was begun by tune_lpc 0.1.0, whose schedules")
    assert problem.endswith("finish it with that version, or begin again in another folder with --out")
    assert "\n" not in problem
    assert everything_in(tmp_path / "run") == before
    Journal(tmp_path / "run" / JOURNAL_FILE).close()


def test_a_run_of_other_schedules_whose_version_nobody_knows_is_refused_too(opened: Any, made: Made) -> None:
    with Journal(made.path) as journal:
        journal.write(RunStarted({name: value for name, value in RUN.items() if name not in ("schedules", "versions")}))
    with pytest.raises(UserError, match="it was begun by tune_lpc an unknown version, whose schedules"):
        opened()


def test_a_ledger_of_version_0_1_0_is_read_whole() -> None:
    for name, epochs in (("finished", 48), ("killed", 60)):
        ledger, damaged = read_ledger(OLD / name / JOURNAL_FILE)
        assert isinstance(ledger, Ledger) and damaged == []
        assert sum(trial.epochs_trained for trial in ledger.trials.values()) == epochs
        assert ledger.fidelity is not None and ledger.fidelity.rungs() == ledger.run["rungs"]
