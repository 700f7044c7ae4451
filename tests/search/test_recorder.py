"""From Ray's events to the journal's entries."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tune_lpc.results import Journal, read_journal
from tune_lpc.search.interrupt import Interrupt
from tune_lpc.search.progress import Progress
from tune_lpc.search.recorder import Recorder
from tune_lpc.search.rungs import RungScheduler
from tune_lpc.spec import Float, Space

SPACE = Space(
    name="small", about="for tests", settings={"epochs": 3}, dimensions={"learning_rate": Float(1e-4, 1e-1, log=True)}
)


class Search:
    """A recorder with everything around it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self.journal = Journal(self.path)
        self.interrupt = Interrupt()
        self.scheduler = RungScheduler(SPACE.fidelity)
        progress = Progress(SPACE, Console(file=io.StringIO()))
        self.recorder = Recorder(SPACE, self.journal, self.scheduler, progress, self.interrupt)

    def trial(self, number: int, error: Exception | None = None) -> Any:
        return SimpleNamespace(
            trial_id=f"ray-{number}",
            config={"learning_rate": 0.01, "number": number},
            local_path=None,
            get_pickled_error=lambda: error,
        )

    def epoch(self, trial: Any, epoch: int, diverged: str | None = None) -> None:
        record = {"epoch": epoch, "validation_accuracy": 0.5, "diverged": diverged}
        self.recorder.on_trial_result(0, [], trial, {"record": record})

    def entries(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in read_journal(self.path)[0] if entry["kind"] == kind]


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def test_a_trial_that_starts_again_after_a_failure_is_noted_once(search: Search) -> None:
    trial = search.trial(0)
    search.recorder.on_trial_start(0, [], trial)
    search.recorder.on_trial_start(0, [], trial)
    (entry,) = search.entries("trial_started")
    assert entry["trial_id"] == "trial-00000"
    assert entry["config"]["learning_rate"] == 0.01
    assert entry["config"]["epochs"] == 3


def test_the_end_of_a_trial_is_completed_stopped_or_diverged(search: Search) -> None:
    completed, stopped, diverged = (search.trial(number) for number in range(3))
    for trial in (completed, stopped, diverged):
        search.recorder.on_trial_start(0, [], trial)
    search.epoch(completed, 3)
    search.epoch(stopped, 1)
    search.scheduler.reasons["ray-1"] = "below the cut-off"
    search.epoch(diverged, 3, "train_loss became nan in epoch 3")
    for trial in (completed, stopped, diverged):
        search.recorder.on_trial_complete(0, [], trial)
    ends = {entry["trial_id"]: (entry["status"], entry["reason"]) for entry in search.entries("trial_ended")}
    assert ends == {
        "trial-00000": ("completed", "trained all 3 epochs"),
        "trial-00001": ("stopped", "below the cut-off"),
        "trial-00002": ("diverged", "train_loss became nan in epoch 3"),
    }


def test_a_trial_cut_off_by_an_interruption_has_no_end(search: Search) -> None:
    trial = search.trial(0)
    search.recorder.on_trial_start(0, [], trial)
    search.epoch(trial, 1)
    search.recorder.on_trial_complete(0, [], trial)
    assert search.entries("trial_ended") == []


def test_a_failed_trial_names_its_exception_in_a_line(search: Search) -> None:
    trial = search.trial(0, RuntimeError("first line\nthe disk is on fire"))
    search.recorder.on_trial_start(0, [], trial)
    search.recorder.on_trial_error(0, [], trial)
    (entry,) = search.entries("trial_ended")
    assert (entry["status"], entry["reason"]) == ("failed", "RuntimeError: the disk is on fire")


def test_a_journal_that_cannot_be_written_ends_the_search_in_good_order(search: Search) -> None:
    class FullDisk:
        def append(self, kind: str, **fields: Any) -> None:
            raise OSError(28, "No space left on device")

    search.recorder._journal = FullDisk()  # type: ignore[assignment]
    search.recorder.on_trial_start(0, [], search.trial(0))
    assert search.recorder.failure is not None
    assert "No space left on device" in search.recorder.failure
    assert search.interrupt.stop_all()
