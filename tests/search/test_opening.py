"""The folder of a run when its search begins or goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.results.runs import record
from tune_lpc.engine.trainable import checkpoint_folder
from tune_lpc.plan import Choice, Float, Space, UserError
from tune_lpc.plan.resources import Resources
from tune_lpc.results import JOURNAL_FILE, Journal, load_run, read_journal, write_run
from tune_lpc.search.opening import OpenRun, open_run
from tune_lpc.search.provenance import describe_run
from tune_lpc.training.checkpoints import Checkpoints
from tune_lpc.training.prepare import Prepared, prepare

SPACE = Space(
    name="small",
    about="for tests",
    trials=4,
    settings={"dataset": "digits", "network": "mlp", "epochs": 9, "seed": 1},
    dimensions={"learning_rate": Float(1e-4, 1e-1, log=True), "optimizer": Choice(["adamw", "sgd"])},
    fidelity_mode="compressed",
)
"""A climb of a run of three epochs, then one of nine."""
DRAWN = {"learning_rate": 0.01, "optimizer": "sgd"}


def data(**settings: Any) -> Prepared:
    return prepare(replace(SPACE, settings={**SPACE.settings, **settings}).trial(DRAWN))


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return data()


@pytest.fixture(scope="module")
def run(prepared: Prepared) -> dict[str, Any]:
    """What run.json says of the search."""
    return describe_run(SPACE, "python -m tune_lpc.run small", None, prepared, Resources(1, 1, 0.0), ("entropy",))


@pytest.fixture
def opened(tmp_path: Path, prepared: Prepared) -> Iterator[Any]:
    """Opens the run in a folder to go on with it; closes it in the end."""
    runs = []

    def open_one(
        space: Space = SPACE, data: Prepared = prepared, measures: tuple[str, ...] = ("entropy",), resume: bool = True
    ) -> OpenRun:
        runs.append(open_run(tmp_path / "run", space, data, measures, resume=resume))
        return runs[-1]

    yield open_one
    for one in runs:
        one.close()


class Made:
    """A run in a folder, written as an earlier search would have."""

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir()
        with Journal(self.path, new=True) as journal:
            journal.append("run_started", run=run)
        write_run(folder, run)

    @property
    def path(self) -> Path:
        return self.folder / JOURNAL_FILE

    def trial(self, number: int, epochs: int, *, status: str | None = None, checkpoints: int = 0) -> None:
        """A trial with entries of so many epochs, its end if it has one, and checkpoints of the last two epochs.

        checkpoints: the epochs of the climb after which the newest was written.
        """
        trial_id = f"trial-{number:05d}"
        places = [(run, epoch) for run in SPACE.fidelity.runs() for epoch in range(1, run + 1)]
        with Journal(self.path) as journal:
            config = SPACE.trial(DRAWN).as_dict()
            journal.append("trial_started", trial_id=trial_id, number=number, config=config, control=False)
            for budget, epoch in places[:epochs]:
                journal.append("epoch", trial_id=trial_id, record=record(epoch, 0.5, budget=budget))
            if status is not None:
                journal.append("trial_ended", trial_id=trial_id, status=status, reason=status)
        for place in places[max(0, checkpoints - 2) : checkpoints]:
            Checkpoints(checkpoint_folder(self.folder, number)).write(place, {"at": list(place)})

    def checkpoints(self, number: int) -> list[int] | None:
        """Where the newest checkpoint of a trial stands."""
        state, _ = Checkpoints(checkpoint_folder(self.folder, number)).newest()
        return None if state is None else state["at"]

    def kinds(self) -> list[str]:
        return [entry["kind"] for entry in read_journal(self.path)[0]]


@pytest.fixture
def made(tmp_path: Path, run: dict[str, Any]) -> Made:
    return Made(tmp_path / "run", run)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# A run that begins


@pytest.mark.parametrize("resume", [False, True])
def test_where_there_is_none_a_run_begins(opened: Any, tmp_path: Path, run: dict[str, Any], resume: bool) -> None:
    new = opened(resume=resume)
    assert (new.to_come, new.past.run, new.left_out) == (4, {}, [])
    assert not new.folder.exists(), "nothing is written before the search begins"
    new.begin(run).append("run_ended", outcome="finished", reason="")
    assert [entry["kind"] for entry in read_journal(new.folder / JOURNAL_FILE)[0]] == ["run_started", "run_ended"]
    assert load_run(new.folder)["space_hash"] == SPACE.hash()


def test_of_two_searches_that_begin_in_the_same_folder_one_gets_it(opened: Any, run: dict[str, Any]) -> None:
    first, second = opened(resume=False), opened(resume=False)
    first.begin(run)
    with pytest.raises(UserError, match=r"another search has just begun in .*/run; choose another folder with --out"):
        second.begin(run)


def test_a_run_begins_in_an_empty_journal(opened: Any, tmp_path: Path, run: dict[str, Any]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / JOURNAL_FILE).touch()  # killed before the first entry
    again = opened()
    assert (again.to_come, again.past.run) == (4, {})
    again.begin(run)
    assert [entry["kind"] for entry in read_journal(tmp_path / "run" / JOURNAL_FILE)[0]] == ["run_started"]


def test_a_run_begins_again_where_not_even_its_beginning_was_written_whole(
    opened: Any, made: Made, run: dict[str, Any]
) -> None:
    made.path.write_bytes(made.path.read_bytes()[:40])
    (made.folder / "run.json").unlink()
    again = opened()
    assert again.past.run == {}
    assert again.left_out == ["line 1 is cut off: its checksum does not match"]
    again.begin(run)
    assert made.kinds() == ["run_started"]


def damage_the_first_line(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def test_a_beginning_lost_later_is_taken_from_run_json(opened: Any, made: Made, run: dict[str, Any]) -> None:
    made.trial(0, 12, status="completed")
    damage_the_first_line(made.path)
    again = opened()
    assert again.to_come == 3
    assert again.left_out == ["line 1 is damaged: its checksum does not match"]
    again.go_on("")
    entries, _ = read_journal(made.path)
    assert [entry["kind"] for entry in entries][-2:] == ["run_started", "run_resumed"]
    assert entries[-2]["run"] == load_run(made.folder)


@pytest.mark.parametrize("content", [None, "{", '{"note": "mine"}'], ids=["missing", "damaged", "another"])
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
    made.trial(0, 12, status="completed")
    made.trial(1, 3, status="stopped")
    made.trial(2, 2, status="failed")
    before = everything_in(made.folder)
    again = opened()
    assert again.to_come == 2, "one that failed is tried again, one has not begun"
    assert everything_in(made.folder) == before, "nothing is written before the search begins"
    again.go_on("python -m tune_lpc.run small --resume")
    *_, entry = read_journal(made.path)[0]
    assert (entry["kind"], entry["command"]) == ("run_resumed", "python -m tune_lpc.run small --resume")
    assert entry["left_out"] == []


def test_a_cut_tail_is_left_out_and_said(opened: Any, made: Made) -> None:
    made.trial(0, 3)
    made.path.write_bytes(made.path.read_bytes()[:-20])
    again = opened()
    assert again.left_out == ["line 5 is cut off: its checksum does not match"]
    assert again.past.trials[0].position(SPACE) == (3, 2)
    again.go_on("")
    *_, entry = read_journal(made.path)[0]
    assert (entry["kind"], entry["left_out"]) == ("run_resumed", again.left_out)


@pytest.mark.parametrize("content", [None, b"", b'{"command": "pyth'], ids=["missing", "empty", "cut"])
def test_run_json_is_written_again_from_the_journal(
    opened: Any, made: Made, run: dict[str, Any], content: bytes | None
) -> None:
    whole = (made.folder / "run.json").read_bytes()
    if content is None:
        (made.folder / "run.json").unlink()
    else:
        (made.folder / "run.json").write_bytes(content)
    opened().go_on("")
    assert (made.folder / "run.json").read_bytes() == whole


def test_a_whole_run_json_is_left_alone(opened: Any, made: Made) -> None:
    (made.folder / "run.json").write_text('{"note": "mine"}')
    opened().go_on("")
    assert load_run(made.folder) == {"note": "mine"}


# Checkpoints


@pytest.mark.parametrize(
    ("epochs", "checkpoints", "newest"),
    [
        (2, 1, [3, 1]),
        (2, 2, [3, 2]),
        (2, 3, [3, 3]),  # written before its epoch was told: one ahead is right
        (3, 4, [9, 1]),
        (2, 4, [3, 3]),
        (1, 4, None),  # both are too far ahead: epochs between would have no record
        (0, 1, [3, 1]),
        (0, 2, [3, 1]),
    ],
)
def test_checkpoints_more_than_an_epoch_ahead_of_the_journal_are_forgotten(
    opened: Any, made: Made, epochs: int, checkpoints: int, newest: list[int] | None
) -> None:
    made.trial(0, epochs, checkpoints=checkpoints)
    opened().go_on("")
    assert made.checkpoints(0) == newest


def test_checkpoints_of_trials_that_ended_or_are_unknown_are_removed(opened: Any, made: Made) -> None:
    made.trial(0, 12, status="completed", checkpoints=11)
    made.trial(1, 2, status="diverged", checkpoints=1)
    made.trial(2, 2, status="failed", checkpoints=2)
    made.trial(3, 12, checkpoints=11)  # all its epochs are told, its end no more
    Checkpoints(checkpoint_folder(made.folder, 4)).write((3, 1), {"at": [3, 1]})  # its start was never told
    kept = made.folder / "checkpoints" / "notes"
    kept.mkdir()
    opened().go_on("")
    assert [made.checkpoints(number) for number in range(5)] == [None, None, [3, 2], None, None]
    assert sorted(path.name for path in (made.folder / "checkpoints").iterdir()) == ["2", "notes"]


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
    assert opened().to_come == 4


OTHER_RANGE = {**SPACE.dimensions, "learning_rate": Float(1e-4, 1.0, log=True)}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (
            {"space": replace(SPACE, dimensions=OTHER_RANGE)},
            "learning_rate: 0.0001 to 0.1, logarithmic before, 0.0001 to 1, logarithmic now",
        ),
        ({"space": replace(SPACE, settings={**SPACE.settings, "epochs": 27})}, "epochs: 9 before, 27 now"),
        ({"space": replace(SPACE, trials=3)}, "trials: 4 before, 3 now: it may rise, but not fall"),
        ({"space": replace(SPACE, settings={**SPACE.settings, "seed": 2})}, "seed: 1 before, 2 now"),
        ({"measures": ()}, "measures: entropy before, none now"),
        ({"data": {"image_size": 16}}, "the training images are others than before"),
        ({"data": {"split": 1}}, "the split into training and validation images is another than before"),
    ],
    ids=["dimension", "setting", "fewer trials", "seed", "measures", "images", "split"],
)
def test_a_change_is_refused_with_the_difference(
    opened: Any, made: Made, change: dict[str, Any], difference: str
) -> None:
    before = everything_in(made.folder)
    if "data" in change:
        change = {"data": data(**change["data"])}
    with pytest.raises(UserError) as caught:
        opened(**change)
    assert caught.value.problems == [
        f"{made.folder} can't be resumed with a change: {difference}",
        "give what was given before, or choose another folder with --out",
    ]
    assert everything_in(made.folder) == before
    Journal(made.path).close()  # it is left for others


def test_every_difference_is_told_at_once(opened: Any, made: Made) -> None:
    changed = replace(SPACE, trials=2, dimensions=OTHER_RANGE, settings={**SPACE.settings, "seed": 2})
    with pytest.raises(UserError) as caught:
        opened(space=changed, measures=("entropy", "pgd_l2"))
    told = [problem.partition(": ")[2].partition(":")[0] for problem in caught.value.problems]
    assert sorted(told[:-1]) == ["learning_rate", "measures", "seed", "trials"]


def test_more_trials_are_no_change(opened: Any, made: Made) -> None:
    made.trial(0, 12, status="completed")
    assert opened(space=replace(SPACE, trials=10)).to_come == 9
