"""The director behind Ray's interfaces: what is asked of it, and what it is told of a worker's steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from tests.engine.searches import SPACE, Search, made_up_clock, placed
from tune_lpc.engine.report import NUMBER, SPEC, Report
from tune_lpc.results.events import Measured

NAN = "train_loss became nan in epoch 2"


def test_a_config_is_the_number_and_the_spec_and_there_are_as_many_as_trials(search: Search) -> None:
    configs = [search.searcher.suggest(f"ray-{turn}") for turn in range(SPACE.trials + 2)]
    # None asks Ray to come again, as those that run may let others go on.
    found, after = configs[: SPACE.trials], configs[SPACE.trials :]
    assert [config and config[NUMBER] for config in found] == list(range(SPACE.trials))
    assert all(config is not None and config[SPEC].epochs == 9 for config in found)
    assert len({config[SPEC].learning_rate for config in found if config is not None}) == SPACE.trials
    assert after == [None, None]


def test_ray_is_told_that_none_will_come_when_nothing_runs_any_more(search: Search) -> None:
    trials = [search.start() for _ in range(SPACE.trials)]
    for trial in trials:
        assert search.searcher.suggest("another") is None
        search.epoch(trial, 1, None, NAN)
    assert search.searcher.suggest("another") == Searcher.FINISHED


def test_ray_is_asked_to_come_again_until_the_last_further_seed_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = replace(SPACE, fidelity_mode="full", first_rung=None, trials=2, seeds=3)
    search = Search(tmp_path, made_up_clock(monkeypatch), space)
    for begins in (2, 2, 2):
        trials = [search.start() for _ in range(begins)]
        assert search.searcher.suggest("another") is None
        for trial in trials:
            for epoch in range(1, 10):
                search.epoch(trial, epoch)
    assert search.searcher.suggest("another") == Searcher.FINISHED


def test_one_that_goes_on_later_is_suggested_again_with_its_number_and_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = replace(SPACE, rung_rule="promote", seeds=1)
    search = Search(tmp_path, made_up_clock(monkeypatch), space)
    trials = [search.start() for _ in range(3)]
    for trial, score in zip(trials, (0.9, 0.8, 0.7), strict=True):
        for epoch in (1, 2, 3):
            verdict = search.epoch(trial, epoch, score)
        assert verdict == TrialScheduler.STOP
    assert search.suggest().config == trials[0].config
    assert [entry["promoted"] for entry in search.entries("rung")] == [False, False, False, True]


@pytest.mark.parametrize(
    ("scores", "diverged", "status", "reason"),
    [
        ([0.5] * 9, None, "completed", "trained all 9 epochs"),
        ([0.25] * 3, None, "stopped", "validation_accuracy 0.2500 was number 2 of 2 at the rung of epoch 3"),
        ([0.5, None], NAN, "diverged", NAN),
    ],
    ids=["completed", "stopped", "diverged"],
)
def test_a_trial_is_stopped_with_the_epoch_that_ends_it(
    search: Search, scores: list[float | None], diverged: str | None, status: str, reason: str
) -> None:
    first, trial = search.start(), search.start()
    for epoch in (1, 2, 3):
        assert search.epoch(first, epoch, 0.3) == TrialScheduler.CONTINUE
    *others, last = enumerate(scores, start=1)
    for epoch, score in others:
        assert search.epoch(trial, epoch, score) == TrialScheduler.CONTINUE
    assert search.epoch(trial, *last, diverged) == TrialScheduler.STOP
    assert search.ends() == {"trial-00001": (status, reason)}


def test_measures_come_before_their_epoch_and_the_place_before_the_first(search: Search) -> None:
    trial = search.start()
    assert search.report(trial, Report()) == TrialScheduler.CONTINUE
    search.epoch(trial, 1, placed=placed(0))
    for epoch in range(2, 9):
        search.epoch(trial, epoch)
    assert search.report(trial, Report(measures_come_next=True)) == TrialScheduler.CONTINUE
    measured = Measured("trial-00000", {"knn": 0.5, "nc1": None}, {"nc1": "one class"})
    assert search.epoch(trial, 9, measured=measured) == TrialScheduler.STOP
    epochs = ["epoch", "epoch", "epoch", "rung", *["epoch"] * 5, "measures", "epoch"]
    assert search.kinds() == ["trial_started", "trial_placed", *epochs, "trial_ended"]
    (entry,) = search.entries("measures")
    assert (entry["trial_id"], entry["values"]) == ("trial-00000", {"knn": 0.5, "nc1": None})
    assert entry["reasons"] == {"nc1": "one class"}


def test_the_epoch_of_a_checkpoint_told_again_is_not_written_twice(search: Search) -> None:
    trial = search.start()
    for epoch in (1, 2, 3, 4):
        search.epoch(trial, epoch)
    assert search.epoch(trial, 2, placed=placed(0, (9, 2))) == TrialScheduler.CONTINUE
    search.epoch(trial, 3, 0.75)
    assert [entry["record"]["epoch"] for entry in search.entries("epoch")] == [1, 2, 3, 4, 3]
    assert len(search.entries("rung")) == 1
    assert [entry["continued_from"] for entry in search.entries("trial_placed")] == [[9, 2]]


def test_damaged_checkpoints_are_told_and_one_that_cannot_be_written_once(search: Search) -> None:
    trial = search.start()
    search.epoch(trial, 1, placed=placed(0, None, "checkpoint x is damaged: its checksum does not match"))
    for epoch in (1, 2):
        search.epoch(trial, epoch, problem="no checkpoint could be written: No space left on device")
    assert search.view.lines == [
        "trial 0: checkpoint x is damaged: its checksum does not match",
        "trial 0: no checkpoint could be written: No space left on device",
    ]


def test_trials_run_in_order_and_one_that_failed_comes_last(search: Search) -> None:
    first, second, third = (SimpleNamespace(name=name, status=Trial.PENDING) for name in "abc")
    waiting: list[Any] = [Named(trial) for trial in (first, second, third)]
    for trial in waiting:
        search.scheduler.on_trial_add(None, trial)
    assert search.scheduler.choose_trial_to_run(None) is waiting[0]
    assert search.scheduler.choose_trial_to_run(None) is waiting[0], "as long as it waits"
    first.status = Trial.RUNNING
    assert search.scheduler.choose_trial_to_run(None) is waiting[1]
    first.status = Trial.PENDING
    search.scheduler.on_trial_add(None, waiting[0])  # its worker was lost
    second.status = Trial.TERMINATED
    assert search.scheduler.choose_trial_to_run(None) is waiting[2]
    third.status = Trial.RUNNING
    assert search.scheduler.choose_trial_to_run(None) is waiting[0]
    first.status = Trial.ERROR
    assert search.scheduler.choose_trial_to_run(None) is None


class Named:
    """A trial that can be a key, as Ray's can."""

    def __init__(self, state: SimpleNamespace) -> None:
        self.state = state

    @property
    def status(self) -> str:
        return str(self.state.status)
