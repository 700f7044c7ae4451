"""What a person sees of a running search."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from tune_lpc.cli import live as live_module
from tune_lpc.cli.live import Progress
from tune_lpc.plan import Choice, Space, TrialSpec
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.plan.trial import Value
from tune_lpc.results import Ledger
from tune_lpc.results.events import (
    EpochDone,
    Event,
    Measured,
    RungDecided,
    Status,
    TrialEnded,
    TrialPlaced,
    TrialRestarted,
    TrialStarted,
    trial_id_of,
)
from tune_lpc.search.time_budget import Limits, TimeBudget

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


class Live:
    """A search and its view: each event goes to the ledger first, then to the view, as under the director."""

    def __init__(self, space: Space = SPACE, before: Ledger | None = None) -> None:
        self.space, self.ledger = space, before or Ledger()
        self.progress = Progress(space, Console(file=io.StringIO(), force_terminal=False), self.ledger)

    def tell(self, event: Event) -> None:
        self.ledger.apply(event)
        self.progress.show(event)

    def start(self, number: int, **drawn: Value) -> None:
        config = TrialSpec.build({**self.space.settings, **drawn}).as_dict()
        self.tell(TrialStarted(trial_id_of(number), number, config))

    def epoch(self, number: int, epoch: int, score: float | None, budget: int = 9) -> None:
        record = {"budget": budget, "epoch": epoch, "validation_accuracy": score}
        self.tell(EpochDone(trial_id_of(number), record))

    def end(self, number: int, status: Status, reason: str = "") -> None:
        self.tell(TrialEnded(trial_id_of(number), status, reason))

    def again(self) -> Live:
        """A process that goes on with the search."""
        return Live(self.space, self.ledger)


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


def watch(live: Live) -> None:
    live.start(0, optimizer="sgd")
    live.start(1, optimizer="adamw")
    for epoch in range(1, 10):
        live.epoch(0, epoch, 0.75)
    live.end(0, Status.COMPLETED, "trained all 9 epochs")
    for epoch in range(1, 4):
        live.epoch(1, epoch, 0.25)
    live.end(1, Status.STOPPED, "number 2 of 2")
    live.start(2, optimizer="adamw")
    live.epoch(2, 1, None)
    live.end(2, Status.DIVERGED, "train_loss became nan in epoch 1")
    live.start(3, optimizer="sgd")
    live.epoch(3, 1, 0.25)
    live.epoch(3, 2, 0.5)


def test_plain_lines_tell_the_end_of_each_trial() -> None:
    live = Live()
    with live.progress:
        watch(live)
    assert lines_of(live.progress) == [
        "trial 0 completed after epoch 9 of 9, validation_accuracy 0.7500 (best)",
        "trial 1 stopped after epoch 3 of 9, validation_accuracy 0.2500",
        "trial 2 diverged after epoch 1 of 9: train_loss became nan in epoch 1",
    ]


def test_plain_lines_tell_the_counts_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "PLAIN_LINE_EVERY", -1.0)
    live = Live()
    live.start(0)
    live.epoch(0, 1, 0.5)
    (line,) = lines_of(live.progress)
    assert line.startswith("1 running, 0 stopped early, 0 done, 0 failed, 3 to come | 1 epochs, ")


def test_a_trial_that_fails_before_its_first_epoch_is_told() -> None:
    live = Live()
    live.start(0)
    live.end(0, Status.FAILED, "UserError: no such folder")
    assert lines_of(live.progress) == ["trial 0 failed after epoch 0: UserError: no such folder"]


def test_the_table_shows_what_runs_the_counts_and_the_best() -> None:
    live = Live()
    watch(live)
    text = table_of(live.progress)
    assert "1 running, 1 stopped early, 1 done, 1 diverged, 0 failed, 0 to come" in text
    assert "15 epochs" in text
    assert "best so far: 0.7500, trial 0: optimizer=sgd" in text
    assert "2 of 9" in text and "0.5000" in text
    assert "9 of 9" not in text, "what has ended is not in the table"
    assert "left" in text


def test_a_terminal_too_low_for_the_table_shows_the_counts_and_the_best() -> None:
    live, screen = Live(), io.StringIO()
    live.progress.console = Console(file=screen, force_terminal=True, width=100, height=5)
    with live.progress:
        watch(live)
        for number in range(4, 9):
            live.start(number, optimizer="sgd")
        assert live.progress._live is not None
        live.progress._live.refresh()
        seen = screen.getvalue().rpartition("6 running")[2]
    assert "15 epochs" in seen and "best so far: 0.7500" in seen
    assert "\u2502     8 " not in seen, "the last trials of the table are what is cut"


def test_failures_are_told_beside_the_table() -> None:
    live, screen = Live(), io.StringIO()
    live.progress.console = Console(file=screen, force_terminal=True, width=100)
    with live.progress:
        live.start(0)
        live.end(0, Status.FAILED, "UserError: no such folder")
        live.progress.say("trial 1 is restarted")
    assert "trial 0 failed: UserError: no such folder" in screen.getvalue()
    assert "trial 1 is restarted" in screen.getvalue()


def test_the_epochs_of_all_runs_of_a_climb_count() -> None:
    live = Live(CLIMB)
    live.start(0)
    live.epoch(0, 3, 0.5, budget=3)
    assert "3 epochs" in table_of(live.progress)
    live.epoch(0, 2, 0.5)
    text = table_of(live.progress)
    assert "5 epochs" in text and "2 of 9" in text


def test_an_epoch_trained_again_counts_once() -> None:
    live = Live()
    live.start(0)
    for epoch in (1, 2, 3, 2, 3):
        live.epoch(0, epoch, 0.5)
    assert "3 epochs" in table_of(live.progress)


def test_a_stopped_trial_is_never_the_best() -> None:
    live = Live()
    live.start(0)
    live.epoch(0, 3, 0.99)
    live.end(0, Status.STOPPED)
    assert live.progress.best is None


def test_the_first_of_two_equals_is_the_best() -> None:
    live = Live()
    for number, score in enumerate((0.5, 0.5, 0.4)):
        live.start(number)
        live.epoch(number, 9, score)
        live.end(number, Status.COMPLETED)
    assert live.progress.best is live.progress.trials[0]
    assert [line.endswith("(best)") for line in lines_of(live.progress)] == [True, False, False]


def test_events_that_nobody_need_see_say_nothing() -> None:
    live = Live()
    live.start(0)
    live.epoch(0, 3, 0.5)
    live.tell(TrialPlaced("trial-00000", "here", 1))
    live.tell(RungDecided("trial-00000", 3, 0.5, 1, 1, True))
    live.tell(Measured("trial-00000", {"nc1": 0.5}, {}))
    live.tell(TrialRestarted("trial-00000", "its worker died"))
    assert lines_of(live.progress) == []
    assert "1 running" in table_of(live.progress)


# A search that was interrupted


def interrupted() -> Live:
    """A search of which one trial is done, one in the middle, one at its beginning, one failed; in a new process."""
    live = Live()
    live.start(0, optimizer="sgd")
    for epoch in range(1, 10):
        live.epoch(0, epoch, 0.75)
    live.end(0, Status.COMPLETED)
    live.start(1, optimizer="adamw")
    live.epoch(1, 1, 0.25)
    live.epoch(1, 2, 0.5)
    live.start(2, optimizer="adamw")
    live.start(3, optimizer="adamw")
    live.end(3, Status.FAILED, "its worker died")
    return live.again()


def test_trials_of_before_are_shown_as_they_stood() -> None:
    live = interrupted()
    assert lines_of(live.progress) == []
    text = table_of(live.progress)
    assert "0 running, 0 stopped early, 1 done, 0 failed, 3 to come" in text
    assert "11 epochs" in text
    assert "best so far: 0.7500, trial 0: optimizer=sgd" in text
    live.start(1, optimizer="adamw")
    text = table_of(live.progress)
    assert "1 running, 0 stopped early, 1 done, 0 failed, 2 to come" in text
    assert "11 epochs" in text and "2 of 9" in text, "it goes on where it was"


def test_the_time_left_is_reckoned_from_the_epochs_of_this_process() -> None:
    before = Live()
    before.start(0)
    for epoch in range(1, 10):
        before.epoch(0, epoch, 0.75)
    before.end(0, Status.COMPLETED)
    live = before.again()
    assert "time left unknown" in table_of(live.progress)
    live.start(1)
    for epoch in range(1, 10):
        live.epoch(1, epoch, 0.5)
    live.end(1, Status.COMPLETED)
    live.progress.started -= 90.0  # ten seconds an epoch, two trials of nine epochs to come
    assert "1:30 spent, about 3:00 left" in table_of(live.progress)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(3600.0), "about 40:00 left of 1 hours"),
        (Limits(gpu_seconds=7200.0), "about 2:00:00 left of 2 GPU hours"),
        (Limits(3600.0, 7200.0), "about 40:00 left of 1 hours, about 2:00:00 left of 2 GPU hours"),
    ],
)
def test_with_a_budget_what_is_left_of_it_is_told(limits: Limits, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(replace(SPACE, trials=AS_MANY_AS_FIT))
    limits = replace(limits, began=live.progress.started - 1200.0)
    live.progress = Progress(live.space, live.progress.console, live.ledger, TimeBudget(SPACE, live.ledger, limits))
    live.start(0)
    monkeypatch.setattr(live_module.time, "monotonic", lambda: live.progress.started)
    text = " ".join(table_of(live.progress).split())
    assert f"0 failed | 0 epochs, 0:00 spent, {words}" in text, "how many are to come nobody knows"
    assert "small: as many trials as time allows of up to 9 epochs" in text


# What is said


def test_a_pause_and_its_end_are_told() -> None:
    progress = Live().progress
    progress.pause("the disk is full")
    assert "paused: the disk is full" in table_of(progress)
    progress = Live().progress
    progress.pause("the disk is full")
    progress.pause(None)
    progress.pause(None)
    assert lines_of(progress) == ["paused: the disk is full", "the search goes on"]
    assert "paused" not in table_of(progress)


def test_what_is_said_once_is_not_said_again() -> None:
    progress = Live().progress
    for text in ("no checkpoint", "no checkpoint", "another"):
        progress.say_once(text)
    progress.say("another")
    assert lines_of(progress) == ["no checkpoint", "another", "another"]
