"""What a person sees of a running search."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tune_lpc.cli import live as progress_module
from tune_lpc.cli.live import Progress
from tune_lpc.plan import Choice, Space

SPACE = Space(
    name="small",
    about="for tests",
    trials=4,
    settings={"epochs": 9},
    dimensions={"optimizer": Choice(["adamw", "sgd"])},
    fidelity_mode="truncated",
)
CLIMB = replace(SPACE, fidelity_mode="compressed")
"""A run of three epochs, then one of nine."""


def record(epoch: int, score: float | None, budget: int = 9) -> dict[str, Any]:
    return {"budget": budget, "epoch": epoch, "validation_accuracy": score}


def plain(space: Space = SPACE) -> Progress:
    """A view that is not a terminal."""
    return Progress(space, Console(file=io.StringIO(), force_terminal=False))


def lines_of(progress: Progress) -> list[str]:
    """What was printed, without the time."""
    file = progress.console.file
    assert isinstance(file, io.StringIO)
    return [line.split("] ", 1)[1] for line in file.getvalue().splitlines()]


def table_of(progress: Progress) -> str:
    """What the terminal shows at last."""
    screen = io.StringIO()
    progress.console = Console(file=screen, force_terminal=True, width=100)
    with progress:
        pass
    return screen.getvalue()


def watch(progress: Progress) -> None:
    progress.trial_started(0, {"optimizer": "sgd"})
    progress.trial_started(1, {"optimizer": "adamw"})
    progress.epoch_done(0, record(9, 0.75))
    progress.trial_ended(0, "completed", "trained all 9 epochs")
    progress.epoch_done(1, record(3, 0.25))
    progress.trial_ended(1, "stopped", "number 2 of 2")
    progress.trial_started(2, {"optimizer": "adamw"})
    progress.epoch_done(2, record(1, None))
    progress.trial_ended(2, "diverged", "train_loss became nan in epoch 1")
    progress.trial_started(3, {"optimizer": "sgd"})
    progress.epoch_done(3, record(2, 0.5))


def test_plain_lines_tell_the_end_of_each_trial() -> None:
    progress = plain()
    with progress:
        watch(progress)
    assert lines_of(progress) == [
        "trial 0 completed after epoch 9 of 9, validation_accuracy 0.7500 (best)",
        "trial 1 stopped after epoch 3 of 9, validation_accuracy 0.2500",
        "trial 2 diverged after epoch 1 of 9: train_loss became nan in epoch 1",
    ]


def test_plain_lines_tell_the_counts_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "PLAIN_LINE_EVERY", -1.0)
    progress = plain()
    progress.trial_started(0, {})
    progress.epoch_done(0, record(1, 0.5))
    (line,) = lines_of(progress)
    assert line.startswith("1 running, 0 stopped early, 0 done, 0 failed, 3 to come | 1 epochs, ")


def test_a_trial_that_fails_before_its_first_epoch_is_told() -> None:
    progress = plain()
    progress.trial_started(0, {})
    progress.trial_ended(0, "failed", "UserError: no such folder")
    assert lines_of(progress) == ["trial 0 failed after epoch 0: UserError: no such folder"]


def test_the_table_shows_what_runs_the_counts_and_the_best() -> None:
    progress = plain()
    watch(progress)
    text = table_of(progress)
    assert "1 running, 1 stopped early, 1 done, 1 diverged, 0 failed, 0 to come" in text
    assert "15 epochs" in text
    assert "best so far: 0.7500, trial 0: optimizer=sgd" in text
    assert "2 of 9" in text and "0.5000" in text
    assert "9 of 9" not in text, "what has ended is not in the table"
    assert "left" in text


def test_failures_are_told_beside_the_table() -> None:
    progress, screen = plain(), io.StringIO()
    progress.console = Console(file=screen, force_terminal=True, width=100)
    with progress:
        progress.trial_started(0, {})
        progress.trial_ended(0, "failed", "UserError: no such folder")
        progress.say("trial 1 is restarted")
    assert "trial 0 failed: UserError: no such folder" in screen.getvalue()
    assert "trial 1 is restarted" in screen.getvalue()


def test_the_epochs_of_all_runs_of_a_climb_count() -> None:
    progress = plain(CLIMB)
    progress.trial_started(0, {})
    progress.epoch_done(0, record(3, 0.5, budget=3))
    assert "3 epochs" in table_of(progress)
    progress.epoch_done(0, record(2, 0.5))
    text = table_of(progress)
    assert "5 epochs" in text and "2 of 9" in text


def test_an_epoch_trained_again_counts_once() -> None:
    progress = plain()
    progress.trial_started(0, {})
    for epoch in (1, 2, 3, 2, 3):
        progress.epoch_done(0, record(epoch, 0.5))
    assert "3 epochs" in table_of(progress)


def test_a_stopped_trial_is_never_the_best() -> None:
    progress = plain()
    progress.trial_started(0, {})
    progress.epoch_done(0, record(3, 0.99))
    progress.trial_ended(0, "stopped", "")
    assert progress.best is None


def test_the_first_of_two_equals_is_the_best() -> None:
    progress = plain()
    for number, score in enumerate((0.5, 0.5, 0.4)):
        progress.trial_started(number, {})
        progress.epoch_done(number, record(9, score))
        progress.trial_ended(number, "completed", "")
    assert progress.best is progress.trials[0]
    assert [line.endswith("(best)") for line in lines_of(progress)] == [True, False, False]


# A search that was interrupted


def test_trials_of_before_are_shown_as_they_stood() -> None:
    progress = plain()
    progress.recall(0, {"optimizer": "sgd"}, "completed", record(9, 0.75))
    progress.recall(1, {"optimizer": "adamw"}, "waiting", record(2, 0.5))
    progress.recall(2, {"optimizer": "adamw"}, "waiting", None)
    assert lines_of(progress) == []
    text = table_of(progress)
    assert "0 running, 0 stopped early, 1 done, 0 failed, 3 to come" in text
    assert "11 epochs" in text
    assert "best so far: 0.7500, trial 0" in text
    progress.trial_started(1, {"optimizer": "adamw"})
    text = table_of(progress)
    assert "1 running, 0 stopped early, 1 done, 0 failed, 2 to come" in text
    assert "11 epochs" in text, "it goes on where it was"


def test_the_time_left_is_reckoned_from_the_epochs_of_this_process() -> None:
    progress = plain()
    progress.recall(0, {}, "completed", record(9, 0.75))
    assert "time left unknown" in table_of(progress)
    progress.trial_started(1, {})
    for epoch in range(1, 10):
        progress.epoch_done(1, record(epoch, 0.5))
    progress.trial_ended(1, "completed", "")
    progress.started -= 90.0  # ten seconds an epoch, two trials of nine epochs to come
    assert "1:30 spent, about 3:00 left" in table_of(progress)


# What is said


def test_a_pause_and_its_end_are_told() -> None:
    progress = plain()
    progress.pause("the disk is full")
    assert "paused: the disk is full" in table_of(progress)
    progress = plain()
    progress.pause("the disk is full")
    progress.pause(None)
    progress.pause(None)
    assert lines_of(progress) == ["paused: the disk is full", "the search goes on"]
    assert "paused" not in table_of(progress)


def test_what_is_said_once_is_not_said_again() -> None:
    progress = plain()
    for text in ("no checkpoint", "no checkpoint", "another"):
        progress.say_once(text)
    progress.say("another")
    assert lines_of(progress) == ["no checkpoint", "another", "another"]
