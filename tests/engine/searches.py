"""A search with everything of the engine around its director; the tests do what Ray would do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune_lpc.engine import callback, scheduler
from tune_lpc.engine.callback import DirectorCallback, UnusedCheckpoints
from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.engine.journalling import WaitingLog
from tune_lpc.engine.report import NUMBER, REPORT, Report
from tune_lpc.engine.scheduler import DirectorScheduler, DirectorSearcher
from tune_lpc.engine.trainable import checkpoint_folder
from tune_lpc.plan import Float, Space
from tune_lpc.results import Journal, Ledger, read_journal
from tune_lpc.results.events import Event, RunStarted, TrialPlaced, trial_id_of
from tune_lpc.search.director import Director
from tune_lpc.search.sampler import RandomSampler
from tune_lpc.search.watch import Watch
from tune_lpc.training.checkpoints import Checkpoints

SPACE = Space(
    name="small",
    about="for tests",
    trials=8,
    settings={"epochs": 9},
    dimensions={"learning_rate": Float(1e-4, 1e-1, log=True)},
    fidelity_mode="truncated",
    first_rung=3,
    rung_rule="stop",
    score_window=1,
    seeds=1,
)
"""One rung, at epoch 3, where what is left ends; and one seed of each config."""
STUCK_AFTER = 10.0


class Clock:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Told:
    """Who shows the search to people: notes what is told. `at_pause` is called when the search begins to wait."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lines: list[str] = []
        self.pauses: list[str | None] = []
        self.at_pause: Callable[[], None] = lambda: None

    def show(self, event: Event) -> None:
        self.events.append(event)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def say_once(self, text: str) -> None:
        if text not in self.lines:
            self.lines.append(text)

    def pause(self, reason: str | None) -> None:
        self.pauses.append(reason)
        if reason is not None:
            self.at_pause()


class BrokenJournal(Journal):
    """A journal that lets writing fail so many times in a row, as a full disk does; None for ever."""

    failures: int | None = 0

    def append(self, kind: str, **fields: object) -> None:
        if self.failures is None or self.failures > 0:
            self.failures = None if self.failures is None else self.failures - 1
            raise OSError(28, "No space left on device")
        super().append(kind, **fields)


class Search:
    """The engine's parts; `folder` holds the journal, the checkpoints, and what Ray notes of errors."""

    def __init__(self, folder: Path, clock: Clock, space: Space = SPACE) -> None:
        self.folder, self.clock = folder, clock
        self.view, self.interrupt = Told(), Interrupt()
        self.journal = BrokenJournal(folder / "journal.jsonl")
        self.log = WaitingLog(self.journal, self.view, self.interrupt)
        ledger = Ledger([RunStarted({"space": space.as_dict(), "rungs": space.fidelity.rungs()})])
        self.director = Director(
            space, ledger, self.log, RandomSampler(space), watch=Watch(STUCK_AFTER), watched=(self.view.show,)
        )
        self.director.watched_by(UnusedCheckpoints(folder, lambda: self.director.waiting))
        self.callback = DirectorCallback(self.director, self.log, self.view, folder, lambda: None)
        self.scheduler = DirectorScheduler(self.director, self.view)
        self.searcher = DirectorSearcher(self.director)

    # What Ray does

    def suggest(self) -> Any:
        """The next trial as Ray makes it of its config, not started yet."""
        config = self.searcher.suggest("a name of Ray's own")
        assert config is not None
        metadata = SimpleNamespace(
            last_result={REPORT: Report(), "done": True}, metric_analysis={"loss": {}}, metric_n_steps={"loss": {}}
        )
        actor = SimpleNamespace(ray_actor=f"actor of trial {config[NUMBER]}")
        return SimpleNamespace(config=config, error_file=None, run_metadata=metadata, temporary_state=actor)

    def start(self) -> Any:
        """The next trial, given to a worker that was there before: so it begins with its first epoch."""
        trial = self.suggest()
        self.callback.on_trial_start(0, [], trial)
        return trial

    def report(self, trial: Any, report: Report) -> str:
        """A worker has taken a step; what Ray is to do with the trial."""
        return self.scheduler.on_trial_result(None, trial, {REPORT: report})

    def epoch(self, trial: Any, epoch: int, score: float | None = 0.5, diverged: str | None = None, **more: Any) -> str:
        """An epoch is through."""
        return self.report(trial, Report(record(epoch, score, diverged), **more))

    def complete(self, trial: Any) -> None:
        """The trial has ended, whatever the reason was."""
        self.callback.on_trial_complete(0, [], trial)

    def steps(self, seconds: int, trials: list[Any], epochs_of: tuple[Any, ...] = ()) -> None:
        """Let time pass as Ray Tune does: in many steps, here with an epoch in each second of some trials."""
        for _ in range(seconds):
            self.clock.now += 1
            for trial in epochs_of:
                self.epoch(trial, 1, diverged=None)
            self.callback.on_step_begin(0, trials)

    # What is left behind

    def checkpoint(self, number: int, *epochs: int) -> Path:
        """Checkpoints of the trial, after these epochs or after the first; its folder."""
        folder = checkpoint_folder(self.folder, number)
        for epoch in epochs or (1,):
            Checkpoints(folder).write((9, epoch), {})
        return folder

    def entries(self, *kinds: str) -> list[dict[str, Any]]:
        found, damaged = read_journal(self.folder / "journal.jsonl")
        assert damaged == []
        return [entry for entry in found if not kinds or entry["kind"] in kinds]

    def kinds(self) -> list[str]:
        return [entry["kind"] for entry in self.entries()]

    def ends(self) -> dict[str, tuple[str, str]]:
        return {entry["trial_id"]: (entry["status"], entry["reason"]) for entry in self.entries("trial_ended")}

    def restarts(self) -> list[str]:
        return [entry["reason"] for entry in self.entries("trial_restarted")]


def record(epoch: int, score: float | None = 0.5, diverged: str | None = None) -> dict[str, Any]:
    return {"budget": 9, "epoch": epoch, "validation_accuracy": score, "seconds": 1.0, "diverged": diverged}


def placed(number: int, continued_from: tuple[int, int] | None = None, *left_out: str) -> TrialPlaced:
    return TrialPlaced(trial_id_of(number), "here", 1, continued_from, left_out)


def made_up_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the engine looks at from now on."""
    clock = Clock()
    monkeypatch.setattr(callback, "time", clock)
    monkeypatch.setattr(scheduler, "time", clock)
    return clock
