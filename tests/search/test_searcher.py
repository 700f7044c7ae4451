"""Optuna behind Ray's interface: what it draws, and what it is told."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.trial import TrialState

from tune_lpc.search.searcher import SpaceSearch
from tune_lpc.spec import Choice, Float, Space

SPACE = Space(
    name="small",
    about="for tests",
    settings={"epochs": 9, "seed": 3},
    dimensions={
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "gamma_ramp": Choice(["off", "linear"]),
        "gamma_end": Float(1.0, 10.0, when={"gamma_ramp": ("linear",)}),
    },
)


def result(epoch: int, score: float, diverged: str | None = None) -> dict[str, Any]:
    return {"validation_accuracy": score, "record/epoch": epoch, "record/diverged": diverged}


def test_draws_number_the_trials_and_respect_conditions() -> None:
    search = SpaceSearch(SPACE, concurrent=1)
    configs = [search.suggest(str(i)) for i in range(30)]
    assert [config["number"] for config in configs if config] == list(range(30))
    for config in configs:
        assert config is not None
        assert 1e-4 <= config["learning_rate"] <= 1e-1
        assert ("gamma_end" in config) == (config["gamma_ramp"] == "linear")
    assert {config["gamma_ramp"] for config in configs if config} == {"off", "linear"}


def run_twenty(seed: int) -> list[dict[str, Any] | None]:
    search = SpaceSearch(SPACE.with_values({"seed": seed}), concurrent=1)
    configs = []
    for number in range(20):
        config = search.suggest(str(number))
        assert config is not None
        search.on_trial_complete(str(number), result(9, 1.0 - config["learning_rate"]))
        configs.append(config)
    return configs


def test_an_epoch_done_again_after_a_failure_is_told_once(recwarn: pytest.WarningsRecorder) -> None:
    search = SpaceSearch(SPACE, concurrent=1)
    search.suggest("a")
    for epoch, score in ((1, 0.3), (2, 0.4), (2, 0.5), (3, 0.6)):
        search.on_trial_result("a", result(epoch, score))
    search.on_trial_complete("a", result(3, 0.6))
    assert search._ot_study is not None
    assert search._ot_study.trials[0].intermediate_values == {1: 0.3, 2: 0.4, 3: 0.6}
    assert not recwarn.list


def test_the_seed_alone_decides_what_is_drawn() -> None:
    assert run_twenty(1) == run_twenty(1)
    assert run_twenty(1) != run_twenty(2)


@pytest.mark.parametrize(
    ("last", "error", "state"),
    [
        (result(9, 0.7), False, TrialState.COMPLETE),
        (result(3, 0.7), False, TrialState.PRUNED),
        (result(2, math.nan, "train_loss became nan"), False, TrialState.FAIL),
        (result(9, 0.1, "train_loss became inf"), False, TrialState.FAIL),
        (result(5, 0.7), True, TrialState.FAIL),
        (None, True, TrialState.FAIL),
    ],
    ids=["full budget", "stopped at a rung", "diverged", "diverged with a score", "failed", "failed at once"],
)
def test_optuna_hears_how_a_trial_ended(last: dict[str, Any] | None, error: bool, state: TrialState) -> None:
    search = SpaceSearch(SPACE, concurrent=1)
    search.suggest("a")
    search.on_trial_result("a", result(1, 0.3))
    search.on_trial_complete("a", last, error)
    assert search._ot_study is not None
    (told,) = search._ot_study.trials
    assert told.state == state
    assert told.intermediate_values[1] == 0.3
    if state == TrialState.PRUNED:
        # Ray keeps the deciding score from the searcher; it must not be lost.
        assert told.intermediate_values[3] == 0.7
