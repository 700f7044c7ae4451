"""What a person sees of a running search."""

from __future__ import annotations

import io

from rich.console import Console

from tune_lpc.search.progress import Progress
from tune_lpc.spec import Choice, Space

SPACE = Space(
    name="small",
    about="for tests",
    trials=4,
    settings={"epochs": 9},
    dimensions={"optimizer": Choice(["adamw", "sgd"])},
)


def watched(terminal: bool) -> str:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    with Progress(SPACE, console) as progress:
        progress.trial_started(0, {"optimizer": "sgd"})
        progress.trial_started(1, {"optimizer": "adamw"})
        progress.epoch_done(0, 9, 0.75)
        progress.trial_ended(0, "completed", "trained all 9 epochs")
        progress.epoch_done(1, 3, 0.25)
        progress.trial_ended(1, "stopped", "below the cut-off")
        progress.trial_started(2, {"optimizer": "adamw"})
        progress.epoch_done(2, 1, None)
        progress.trial_ended(2, "diverged", "train_loss became nan in epoch 1")
        progress.trial_started(3, {"optimizer": "sgd"})
        progress.epoch_done(3, 2, 0.5)
    return screen.getvalue()


def test_plain_lines_tell_the_end_of_each_trial() -> None:
    lines = [line.split("] ", 1)[1] for line in watched(terminal=False).splitlines()]
    assert lines == [
        "trial 0 completed after epoch 9, validation_accuracy 0.7500 (best)",
        "trial 1 stopped after epoch 3, validation_accuracy 0.2500",
        "trial 2 diverged after epoch 1: train_loss became nan in epoch 1",
    ]


def test_the_table_shows_what_runs_the_counts_and_the_best() -> None:
    text = watched(terminal=True)
    assert "1 running, 1 stopped early, 1 done, 1 diverged, 0 failed, 0 to come" in text
    assert "15 epochs" in text
    assert "best so far: 0.7500, trial 0: optimizer=sgd" in text
    assert "left" in text


def test_a_stopped_trial_is_never_the_best() -> None:
    screen = io.StringIO()
    with Progress(SPACE, Console(file=screen, force_terminal=False)) as progress:
        progress.trial_started(0, {})
        progress.epoch_done(0, 3, 0.99)
        progress.trial_ended(0, "stopped", "")
    assert progress.best is None
