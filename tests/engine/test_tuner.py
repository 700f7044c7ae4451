"""What a search begins with and how its end is told, Ray Tune itself left out; with it, see `tests/test_run*.py`."""

from __future__ import annotations

import io
import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.engine.searches import Told
from tune_lpc.engine import place, tuner
from tune_lpc.engine.request import Outcome, Request
from tune_lpc.engine.trainable import Job
from tune_lpc.plan import Choice, Float, Space, UserError
from tune_lpc.plan.resources import Resources
from tune_lpc.results import read_journal
from tune_lpc.results.events import EpochDone, Status, TrialEnded
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director, Verdict
from tune_lpc.training.prepare import Prepared

SPACE = Space(
    name="small",
    about="for tests",
    trials=4,
    settings={"dataset": "digits", "network": "mlp", "epochs": 1},
    dimensions={"learning_rate": Float(1e-4, 1e-2, log=True)},
    fidelity_mode="full",
    score_window=1,
    seeds=1,
)
CONVOLUTIONAL = replace(SPACE, settings={**SPACE.settings, "network": "small_cnn", "image_size": 16})
"""Whose network gains by bfloat16."""
MIXED = replace(
    SPACE,
    settings={"dataset": "digits", "image_size": 16, "epochs": 1},
    dimensions={"network": Choice(["mlp", "small_cnn"]), **SPACE.dimensions},
)


RECORD: dict[str, Any] = {
    "budget": 1,
    "epoch": 1,
    "validation_accuracy": 0.5,
    "validation_loss": 1.0,
    "seconds": 1.0,
    "diverged": None,
}


class View(Told):
    """A view as a context manager."""

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass
class Searches:
    """Runs searches in which `fit` stands for Ray Tune; what they told and left."""

    folder: Path
    lacking: list[str] = field(default_factory=list)
    asked: int = 0
    jobs: list[Job] = field(default_factory=list)
    fit: Callable[[Director], None] = lambda director: train(director)
    assigned: list[Assignment] = field(default_factory=list)
    told: io.StringIO = field(default_factory=io.StringIO)

    def run(self, *spaces: Space, resume: bool = False, warm_start: tuple[Path, ...] = ()) -> list[Outcome]:
        """Search these spaces one after another, in folders of their numbers."""
        command = "python -m tune_lpc.run small"
        requests = [
            Request(space, self.folder / str(number), command=command, resume=resume, warm_start=warm_start)
            for number, space in enumerate(spaces)
        ]
        console = Console(file=self.told, width=400)
        return [outcome for _, outcome in tuner.run_searches(requests, console, lambda *_: View())]

    def run_json(self, number: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / str(number) / "run.json").read_text())
        return found

    def end(self, number: int = 0) -> tuple[str, str]:
        """What the journal says of the end of the search."""
        entries, _ = read_journal(self.folder / str(number) / "journal.jsonl")
        assert entries[-1]["kind"] == "run_ended"
        return entries[-1]["outcome"], entries[-1]["reason"]


def train(director: Director, most: int = 100, failure: str | None = None) -> list[Assignment]:
    """Train at most so many trials, or let them all fail; what was asked for."""
    found: list[Assignment] = []
    while len(found) < most and (assignment := director.ask(time.monotonic())) is not None:
        found.append(assignment)
        director.starts(assignment.number, time.monotonic())
        if failure is not None:
            director.told(TrialEnded(assignment.trial_id, Status.FAILED, failure), time.monotonic())
        else:
            director.told(EpochDone(assignment.trial_id, RECORD), time.monotonic())
    return found


def begin(director: Director) -> str:
    """The name of the next trial, given to a worker."""
    assignment = director.ask(0.0)
    assert assignment is not None
    director.starts(assignment.number, 0.0)
    return assignment.trial_id


