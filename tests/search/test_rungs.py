"""The rule of early stopping, on made-up scores: nothing is trained here."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_lpc.plan import Fidelity
from tune_lpc.search.rungs import Look, Rungs, RungScheduler

FIDELITY = Fidelity(epochs=27, mode="truncated", reduction_factor=3, first_rung=3)


def goes_on(rungs: Rungs, number: int, epoch: int, score: float | None, *, control: bool = False) -> bool:
    look = rungs.arrive(number, 27, epoch, score, control=control)
    assert look is not None
    return look.goes_on


def test_first_arrival_at_a_rung_goes_on() -> None:
    assert Rungs(FIDELITY).arrive(0, 27, 3, 0.0) == Look(0, 3, 0.0, rank=1, of=1, goes_on=True)


def test_epochs_between_rungs_decide_nothing() -> None:
    assert Rungs(FIDELITY).arrive(0, 27, 4, 0.0) is None


def test_a_tie_with_the_best_goes_on_and_a_lower_score_stops() -> None:
    rungs = Rungs(FIDELITY)
    assert goes_on(rungs, 0, 3, 0.5)
    assert goes_on(rungs, 1, 3, 0.5)
    look = rungs.arrive(2, 27, 3, 0.4)
    assert look is not None and not look.goes_on
    assert look.reason() == "validation_accuracy 0.4000 was number 3 of 3 at the rung of epoch 3"


def test_rungs_are_apart() -> None:
    rungs = Rungs(FIDELITY)
    assert goes_on(rungs, 0, 3, 0.9)
    assert goes_on(rungs, 1, 9, 0.1)


def test_a_trial_that_comes_again_hears_the_same_and_does_not_count_twice() -> None:
    rungs = Rungs(FIDELITY)
    first = rungs.arrive(0, 27, 3, 0.1)
    rungs.arrive(1, 27, 3, 0.9)
    assert rungs.arrive(0, 27, 3, 0.95) == first
    look = rungs.arrive(2, 27, 3, 0.5)
    assert look is not None and (look.rank, look.of) == (2, 3)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, None])
def test_a_score_that_is_no_finite_number_is_the_worst_and_never_goes_on(score: float | None) -> None:
    rungs = Rungs(FIDELITY)
    # Not even as the first, nor as a control trial.
    assert not goes_on(rungs, 0, 3, score)
    assert not goes_on(rungs, 1, 3, score, control=True)
    look = rungs.arrive(2, 27, 3, 0.0)
    assert look is not None and (look.rank, look.of, look.goes_on) == (1, 3, True)


def test_a_control_trial_goes_on_and_counts_like_any_other() -> None:
    rungs = Rungs(FIDELITY)
    assert goes_on(rungs, 0, 3, 0.9)
    assert goes_on(rungs, 1, 3, 0.1, control=True)
    look = rungs.arrive(2, 27, 3, 0.5)
    assert look is not None and (look.rank, look.of, look.goes_on) == (2, 3, False)


def test_a_compressed_climb_is_judged_at_the_end_of_its_short_runs_only() -> None:
    rungs = Rungs(replace(FIDELITY, mode="compressed"))
    assert rungs.arrive(0, 9, 3, 0.5) is None
    assert rungs.arrive(0, 27, 9, 0.5) is None
    assert rungs.arrive(0, 9, 9, 0.5) == Look(0, 9, 0.5, rank=1, of=1, goes_on=True)


# A simulated search: thousands of trials on a clock of their own

Decide = Callable[[int, int, float], bool]


def simulate(decide: Decide, trials: int = 5000, slots: int = 8, seed: int = 0) -> list[tuple[int, int, bool]]:
    """Run trials of random speed and curve on a simulated clock; (trial, epoch, went on) in order of arrival.

    Some diverge, many tie. What comes to a rung when depends on who was stopped before.
    """
    draw = random.Random(seed)
    quality = [draw.random() for _ in range(trials)]
    noise = [[round(draw.gauss(0, 0.1), 2) for _ in FIDELITY.rungs()] for _ in range(trials)]
    speed = [draw.uniform(0.5, 3.0) for _ in range(trials)]
    waiting, log = iter(range(trials)), []
    events = [(speed[number] * 3, number, 0) for number in (next(waiting) for _ in range(slots))]
    heapq.heapify(events)
    rungs = FIDELITY.rungs()
    while events:
        now, number, index = heapq.heappop(events)
        went_on = False
        if index < len(rungs):
            score = math.nan if quality[number] < 0.02 else round(quality[number] + noise[number][index], 2)
            went_on = decide(number, rungs[index], score)
            log.append((number, rungs[index], went_on))
        if went_on:
            heapq.heappush(events, (now + speed[number] * rungs[index] * 2, number, index + 1))
        elif (following := next(waiting, None)) is not None:
            heapq.heappush(events, (now + speed[following] * 3, following, 0))
    return log


class Reference:
    """The rule once more, as straightforward as can be."""

    def __init__(self) -> None:
        self.seen: dict[int, list[float]] = {}

    def __call__(self, number: int, epoch: int, score: float) -> bool:
        seen = self.seen.setdefault(epoch, [])
        seen.append(-math.inf if math.isnan(score) else score)
        best = sorted(seen, reverse=True)[: -(-len(seen) // 3)]
        return not math.isnan(score) and score >= best[-1]


def test_decisions_on_5000_simulated_trials_equal_the_reference() -> None:
    rungs = Rungs(FIDELITY)
    log = simulate(lambda number, epoch, score: goes_on(rungs, number, epoch, score))
    assert log == simulate(Reference())
    assert len({number for number, _, _ in log}) == 5000
    assert {went_on for _, _, went_on in log} == {True, False}


def test_rungs_made_again_from_their_looks_at_100_random_points_decide_the_same() -> None:
    expected = simulate(Reference())
    places = set(random.Random(1).sample(range(len(expected)), 100))
    rungs, looks = Rungs(FIDELITY), list[Look]()

    def decide(number: int, epoch: int, score: float) -> bool:
        nonlocal rungs
        if len(looks) in places:
            rungs = Rungs(FIDELITY, looks)
        look = rungs.arrive(number, 27, epoch, score)
        assert look is not None
        looks.append(look)
        return look.goes_on

    assert simulate(decide) == expected


# Ray's interface


def result(epoch: int, score: float, diverged: str | None = None) -> dict[str, Any]:
    record = {"record/budget": 27, "record/epoch": epoch, "record/diverged": diverged}
    return {"validation_accuracy": score, **record}


def decision(scheduler: RungScheduler, number: int, *args: Any) -> str:
    trial: Any = SimpleNamespace(trial_id="ray's own", config={"number": number})
    return scheduler.on_trial_result(None, trial, result(*args))


def test_the_scheduler_stops_what_falls_short_and_keeps_its_look() -> None:
    scheduler = RungScheduler(Rungs(FIDELITY), lambda number: False)
    assert decision(scheduler, 0, 3, 0.5) == TrialScheduler.CONTINUE
    assert decision(scheduler, 1, 2, 0.1) == TrialScheduler.CONTINUE
    assert decision(scheduler, 1, 3, 0.1) == TrialScheduler.STOP
    assert scheduler.looks[1] == Look(1, 3, 0.1, rank=2, of=2, goes_on=False)


def test_the_scheduler_lets_control_trials_go_on() -> None:
    scheduler = RungScheduler(Rungs(FIDELITY), lambda number: number == 1)
    decision(scheduler, 0, 3, 0.5)
    assert decision(scheduler, 1, 3, 0.1) == TrialScheduler.CONTINUE
    assert scheduler.looks[1].control


def test_a_diverged_trial_stops_at_any_epoch() -> None:
    scheduler = RungScheduler(Rungs(FIDELITY), lambda number: True)
    assert decision(scheduler, 0, 1, math.nan, "train_loss became nan in epoch 1") == TrialScheduler.STOP


def trial_of_ray(number: int) -> Trial:
    return Trial("made up", config={"number": number}, stub=True)


def test_the_first_trial_that_waits_is_chosen_and_one_that_failed_comes_last() -> None:
    scheduler = RungScheduler(Rungs(FIDELITY), lambda number: False)
    first, second, third = (trial_of_ray(number) for number in range(3))
    assert scheduler.choose_trial_to_run(None) is None
    for trial in (first, second, third):
        scheduler.on_trial_add(None, trial)
    assert scheduler.choose_trial_to_run(None) is first
    assert scheduler.choose_trial_to_run(None) is first, "it waits until it runs"
    first.set_status(Trial.RUNNING)
    assert scheduler.choose_trial_to_run(None) is second
    first.set_status(Trial.PENDING)
    scheduler.on_trial_add(None, first)
    second.set_status(Trial.RUNNING)
    assert scheduler.choose_trial_to_run(None) is third
    third.set_status(Trial.TERMINATED)
    assert scheduler.choose_trial_to_run(None) is first


def test_the_trial_chosen_is_that_of_rays_own_scheduler() -> None:
    draw, scheduler, own = random.Random(0), RungScheduler(Rungs(FIDELITY), lambda number: False), FIFOScheduler()
    trials: list[Trial] = []
    controller: Any = SimpleNamespace(get_trials=lambda: trials)

    def add(trial: Trial) -> None:
        trials.append(trial)
        scheduler.on_trial_add(controller, trial)

    for step in range(2000):
        chosen = scheduler.choose_trial_to_run(controller)
        assert chosen is own.choose_trial_to_run(controller)
        if chosen is not None and draw.random() < 0.5:
            chosen.set_status(Trial.RUNNING)
        live = [trial for trial in trials if trial.status in (Trial.PENDING, Trial.RUNNING)]
        if len(live) < 8:
            add(trial_of_ray(step))
        elif (trial := draw.choice(live)).status == Trial.RUNNING and draw.random() < 0.3:
            # As Ray does when a worker was lost.
            trial.set_status(Trial.PENDING)
            trials.remove(trial)
            add(trial)
        else:
            trial.set_status(draw.choice([Trial.TERMINATED, Trial.ERROR, Trial.RUNNING]))
