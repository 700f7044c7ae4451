"""The rule of early stopping, on made-up scores: nothing is trained here."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from tune_lpc.search.rungs import Rungs, RungScheduler
from tune_lpc.spec import Fidelity

FIDELITY = Fidelity(epochs=27, reduction_factor=3, first_rung=3)


def result(epoch: int, score: float, diverged: str | None = None) -> dict[str, Any]:
    return {"validation_accuracy": score, "record/epoch": epoch, "record/diverged": diverged}


def decide(scheduler: RungScheduler, trial_id: str, epoch: int, score: float, diverged: str | None = None) -> str:
    trial: Any = SimpleNamespace(trial_id=trial_id)
    return scheduler.on_trial_result(None, trial, result(epoch, score, diverged))


def test_first_arrival_at_a_rung_goes_on() -> None:
    assert Rungs(FIDELITY).reason_to_stop("a", 3, 0.0) is None


def test_epochs_between_rungs_stop_nothing() -> None:
    rungs = Rungs(FIDELITY)
    rungs.reason_to_stop("a", 3, 0.9)
    assert rungs.reason_to_stop("b", 4, 0.0) is None


def test_a_tie_with_the_best_goes_on_and_a_lower_score_stops() -> None:
    rungs = Rungs(FIDELITY)
    rungs.reason_to_stop("a", 3, 0.5)
    assert rungs.reason_to_stop("b", 3, 0.5) is None
    reason = rungs.reason_to_stop("c", 3, 0.4)
    assert reason == "validation_accuracy 0.4000 was number 3 of 3 at the rung of epoch 3, where the best goes on"


def test_rungs_are_apart() -> None:
    rungs = Rungs(FIDELITY)
    rungs.reason_to_stop("a", 3, 0.9)
    assert rungs.reason_to_stop("b", 9, 0.1) is None


def test_a_trial_that_comes_again_after_a_failure_is_not_judged_twice() -> None:
    rungs = Rungs(FIDELITY)
    rungs.reason_to_stop("a", 3, 0.1)
    rungs.reason_to_stop("b", 3, 0.9)
    assert rungs.reason_to_stop("a", 3, 0.1) is None
    # Nor does it count twice: a third score is one of three, of which only the best goes on.
    assert rungs.reason_to_stop("c", 3, 0.5) is not None


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_decisions_on_thousands_of_arrivals_equal_the_reference(factor: int) -> None:
    rungs = Rungs(Fidelity(epochs=64, reduction_factor=factor, first_rung=4))
    draw = random.Random(factor)
    seen: list[float] = []
    for number in range(2000):
        score = round(draw.random(), 2)
        seen.append(score)
        last_of_the_best = sorted(seen, reverse=True)[-(-len(seen) // factor) - 1]
        assert (rungs.reason_to_stop(str(number), 4, score) is not None) == (score < last_of_the_best)


def test_a_diverged_trial_stops_at_any_epoch_with_its_reason() -> None:
    scheduler = RungScheduler(FIDELITY)
    assert decide(scheduler, "a", 1, math.nan, "train_loss became nan in epoch 1") == TrialScheduler.STOP
    assert scheduler.reasons["a"] == "train_loss became nan in epoch 1"


def test_a_score_that_is_not_a_number_is_the_worst() -> None:
    scheduler = RungScheduler(FIDELITY)
    assert decide(scheduler, "a", 3, 0.1) == TrialScheduler.CONTINUE
    assert decide(scheduler, "b", 3, math.nan) == TrialScheduler.STOP
    # It counts as one that arrived, and spoils no cut-off.
    assert decide(scheduler, "c", 3, 0.2) == TrialScheduler.CONTINUE
    assert decide(scheduler, "d", 3, 0.0) == TrialScheduler.STOP