@pytest.fixture
def searches(ray_session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Searches:
    found = Searches(tmp_path)

    def without_bfloat16(address: str | None, *, use_gpus: bool) -> list[str]:
        found.asked += 1
        return found.lacking

    monkeypatch.setattr(place, "nodes_without_bfloat16", without_bfloat16)

    def fit(request: Request, director: Director, resources: Resources, prepared: Prepared, *_: Any) -> None:
        found.jobs.append(tuner._job(request, director, resources, prepared))
        found.fit(director)

    monkeypatch.setattr(tuner, "_fit", fit)
    return found


# What it begins with


def test_a_search_learns_from_an_earlier_one_though_its_folder_is_gone_when_it_goes_on(searches: Searches) -> None:
    searches.run(SPACE)
    earlier = searches.folder / "earlier"
    (searches.folder / "0").rename(earlier)
    searches.fit = lambda director: train(director, 2) and None
    other = replace(SPACE, settings={**SPACE.settings, "train_size": 250}, random_starts=2)
    searches.run(other, warm_start=(earlier,))
    (told,) = searches.run_json()["warm_start"]
    assert (told["folder"], told["name"], told["trials"]) == (str(earlier), "small", 4)
    assert len(told["observations"]) == 4
    line = f"warm start: 4 of 4 configs of small (digits; {earlier}), 1 shared parameters"
    assert line in searches.told.getvalue()
    (searches.folder / "0").rename(searches.folder / "1")
    searches.run(replace(other, trials=4), warm_start=(earlier,))
    whole = drawn_in(searches)
    shutil.rmtree(searches.folder / "0")
    (searches.folder / "1").rename(searches.folder / "0")
    shutil.rmtree(earlier)
    searches.fit = lambda director: train(director) and None
    (outcome,) = searches.run(other, resume=True, warm_start=(earlier,))
    assert outcome.exit_status == 0 and searches.told.getvalue().count(line) == 3
    assert drawn_in(searches)[:2] == whole


def drawn_in(searches: Searches) -> list[float]:
    """The learning rates of the trials, in order."""
    entries, _ = read_journal(searches.folder / "0" / "journal.jsonl")
    return [entry["config"]["learning_rate"] for entry in entries if entry["kind"] == "trial_started"]


# How it ends


def test_a_search_whose_trials_have_all_ended_is_finished(searches: Searches) -> None:
    (outcome,) = searches.run(SPACE)
    assert (outcome.exit_status, outcome.message) == (0, "")
    assert searches.end() == ("finished", "all trials ended")
    assert outcome.tables is not None and len(outcome.tables.trials) == SPACE.trials


@pytest.mark.parametrize("trained", [0, 3])
def test_one_that_ray_ended_while_trials_were_to_come_is_not_finished(searches: Searches, trained: int) -> None:
    searches.fit = lambda director: train(director, trained) and None
    (outcome,) = searches.run(SPACE)
    reason = f"Ray Tune ended it after {trained} of 4 trials"
    assert searches.end() == ("failed", reason)
    assert outcome.exit_status == 1
    assert outcome.message == (
        f"the search ended early: {reason}; mend it, then go on with: python -m tune_lpc.run --resume small"
    )


def test_nor_one_that_it_ended_while_a_trial_was_in_the_middle(searches: Searches) -> None:
    def leave_the_last(director: Director) -> None:
        train(director, 3)
        assignment = director.ask(0.0)
        assert assignment is not None
        director.starts(assignment.number, 0.0)

    searches.fit = leave_the_last
    (outcome,) = searches.run(SPACE)
    assert outcome.exit_status == 1
    assert searches.end() == ("failed", "Ray Tune ended it after 3 of 4 trials")
    searches.fit = lambda director: train(director) and None
    (outcome,) = searches.run(SPACE, resume=True)
    assert searches.end() == ("finished", "all trials ended")


def test_trials_that_failed_have_ended_too(searches: Searches) -> None:
    reasons = iter(["one", "two", "three", "four"])

    def fail_for_different_reasons(director: Director) -> None:
        for reason in reasons:
            train(director, 1, failure=reason)

    searches.fit = fail_for_different_reasons
    (outcome,) = searches.run(SPACE)
    assert searches.end() == ("finished", "all trials ended")
    assert outcome.exit_status == 1
    assert outcome.message.startswith("no trial reached a score (")


def test_the_breaker_of_one_search_ends_that_one_only(searches: Searches) -> None:
    fits = iter([lambda director: train(director, failure="no such file") and None, lambda d: train(d) and None])
    searches.fit = lambda director: next(fits)(director)
    failed, finished = searches.run(SPACE, SPACE.with_values({"seed": 1}))
    reason = "3 trials in a row failed for the same reason: no such file"
    assert (failed.exit_status, searches.end(0)) == (1, ("failed", reason))
    assert f"the search ended early: {reason}; mend it, then go on with" in failed.message
    assert (finished.exit_status, searches.end(1)) == (0, ("finished", "all trials ended"))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("failure", [None, "no such file"], ids=["while well", "after the breaker"])
def test_an_interrupted_search_is_the_last_one(searches: Searches, sent: signal.Signals, failure: str | None) -> None:
    def interrupted(director: Director) -> None:
        train(director, 3, failure)
        signal.raise_signal(sent)

    searches.fit = interrupted
    (outcome,) = searches.run(SPACE, SPACE.with_values({"seed": 1}))
    assert outcome.exit_status == 128 + sent
    assert f"the search was interrupted ({sent.name}); what was finished is kept; go on with: " in outcome.message
    assert searches.end() == ("interrupted", sent.name)
    assert not (searches.folder / "1").exists()


def test_whatever_breaks_in_the_engine_what_was_finished_is_in_the_files(searches: Searches) -> None:
    def broken(director: Director) -> None:
        train(director, 2)
        raise RuntimeError("Ray broke")

    searches.fit = broken
    with pytest.raises(RuntimeError, match="Ray broke"):
        searches.run(SPACE)
    assert searches.end() == ("failed", "RuntimeError: Ray broke")
    assert (searches.folder / "0" / "trials.parquet").exists()


# What it begins with


def test_run_json_tells_of_the_schedules_and_of_every_process_that_went_on(searches: Searches) -> None:
    searches.fit = lambda director: train(director, 1) and None
    searches.run(SPACE)
    begun = searches.run_json()
    assert begun["schedules"] >= 1
    assert begun["resources"]["concurrent"] >= 1
    assert {"versions", "git", "hardware"} <= begun.keys()
    assert not begun.get("sessions")
    for _ in range(2):
        searches.run(SPACE, resume=True)
    sessions = searches.run_json()["sessions"]
    assert len(sessions) == 2
    for session in sessions:
        assert session["command"] == "python -m tune_lpc.run small"
        assert session["versions"] == begun["versions"]
        assert {"started", "git", "hardware", "resources"} <= session.keys()


def test_a_resume_first_writes_the_ends_that_the_search_before_could_not_write_any_more(searches: Searches) -> None:
    searches.run(SPACE)
    journal = searches.folder / "0" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert [b"trial_ended" in line for line in lines[-2:]] == [True, False]
    journal.write_bytes(b"".join(lines[:-2]))
    searches.fit = lambda director: pytest.fail("nothing is left to train")
    (outcome,) = searches.run(SPACE, resume=True)
    assert (outcome.exit_status, searches.end()) == (0, ("finished", "all trials ended"))
    assert outcome.tables is not None and outcome.tables.trials["status"].tolist() == ["completed"] * 4


def test_a_resume_keeps_the_checkpoints_that_somebody_needs_and_no_others(searches: Searches) -> None:
    space = replace(SPACE, settings={**SPACE.settings, "epochs": 9})

    def one_of_each(director: Director) -> None:
        running = begin(director)
        for epoch in (1, 2):
            director.told(EpochDone(running, {**RECORD, "budget": 9, "epoch": epoch}), 0.0)
        director.told(TrialEnded(begin(director), Status.FAILED, "it was told to"), 0.0)
        director.told(TrialEnded(begin(director), Status.COMPLETED, "but its epochs were lost"), 0.0)
        director.told(TrialEnded(begin(director), Status.STOPPED, "number 3 of 3"), 0.0)

    searches.fit = one_of_each
    searches.run(space)
    checkpoints = searches.folder / "0" / "checkpoints"
    for trial in ("0", "1", "2", "3", "77", "of mine"):
        (checkpoints / trial).mkdir(parents=True)
        for epoch in (1, 2, 3, 4):
            (checkpoints / trial / f"000009-00000{epoch}-01234567.pt").touch()
    searches.fit = lambda director: None
    searches.run(space, resume=True)
    kept = {folder.name: sorted(int(path.name[7:13]) for path in folder.iterdir()) for folder in checkpoints.iterdir()}
    # One may be an epoch ahead of the journal, as it is written first.
    assert kept == {"0": [1, 2, 3], "1": [1], "2": [1], "of mine": [1, 2, 3, 4]}


PROMOTING = replace(
    SPACE,
    settings={**SPACE.settings, "epochs": 9},
    fidelity_mode="truncated",
    first_rung=3,
    rung_rule="promote",
    seeds=1,
    trials=3,
)
"""A rung at epoch 3, beyond which one of the three goes."""


def to_the_rung(director: Director, *scores: float) -> None:
    """Train new trials until the rung leaves them."""
    for score in scores:
        name = begin(director)
        for epoch in (1, 2, 3):
            record = {**RECORD, "budget": 9, "epoch": epoch, "validation_accuracy": score}
            verdict = director.told(EpochDone(name, record), 0.0)
        assert verdict is Verdict.ENDS


def kept_in(folder: Path) -> dict[str, list[int]]:
    """After which epochs there are checkpoints, by trial."""
    return {trial.name: sorted(int(path.name[7:13]) for path in trial.iterdir()) for trial in folder.iterdir()}


def test_a_resume_keeps_the_checkpoint_of_a_trial_that_waits_and_a_finished_search_none(searches: Searches) -> None:
    searches.fit = lambda director: to_the_rung(director, 0.5, 0.75)
    searches.run(PROMOTING)
    checkpoints = searches.folder / "0" / "checkpoints"
    for trial in ("0", "1"):
        (checkpoints / trial).mkdir(parents=True)
        (checkpoints / trial / "000009-000003-01234567.pt").touch()
    searches.fit = lambda director: None
    searches.run(PROMOTING, resume=True)
    assert kept_in(checkpoints) == {"1": [3]}, "trial 0 has no hope: one of three goes on"

    def to_the_end(director: Director) -> None:
        to_the_rung(director, 0.25)
        assert kept_in(checkpoints) == {"1": [3]}
        assert begin(director) == "trial-00001"
        for epoch in range(4, 10):
            director.told(EpochDone("trial-00001", {**RECORD, "budget": 9, "epoch": epoch}), 0.0)

    searches.fit = to_the_end
    (outcome,) = searches.run(PROMOTING, resume=True)
    assert searches.end() == ("finished", "all trials ended")
    assert not checkpoints.exists()
    assert outcome.tables is not None
    assert outcome.tables.trials["status"].tolist() == ["stopped", "completed", "stopped"]
    assert outcome.tables.rungs["promoted"].tolist() == [False, False, False, True]


def test_of_an_interrupted_search_those_that_wait_keep_their_checkpoints(searches: Searches) -> None:
    searches.fit = lambda director: to_the_rung(director, 0.5)
    searches.run(PROMOTING)
    folder = searches.folder / "0" / "checkpoints" / "0"
    folder.mkdir(parents=True)
    (folder / "000009-000003-01234567.pt").touch()
    searches.run(PROMOTING, resume=True)
    assert kept_in(folder.parent) == {"0": [3]}


@pytest.mark.parametrize(("rule", "rungs"), [("promote", {(9, 3)}), ("stop", set())])
def test_workers_are_told_where_a_trial_may_be_left_to_wait(
    searches: Searches, rule: str, rungs: set[tuple[int, int]]
) -> None:
    searches.fit = lambda director: None
    searches.run(replace(PROMOTING, rung_rule=rule))
    assert [job.rungs for job in searches.jobs] == [rungs]


def test_further_seeds_that_are_to_come_are_no_finished_search(searches: Searches) -> None:
    space = replace(SPACE, trials=2, seeds=2)
    searches.fit = lambda director: train(director, 2) and None
    (outcome,) = searches.run(space)
    assert searches.end() == ("failed", "Ray Tune ended it after 2 of 2 trials")
    searches.fit = lambda director: train(director) and None
    (outcome,) = searches.run(space, resume=True)
    assert "2 trials are kept, 2 to come" in searches.told.getvalue()
    assert searches.end() == ("finished", "all trials ended")
    assert outcome.tables is not None
    assert outcome.tables.trials["repeat_of"].fillna(-1).tolist() == [-1, -1, 0, 1]
    assert outcome.tables.best["seeds"].tolist() == [2, 2]


# The precision, fixed once


@pytest.mark.parametrize(
    ("space", "lacking", "of_run", "of_network"),
    [
        (CONVOLUTIONAL, [], "bfloat16", {"small_cnn": "bfloat16"}),
        (CONVOLUTIONAL, ["node-7"], "float32", {"small_cnn": "float32"}),
        (MIXED, [], "bfloat16", {"small_cnn": "bfloat16", "mlp": "float32"}),
        (MIXED, ["node-7"], "float32", {"small_cnn": "float32", "mlp": "float32"}),
    ],
)
def test_auto_becomes_what_all_nodes_compute_in(
    searches: Searches, space: Space, lacking: list[str], of_run: str, of_network: dict[str, str]
) -> None:
    searches.lacking = lacking
    searches.fit = lambda director: searches.assigned.extend(train(director))
    searches.run(space)
    assert searches.asked == 1
    assert searches.run_json()["precision"] == of_run
    assert [job.needs_bfloat16 for job in searches.jobs] == [of_run == "bfloat16"], "else its workers refuse"
    assert len(searches.assigned) == space.trials
    assert {spec.network: spec.precision for spec in (assigned.spec for assigned in searches.assigned)} == {
        network: of_network[network] for network in {assigned.spec.network for assigned in searches.assigned}
    }


def test_the_configs_column_never_says_auto(searches: Searches) -> None:
    (outcome,) = searches.run(MIXED)
    assert outcome.tables is not None
    trials = outcome.tables.trials
    expected = trials["config.network"].map({"mlp": "float32", "small_cnn": "bfloat16"})
    assert trials["config.precision"].tolist() == expected.tolist()


@pytest.mark.parametrize("asked_for", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken_and_no_node_asked(searches: Searches, asked_for: str) -> None:
    searches.lacking = ["node-7"]
    (outcome,) = searches.run(CONVOLUTIONAL.with_values({"precision": asked_for}))
    assert searches.asked == 0
    assert searches.run_json()["precision"] == asked_for
    assert outcome.tables is not None and set(outcome.tables.trials["config.precision"]) == {asked_for}


def test_a_space_without_a_network_that_gains_trains_in_float32_and_goes_on_anywhere(searches: Searches) -> None:
    searches.fit = lambda director: train(director, 1) and None
    (outcome,) = searches.run(SPACE)
    assert searches.run_json()["precision"] == "float32"
    assert not searches.jobs[0].needs_bfloat16
    assert outcome.tables is not None and set(outcome.tables.trials["config.precision"]) == {"float32"}
    searches.lacking = ["node-7"]
    searches.fit = lambda director: train(director) and None
    (outcome,) = searches.run(SPACE, resume=True)
    assert outcome.exit_status == 0


def test_a_search_in_bfloat16_does_not_go_on_where_a_node_lacks_it(searches: Searches) -> None:
    searches.fit = lambda director: train(director, 1) and None
    searches.run(CONVOLUTIONAL)
    before = (searches.folder / "0" / "journal.jsonl").read_bytes()
    searches.lacking = ["node-7", "node-9"]
    with pytest.raises(UserError) as raised:
        searches.run(CONVOLUTIONAL, resume=True)
    (line,) = raised.value.problems
    assert line == (
        f"{searches.folder / '0'} can't be resumed here: it trains in bfloat16, in which these nodes don't compute: "
        "node-7, node-9; go on where it began, or begin again in another folder with --out"
    )
    assert (searches.folder / "0" / "journal.jsonl").read_bytes() == before


def test_one_in_float32_stays_in_it_where_all_nodes_compute_in_bfloat16(searches: Searches) -> None:
    searches.lacking = ["node-7"]
    searches.fit = lambda director: train(director, 1) and None
    searches.run(CONVOLUTIONAL)
    searches.lacking = []
    searches.fit = lambda director: train(director) and None
    (outcome,) = searches.run(CONVOLUTIONAL, resume=True)
    assert outcome.tables is not None and set(outcome.tables.trials["config.precision"]) == {"float32"}
    assert searches.run_json()["precision"] == "float32"
