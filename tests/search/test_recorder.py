"""From Ray's events to the journal's entries."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tune_lpc.cli.live import Progress
from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.engine.trainable import checkpoint_folder
from tune_lpc.plan import Float, Space
from tune_lpc.results import Journal, read_journal
from tune_lpc.search import recorder as recorder_module
from tune_lpc.search.recorder import Recorder
from tune_lpc.search.resume import NOTHING, Past, read_past
from tune_lpc.search.rungs import Rungs, RungScheduler
from tune_lpc.training.checkpoints import Checkpoints

SPACE = Space(
    name="small",
    about="for tests",
    trials=8,
    settings={"epochs": 9},
    dimensions={"learning_rate": Float(1e-4, 1e-1, log=True)},
    fidelity_mode="truncated",
    first_rung=3,
)
"""One rung, at epoch 3."""

TRACEBACK = """\x1b[36mray::TrialTrainable.train()\x1b[39m (pid=71, ip=10.0.0.1)
  File "/lib/ray/tune/trainable/trainable.py", line 328, in train
    result = self.step()
             ^^^^^^^^^^^
tune_lpc.plan.errors.{type}: {message}"""
WORKER_DIED = """The actor died unexpectedly before finishing this task.
\tclass_name: TrialTrainable
\tpid: 71
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"""

NAN = "train_loss became nan in epoch 2"


class BrokenJournal:
    """Lets writing fail so many times in a row, as a full disk does; then what is there goes through."""

    def __init__(self, journal: Journal, failures: int | None, at_failure: Callable[[], None]) -> None:
        self.journal, self.failures, self.at_failure = journal, failures, at_failure
        self.path = journal.path

    def append(self, kind: str, **fields: Any) -> None:
        if self.failures is None or self.failures > 0:
            self.failures = None if self.failures is None else self.failures - 1
            self.at_failure()
            raise OSError(28, "No space left on device")
        self.journal.append(kind, **fields)


class Search:
    """A recorder with everything around it; what Ray would call is called by the tests."""

    def __init__(self, folder: Path, past: Past = NOTHING) -> None:
        self.folder, self.screen = folder, io.StringIO()
        self.journal = Journal(folder / "journal.jsonl")
        self.interrupt = Interrupt()
        self.progress = Progress(SPACE, Console(file=self.screen))
        self._past = past
        self._make(self.journal)

    def _make(self, journal: Any) -> None:
        rungs = Rungs(SPACE.fidelity, self._past.looks)
        self.scheduler = RungScheduler(rungs, lambda number: self._past.is_control(number, SPACE))
        self.recorder = Recorder(SPACE, journal, self.scheduler, self.progress, self.interrupt, self._past)

    def break_journal(self, failures: int | None, at_failure: Callable[[], None] = lambda: None) -> BrokenJournal:
        """From now on writing fails so many times in a row, None for ever."""
        broken = BrokenJournal(self.journal, failures, at_failure)
        self._make(broken)
        return broken

    def again(self) -> Search:
        """A search that takes up this one, from nothing but its journal."""
        self.journal.close()
        return Search(self.folder, read_past(SPACE, read_journal(self.folder / "journal.jsonl")[0]))

    def trial(self, number: int, error: Exception | str | None = None) -> Any:
        """A trial; its error is noted where and how Ray notes it, after those of before."""
        note = self.folder / f"error-{number}.txt"
        if error is not None:
            text = error if isinstance(error, str) else TRACEBACK.format(type=type(error).__name__, message=error)
            with note.open("a") as file:
                file.write(f"Failure # 1 (occurred at 2026-11-22_05-00-00)\n{text}\n")
        return SimpleNamespace(
            trial_id=f"ray-{number}",
            config={"learning_rate": 0.01, "number": number},
            error_file=str(note) if error is not None else None,
            run_metadata=SimpleNamespace(
                last_result={"record": {"epoch": 1}, "done": True},
                metric_analysis={"loss": {}},
                metric_n_steps={"loss": {}},
            ),
        )

    def start(self, number: int) -> Any:
        trial = self.trial(number)
        self.recorder.on_trial_start(0, [], trial)
        return trial

    def epoch(
        self, trial: Any, epoch: int, score: float | None = 0.5, diverged: str | None = None, **more: Any
    ) -> None:
        """An epoch comes in: first the scheduler hears of it, then the recorder, as in Ray Tune."""
        record = {"budget": 9, "epoch": epoch, "validation_accuracy": score, "diverged": diverged}
        flat = {f"record/{name}": value for name, value in record.items()}
        self.scheduler.on_trial_result(None, trial, {"validation_accuracy": score, **flat})
        self.recorder.on_trial_result(0, [], trial, {"record": record, **more})

    def fail(self, number: int, error: Exception | str) -> None:
        self.recorder.on_trial_error(0, [], self.trial(number, error))

    def checkpoint(self, number: int) -> Path:
        """A checkpoint of the trial; its folder."""
        folder = checkpoint_folder(self.folder, number)
        Checkpoints(folder).write((9, 1), {})
        return folder

    def entries(self, *kinds: str) -> list[dict[str, Any]]:
        entries, damaged = read_journal(self.folder / "journal.jsonl")
        assert damaged == []
        return [entry for entry in entries if not kinds or entry["kind"] in kinds]

    def kinds(self) -> list[str]:
        return [entry["kind"] for entry in self.entries()]

    def epochs(self) -> list[int]:
        return [entry["record"]["epoch"] for entry in self.entries("epoch")]

    def ends(self) -> dict[str, tuple[str, str]]:
        return {entry["trial_id"]: (entry["status"], entry["reason"]) for entry in self.entries("trial_ended")}


def placed(continued_from: list[int] | None = None, left_out: list[str] | None = None) -> dict[str, Any]:
    return {"host": "here", "pid": 1, "continued_from": continued_from, "left_out": left_out or []}


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "TRY_AGAIN_EVERY", 0.0)


# The life of a trial


def test_a_trial_that_starts_again_after_a_failure_is_noted_once(search: Search) -> None:
    search.start(0)
    search.start(0)
    (entry,) = search.entries("trial_started")
    assert (entry["trial_id"], entry["number"], entry["control"]) == ("trial-00000", 0, False)
    assert entry["config"]["learning_rate"] == 0.01
    assert entry["config"]["epochs"] == 9


def test_the_end_of_a_trial_is_completed_stopped_or_diverged(search: Search) -> None:
    completed, stopped, diverged = (search.start(number) for number in range(3))
    for epoch in range(1, 10):
        search.epoch(completed, epoch, 0.5)
    for epoch in range(1, 4):
        search.epoch(stopped, epoch, 0.25)
    search.epoch(diverged, 1)
    search.epoch(diverged, 2, None, NAN)
    for trial in (completed, stopped, diverged):
        search.recorder.on_trial_complete(0, [], trial)
    assert search.ends() == {
        "trial-00000": ("completed", "trained all 9 epochs"),
        "trial-00001": ("stopped", "validation_accuracy 0.2500 was number 2 of 2 at the rung of epoch 3"),
        "trial-00002": ("diverged", NAN),
    }


def test_a_trial_cut_off_by_an_interruption_has_no_end(search: Search) -> None:
    trial = search.start(0)
    for epoch in range(1, 5):
        search.epoch(trial, epoch)
    search.recorder.on_trial_complete(0, [], trial)
    assert search.ends() == {}


def test_a_failed_trial_names_its_exception_in_a_line(search: Search) -> None:
    search.start(0)
    search.fail(0, RuntimeError("first line\nthe disk is on fire"))
    assert search.ends() == {"trial-00000": ("failed", "RuntimeError: the disk is on fire")}


def test_the_reason_of_a_failure_is_that_of_the_last_and_never_long(search: Search) -> None:
    search.start(0)
    search.trial(0, RuntimeError("the first time"))
    search.fail(0, RuntimeError("many words " * 1000))
    (entry,) = search.entries("trial_ended")
    assert entry["reason"].startswith("RuntimeError: many words many")
    assert len(entry["reason"]) <= 300


def test_a_worker_that_died_is_told_in_the_words_of_ray(search: Search) -> None:
    search.start(0)
    search.recorder.on_trial_recover(0, [], search.trial(0, WORKER_DIED))
    (entry,) = search.entries("trial_restarted")
    assert entry["reason"].startswith("The actor is dead because its worker process has died.")


def test_a_note_of_the_error_that_cannot_be_read_ends_nothing(search: Search) -> None:
    trial = search.start(0)
    trial.error_file = str(search.folder / "gone.txt")
    search.recorder.on_trial_error(0, [], trial)
    (entry,) = search.entries("trial_ended")
    assert "No such file or directory" in entry["reason"]


def test_a_trial_that_fails_before_it_starts_is_told_whole(search: Search) -> None:
    # Ray calls nothing else when the preparation of the data fails.
    search.recorder.on_trial_recover(0, [], search.trial(0, FileNotFoundError("gone")))
    search.fail(0, FileNotFoundError("gone"))
    search.fail(1, FileNotFoundError("gone"))
    kinds = ["trial_started", "trial_restarted", "trial_ended", "trial_started", "trial_ended"]
    assert search.kinds() == kinds
    assert search.ends()["trial-00001"] == ("failed", "FileNotFoundError: gone")


def test_the_checkpoints_of_a_trial_that_ended_are_removed_but_those_of_a_failed_one_kept(search: Search) -> None:
    ended, failed = search.checkpoint(0), search.checkpoint(1)
    for epoch in range(1, 10):
        search.epoch(search.start(0), epoch)
    search.recorder.on_trial_complete(0, [], search.trial(0))
    search.start(1)
    search.fail(1, RuntimeError("mend me and resume"))
    assert not ended.exists()
    assert failed.exists()


# The order of entries


def test_measures_come_before_their_epoch_and_the_look_after_it(search: Search) -> None:
    trial = search.start(0)
    measures = {"values": {"knn": 0.5}, "reasons": {}}
    for epoch in range(1, 10):
        more = {"placed": placed()} if epoch == 1 else {"measures": measures} if epoch == 9 else {}
        search.epoch(trial, epoch, **more)
    epochs = ["epoch", "epoch", "epoch", "rung", *["epoch"] * 5, "measures", "epoch"]
    assert search.kinds() == ["trial_started", "trial_placed", *epochs]
    (look,) = search.entries("rung")
    del look["time"]
    assert look == {
        "kind": "rung",
        "trial_id": "trial-00000",
        "rung": 3,
        "score": 0.5,
        "rank": 1,
        "of": 1,
        "goes_on": True,
        "control": False,
    }
    (entry,) = search.entries("measures")
    assert (entry["trial_id"], entry["values"], entry["reasons"]) == ("trial-00000", {"knn": 0.5}, {})


def test_each_look_is_written_once(search: Search) -> None:
    trials = [search.start(number) for number in range(2)]
    for trial in trials:
        for epoch in range(1, 6):
            search.epoch(trial, epoch)
    assert [(entry["trial_id"], entry["rank"], entry["of"]) for entry in search.entries("rung")] == [
        ("trial-00000", 1, 1),
        ("trial-00001", 1, 2),
    ]


# Failures of workers


def test_the_epoch_of_a_checkpoint_told_again_is_not_written_twice_but_one_trained_again_is(search: Search) -> None:
    trial = search.start(0)
    for epoch in (1, 2, 3, 4):
        search.epoch(trial, epoch)
    search.recorder.on_trial_recover(0, [], search.trial(0))
    search.epoch(search.start(0), 2, placed=placed([9, 2]))
    search.epoch(trial, 3)
    assert search.epochs() == [1, 2, 3, 4, 3]
    assert len(search.entries("rung")) == 1
    assert [entry["continued_from"] for entry in search.entries("trial_placed")] == [[9, 2]]


def test_a_trial_that_begins_from_scratch_again_has_every_epoch_written_again(search: Search) -> None:
    trial = search.start(0)
    search.epoch(trial, 1, placed=placed())
    search.epoch(trial, 1, placed=placed(left_out=["checkpoint x is damaged: its checksum does not match"]))
    assert search.epochs() == [1, 1]
    assert "trial 0: checkpoint x is damaged" in search.screen.getvalue()


def test_the_epoch_of_a_checkpoint_that_nobody_heard_of_is_written(search: Search) -> None:
    trial = search.start(0)
    search.epoch(trial, 1)
    search.epoch(trial, 2, placed=placed([9, 2]))  # the worker died between writing the checkpoint and telling
    assert search.epochs() == [1, 2]


def test_a_restart_has_the_reason_of_whoever_killed_the_worker_or_that_of_ray(search: Search) -> None:
    search.start(0)
    search.recorder.restart_reasons[0] = "no epoch in 51 s, where one takes 5 s"
    for _ in range(2):
        search.recorder.on_trial_recover(0, [], search.trial(0, RuntimeError("the worker died")))
    search.recorder.on_trial_recover(0, [], search.trial(0))
    assert [entry["reason"] for entry in search.entries("trial_restarted")] == [
        "no epoch in 51 s, where one takes 5 s",
        "RuntimeError: the worker died",
        "the worker failed without a message; see Ray's logs",
    ]
    assert "trial 0 is restarted: no epoch in 51 s" in search.screen.getvalue()


def test_a_trial_stuck_once_too_often_fails_with_that_reason(search: Search) -> None:
    search.start(0)
    search.recorder.restart_reasons[0] = "no epoch in 51 s, where one takes 5 s"
    search.fail(0, RuntimeError("the actor died"))
    assert search.ends()["trial-00000"] == ("failed", "no epoch in 51 s, where one takes 5 s")


def test_failures_in_a_row_for_the_same_reason_end_the_search_as_failed(search: Search) -> None:
    for number in range(3):
        assert not search.interrupt.stop_all()
        search.start(number)
        search.fail(number, FileNotFoundError(f"/data/{number}.png is gone"))
    assert search.interrupt.failed
    assert search.interrupt.requested == (
        "3 trials in a row failed for the same reason: FileNotFoundError: /data/2.png is gone"
    )


def test_a_checkpoint_that_cannot_be_written_is_told_once(search: Search) -> None:
    trial = search.start(0)
    for epoch in (1, 2):
        search.epoch(trial, epoch, problem="no checkpoint could be written: No space left on device")
    assert search.screen.getvalue().count("trial 0: no checkpoint could be written") == 1
    assert search.epochs() == [1, 2]


# A journal that can't be written


def test_the_search_waits_for_the_journal_and_no_entry_is_lost(search: Search) -> None:
    search.break_journal(failures=5)
    trial = search.start(0)
    search.epoch(trial, 1)
    assert search.kinds() == ["trial_started", "epoch"]
    text = search.screen.getvalue()
    assert f"paused: {search.journal.path} can't be written (No space left on device)" in text
    assert "free space, or end it with Ctrl-C and resume it later" in text
    assert "the search goes on" in text
    assert text.count("paused") == 1
    assert not search.interrupt.stop_all()


def test_once_given_up_nothing_later_is_written_so_that_there_is_no_gap(search: Search) -> None:
    trial, folder = search.start(0), search.checkpoint(0)
    broken = search.break_journal(failures=None, at_failure=lambda: search.interrupt.request("SIGINT"))
    search.start(0)
    broken.failures = 0  # there is room again
    for epoch in range(1, 10):
        search.epoch(trial, epoch)
    search.recorder.on_trial_complete(0, [], trial)
    search.recorder.write("run_ended", outcome="interrupted", reason="SIGINT")
    assert search.kinds() == ["trial_started"]
    assert folder.exists(), "after a resume it is gone on from here"


def test_asked_to_end_before_the_journal_fails_it_does_not_wait(search: Search) -> None:
    search.interrupt.request("SIGTERM")
    broken = search.break_journal(failures=2)
    search.start(0)
    search.epoch(search.trial(0), 1)
    assert broken.failures == 1
    assert search.kinds() == []
    assert "the search waits" not in search.screen.getvalue()


def test_a_wait_is_told_on_the_terminal_and_in_the_journal(search: Search) -> None:
    answers = iter([False, False, True])
    search.recorder.wait_until(lambda: next(answers), "the disk is full")
    assert [(entry["kind"], entry["reason"]) for entry in search.entries()] == [
        ("paused", "the disk is full"),
        ("continued", "the disk is full"),
    ]
    assert next(answers, "all asked") == "all asked"
    assert "paused: the disk is full; the search waits" in search.screen.getvalue()


def test_a_wait_ends_when_the_search_is_asked_to_end(search: Search) -> None:
    def never() -> bool:
        search.interrupt.request("SIGINT")
        return False

    search.recorder.wait_until(never, "the disk is full")
    assert search.kinds() == ["paused"]
    search.recorder.write("run_ended", outcome="interrupted", reason="SIGINT")
    assert search.kinds() == ["paused", "run_ended"], "the journal itself could be written"


# Going on after an interruption


def journal_cut_after(search: Search, kind: str, place: int = -1) -> None:
    """Take back what came after an entry, as a kill at that moment would have."""
    lines = search.journal.path.read_bytes().splitlines(keepends=True)
    at = [number for number, line in enumerate(lines) if b'"kind":"%s"' % kind.encode() in line][place]
    search.journal.path.write_bytes(b"".join(lines[: at + 1]))


def ended_three_ways(search: Search) -> None:
    for number, scores in enumerate(([0.5] * 9, [0.25] * 3, [None])):
        trial = search.start(number)
        for epoch, score in enumerate(scores, start=1):
            search.epoch(trial, epoch, score, diverged=NAN if score is None else None)
        search.recorder.on_trial_complete(0, [], trial)


def without_times(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in entry.items() if name != "time"} for entry in entries]


@pytest.mark.parametrize("number", [0, 1, 2], ids=["completed", "stopped", "diverged"])
def test_an_end_that_was_not_written_any_more_is_written_by_the_next_search(search: Search, number: int) -> None:
    ended_three_ways(search)
    whole = without_times(search.entries("trial_ended"))[number]
    epochs_before = (9, 12, 13)[number]
    journal_cut_after(search, "epoch", epochs_before - 1)
    folder = search.checkpoint(number)
    again = search.again()
    again.recorder.recall()
    assert without_times(again.entries("trial_ended"))[number] == whole
    assert not folder.exists()
    assert again.progress.trials[number].status == whole["status"]


def test_a_look_that_was_not_written_any_more_is_written_once_by_the_next_search(search: Search) -> None:
    trial = search.start(0)
    for epoch in (1, 2, 3):
        search.epoch(trial, epoch)
    whole = without_times(search.entries("rung"))
    journal_cut_after(search, "epoch")
    assert search.entries("rung") == []
    again = search.again()
    again.recorder.recall()
    assert without_times(again.entries("rung")) == whole
    third = again.again()
    third.recorder.recall()
    third.start(0)
    third.epoch(trial, 3, placed=placed([9, 3]))
    third.epoch(trial, 4)
    assert without_times(third.entries("rung")) == whole
    assert third.epochs() == [1, 2, 3, 4]


def test_what_was_written_before_the_interruption_is_not_written_again(search: Search) -> None:
    ended_three_ways(search)
    before = search.journal.path.read_bytes()
    again = search.again()
    again.recorder.recall()
    assert search.journal.path.read_bytes() == before
    assert [trial.status for trial in again.progress.trials.values()] == ["completed", "stopped", "diverged"]
    assert again.progress.best is not None and again.progress.best.number == 0


def test_a_trial_gone_on_with_starts_again_in_the_journal_and_stays_a_control_trial(search: Search) -> None:
    search.start(0)
    config = search.entries()[0]["config"]
    search.journal.append("trial_started", trial_id="trial-00001", number=1, config=config, control=True)
    again = search.again()
    again.recorder.recall()
    for number in (0, 1):
        again.start(number)
    started = [(entry["number"], entry["control"]) for entry in again.entries("trial_started")]
    assert started == [(0, False), (1, True), (0, False), (1, True)]


def test_ray_may_save_the_recorder(search: Search) -> None:
    assert isinstance(pickle.loads(pickle.dumps(search.recorder)), Recorder)


def test_what_ray_keeps_of_the_metrics_of_an_ended_trial_is_dropped(search: Search) -> None:
    trial = search.start(0)
    search.epoch(trial, 1)
    search.recorder.on_trial_complete(0, [], trial)
    assert trial.run_metadata.last_result == {"done": True}
    assert trial.run_metadata.metric_analysis == trial.run_metadata.metric_n_steps == {}
