"""What a person sees of a running search."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from tune_lpc.cli import live as live_module
from tune_lpc.cli.live import Progress
from tune_lpc.cli.remaining import Pace
from tune_lpc.plan import Choice, Float, Space, TrialSpec
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.plan.trial import Value
from tune_lpc.results import Ledger
from tune_lpc.results.events import (
    EpochDone,
    Event,
    Measured,
    RungDecided,
    RunStarted,
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
    dimensions={"optimizer": Choice(["adamw", "sgd"]), "momentum": Float(0.1, 0.9)},
    fidelity_mode="truncated",
    rung_rule="stop",
    score_window=1,
    seeds=1,
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

    def start(self, number: int, of: int | None = None, **drawn: Value) -> None:
        config = TrialSpec.build({**self.space.settings, **drawn}).as_dict()
        self.tell(TrialStarted(trial_id_of(number), number, config, repeat_of=of))

    def epoch(self, number: int, epoch: int, score: float | None, budget: int = 9) -> None:
        record = {"budget": budget, "epoch": epoch, "validation_accuracy": score}
        self.tell(EpochDone(trial_id_of(number), record))

    def end(self, number: int, status: Status, reason: str = "") -> None:
        self.tell(TrialEnded(trial_id_of(number), status, reason))

    def again(self) -> Live:
        """A process that goes on with the search."""
        return Live(self.space, self.ledger)


def printed(progress: Progress) -> list[str]:
    """What was printed, without the time."""
    file = progress.console.file
    assert isinstance(file, io.StringIO)
    return [line.split("] ", 1)[1] for line in file.getvalue().splitlines()]


def lines_of(progress: Progress) -> list[str]:
    """The same without the lines that tell how far the search is."""
    return [line for line in printed(progress) if " spent" not in line]


def began_before(live: Live, seconds: float) -> None:
    """Let the process have begun so long ago, and its first epoch with it."""
    live.progress.started -= seconds
    live.progress.pace = Pace(live.progress.started)


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
        "trial 0 completed after epoch 9 of 9, validation_accuracy 0.7500",
        "leading: 0.7500, 1 seed, trial 0",
        "trial 1 stopped after epoch 3 of 9, validation_accuracy 0.2500",
        "trial 2 diverged after epoch 1 of 9: train_loss became nan in epoch 1",
    ]


def test_plain_lines_tell_the_counts_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "PLAIN_LINE_EVERY", -1.0)
    live = Live()
    live.start(0)
    began_before(live, 10.0)
    for epoch in (1, 2):
        live.epoch(0, epoch, 0.5)
    first, second = printed(live.progress)
    assert first == "1 epochs: 1 running, 3 to come, 4%, 0:10 spent, about 4:10 left"
    assert second.startswith("2 epochs: 1 running, ")


def test_plain_lines_tell_the_time_left_from_the_first_epoch_on_and_then_not_too_often() -> None:
    live = Live()
    live.start(0)
    for epoch in (1, 2):
        live.epoch(0, epoch, 0.5)
    (line,) = printed(live.progress)
    assert line.startswith("1 epochs: ") and "unknown" not in line


def test_a_trial_that_fails_before_its_first_epoch_is_told() -> None:
    live = Live()
    live.start(0)
    live.end(0, Status.FAILED, "UserError: no such folder")
    assert lines_of(live.progress) == ["trial 0 failed after epoch 0: UserError: no such folder"]


def test_the_table_shows_what_runs_the_counts_and_who_leads() -> None:
    live = Live()
    watch(live)
    text = table_of(live.progress)
    assert "15 epochs: 1 running, 1 stopped early, 1 done, 1 diverged\n" in text
    assert "leading: 0.7500, 1 seed, trial 0: optimizer=sgd" in text
    assert "2 of 9" in text and "0.5000" in text
    assert "9 of 9" not in text, "what has ended is not in the table"
    assert "left" in text


def test_a_terminal_too_low_for_the_table_shows_the_counts_and_who_leads() -> None:
    live, screen = Live(), io.StringIO()
    live.progress.console = Console(file=screen, force_terminal=True, width=100, height=5)
    with live.progress:
        watch(live)
        for number in range(4, 9):
            live.start(number, optimizer="sgd")
        assert live.progress._live is not None
        live.progress._live.refresh()
        seen = screen.getvalue().rpartition("6 running")[2]
    assert "leading: 0.7500" in seen
    assert "    8 " not in seen, "the last trials of the table are what is cut"


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


def test_a_stopped_trial_never_leads() -> None:
    live = Live()
    live.start(0)
    live.epoch(0, 3, 0.99)
    live.end(0, Status.STOPPED)
    assert live.progress.leading is None
    assert "leading" not in table_of(live.progress)


def test_the_first_of_two_equals_leads_and_who_leads_is_told_when_it_changes() -> None:
    live = Live()
    for number, score in enumerate((0.5, 0.5, 0.4, 0.6)):
        live.start(number)
        live.epoch(number, 9, score)
        live.end(number, Status.COMPLETED)
    told = [line for line in lines_of(live.progress) if line.startswith("leading")]
    assert told == ["leading: 0.5000, 1 seed, trial 0", "leading: 0.6000, 1 seed, trial 3"]


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
    assert "11 epochs: 0 running, 1 done, 3 to come" in text
    assert "leading: 0.7500, 1 seed, trial 0: optimizer=sgd" in text
    live.start(1, optimizer="adamw")
    text = table_of(live.progress)
    assert "11 epochs: 1 running, 1 done, 2 to come" in text
    assert "2 of 9" in text, "it goes on where it was"


def test_the_time_left_is_reckoned_from_the_epochs_of_this_process() -> None:
    before = Live()
    before.start(0)
    for epoch in range(1, 10):
        before.epoch(0, epoch, 0.75)
    before.end(0, Status.COMPLETED)
    live = before.again()
    assert "time left unknown" in table_of(live.progress)
    began_before(live, 90.0)
    live.start(1)
    for epoch in range(1, 10):
        live.epoch(1, epoch, 0.5)
    live.end(1, Status.COMPLETED)
    # Ten seconds an epoch. Two configs are to come; the third of four that come goes on with probability 1/3, the last
    # with 1/2: 2 x 3 epochs, and 5/6 x 6.
    assert "1:30 spent, about 1:50 left" in table_of(live.progress)


def test_the_time_left_is_told_from_the_first_epoch_on() -> None:
    live = Live()
    live.start(0)
    assert "time left unknown" in table_of(live.progress)
    began_before(live, 10.0)
    live.epoch(0, 1, 0.5)
    text = table_of(live.progress)
    assert "time left unknown" not in text and "0:10 spent, about" in text
    assert "best so far: 0.5000, trial 0 at epoch 1 of 9, not trained in full" in text


def test_the_start_of_the_workers_is_no_part_of_the_pace() -> None:
    live = Live(replace(SPACE, fidelity_mode="full", trials=1))
    live.start(0)
    began_before(live, 60.0)
    record = {"budget": 9, "epoch": 1, "validation_accuracy": 0.5, "seconds": 10.0}
    live.tell(EpochDone(trial_id_of(0), record))
    assert "1:00 spent, about 1:20 left" in table_of(live.progress), "eight epochs of ten seconds"


def test_the_bar_never_falls_and_ends_full() -> None:
    live = Live(replace(SPACE, rung_rule="promote", seeds=2))
    shares = []
    for number, end in ((0, 9), (1, 3), (2, 9), (3, 3)):
        live.start(number)
        for epoch in range(1, end + 1):
            live.epoch(number, epoch, 0.5)
            shares.append(live.progress.share_done())
        live.end(number, Status.COMPLETED if end == 9 else Status.STOPPED)
    for number, of in ((4, 0), (5, 2)):
        live.start(number, of=of)
        for epoch in range(1, 10):
            live.epoch(number, epoch, 0.5)
            shares.append(live.progress.share_done())
        live.end(number, Status.COMPLETED)
    assert shares == sorted(shares) and 0 < shares[0] < 0.1
    assert live.progress.share_done() == 1.0
    assert "100%" in table_of(live.progress)


def test_a_running_trial_is_one_line_of_80_columns() -> None:
    names = ("learning_rate", "weight_decay", "gamma_start", "gamma_end")
    live = Live(replace(SPACE, dimensions={name: Choice([1.0, 2.0]) for name in names}))
    for number in range(3):
        drawn = dict.fromkeys(names, 1.2345678)
        live.start(number, **{**drawn, "gamma_ramp": "exponential", "gamma_end": 2.5})
        live.epoch(number, 1, 0.5)
    screen = io.StringIO()
    live.progress.console = Console(file=screen, force_terminal=True, width=80)
    with live.progress:
        pass
    rows = {line for line in screen.getvalue().splitlines() if "0.5000" in line and "best" not in line}
    assert len(rows) == 3, "one a trial"
    assert all("learning_rate=1.23" in row and "\u2026" in row for row in rows), "what does not fit is left out"


# Further seeds, and trials that rungs let go on later


SEEDS = replace(SPACE, rung_rule="promote", seeds=3)
"""Rungs at 3 of 9 epochs. Of four configs two are trained to their end, each with three seeds."""


def train(live: Live, number: int, score: float, epochs: int = 9, *, since: int = 0, of: int | None = None) -> None:
    """A trial from one epoch to another, and its end."""
    live.start(number, of)
    for epoch in range(since + 1, epochs + 1):
        live.epoch(number, epoch, score)
    live.end(number, Status.COMPLETED if epochs == 9 else Status.STOPPED)


def test_a_further_seed_is_told_as_what_it_is_and_who_leads_with_how_many() -> None:
    live = Live(replace(SPACE, trials=2, seeds=3))
    train(live, 0, 0.5)
    train(live, 1, 0.75)
    train(live, 2, 0.25, of=1)
    train(live, 3, 0.5, of=0)
    assert lines_of(live.progress) == [
        "trial 0 completed after epoch 9 of 9, validation_accuracy 0.5000",
        "leading: 0.5000, 1 seed, trial 0",
        "trial 1 completed after epoch 9 of 9, validation_accuracy 0.7500",
        "leading: 0.7500, 1 seed, trial 1",
        "trial 2 (another seed of trial 1) completed after epoch 9 of 9, validation_accuracy 0.2500",
        "leading: 0.5000, 2 seeds, trial 1",
        "trial 3 (another seed of trial 0) completed after epoch 9 of 9, validation_accuracy 0.5000",
        "leading: 0.5000, 2 seeds, trial 0",
    ]


def test_the_one_that_leads_falls_back_when_a_seed_of_it_diverges() -> None:
    live = Live(replace(SPACE, trials=2, seeds=2))
    train(live, 0, 0.5)
    train(live, 1, 0.75)
    live.start(2, of=1)
    live.tell(
        EpochDone(trial_id_of(2), {"budget": 9, "epoch": 1, "validation_accuracy": None, "diverged": "nan in epoch 1"})
    )
    live.end(2, Status.DIVERGED, "nan in epoch 1")
    assert lines_of(live.progress)[-2:] == [
        "trial 2 (another seed of trial 1) diverged after epoch 1 of 9: nan in epoch 1",
        "leading: 0.5000, 1 seed, trial 0",
    ]


def test_the_interval_of_the_one_that_leads_is_told_where_the_images_are_known() -> None:
    run = {"space": SPACE.as_dict(), "rungs": SPACE.fidelity.rungs(), "data": {"validation_images": 144}}
    live = Live(before=Ledger([RunStarted(run)]))
    train(live, 0, 0.75)
    assert lines_of(live.progress)[-1] == "leading: 0.7500 (0.6734 to 0.8136), 1 seed, trial 0"


def test_further_seeds_are_none_of_the_configs_to_come() -> None:
    live = Live(replace(SPACE, trials=3, seeds=2))
    for number in range(2):
        train(live, number, 0.5)
    live.start(2)
    assert "1 running, 2 done, then about 2 further seeds" in table_of(live.progress)
    for epoch in range(1, 10):
        live.epoch(2, epoch, 0.75)
    live.end(2, Status.COMPLETED)
    live.start(3, of=2)
    assert "1 running, 3 done, then about 1 further seed\n" in table_of(live.progress)
    train(live, 3, 0.5, of=2)
    train(live, 4, 0.5, of=0)
    text = table_of(live.progress)
    assert "0 running, 5 done\n" in text and "100%" in text
    assert "left" not in text


def test_one_that_goes_on_later_runs_again_and_is_one_trial() -> None:
    live = Live(SEEDS)
    train(live, 0, 0.5, 3)
    live.tell(RungDecided("trial-00000", 3, 0.5, 1, 3, goes_on=True, promoted=True))
    live.start(0)
    assert [trial.status for trial in live.progress.trials.values()] == ["running"]
    train(live, 0, 0.5, 9, since=3)
    assert lines_of(live.progress) == [
        "trial 0 stopped after epoch 3 of 9, validation_accuracy 0.5000",
        "trial 0 completed after epoch 9 of 9, validation_accuracy 0.5000",
        "leading: 0.5000, 1 seed, trial 0",
    ]
    text = table_of(live.progress)
    assert "9 epochs: 0 running, 1 done, 3 to come" in text


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
    assert f"0:00 spent, {words}" in text
    told = "0 epochs: 1 running small: as many trials as time allows of up to 9 epochs"
    assert told in text, "how many are to come nobody knows"


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
