"""How much of a search is left."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.search.curves import begin, noisy_curve, record
from tune_lpc.cli.remaining import Pace, ahead, expected_to_pass, seconds_left
from tune_lpc.cli.shown import LOST, Shown
from tune_lpc.plan import Float, Space
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, Event, Status
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.simulated import Record, simulate

SPACE = Space(
    name="small",
    about="for tests",
    trials=4,
    settings={"epochs": 9},
    dimensions={"learning_rate": Float(1e-4, 1e-1, log=True)},
    seeds=1,
)
"""A rung at 3 of 9 epochs; what it leaves may go on later."""
FULL = replace(SPACE, fidelity_mode="full")


def trial(number: int, trained: int, status: str = "running", of: int | None = None, control: bool = False) -> Shown:
    return Shown(number, {}, of, control, status, trained=trained)


# What the rungs let through


def test_as_many_pass_as_of_scores_in_random_order() -> None:
    """Against 400 orders drawn here, by the rule alone: the k-th is among the best ceil(k / 3) that have come."""
    draw, passed = random.Random(1), 0
    for _ in range(400):
        scores = [draw.random() for _ in range(30)]
        for come in range(1, 31):
            better = sum(score > scores[come - 1] for score in scores[: come - 1])
            passed += better < math.ceil(come / 3)
    assert expected_to_pass(30, 3, "stop") == pytest.approx(passed / 400, rel=0.05)


def test_promotion_lets_no_fewer_through_than_there_are_places_and_not_many_more() -> None:
    assert expected_to_pass(2, 3, "promote") == 0, "it waits for the first three"
    for come in (3, 10, 100):
        assert come // 3 <= expected_to_pass(come, 3, "promote") <= come // 3 * 1.5


@pytest.mark.parametrize("rule", ["stop", "promote"])
def test_each_arrival_adds_to_what_passes_also_beyond_the_table_and_between_whole_numbers(rule: str) -> None:
    found = [expected_to_pass(come / 2, 3, rule) for come in range(400)]
    assert all(before <= after <= before + 0.5 for before, after in itertools.pairwise(found))
    assert expected_to_pass(1000, 3, rule) == pytest.approx(1000 / 3, rel=0.3)


# Epochs to come


def test_without_rungs_all_that_is_not_trained_is_to_come() -> None:
    assert ahead(FULL, []).epochs == 4 * 9
    assert ahead(FULL, [trial(0, 9, "completed"), trial(1, 4)]).epochs == 5 + 2 * 9


def test_what_waits_after_an_interruption_is_to_come_too() -> None:
    assert ahead(FULL, [trial(0, 4, "waiting")]).epochs == 5 + 3 * 9


def test_the_next_stage_of_those_that_wait_at_a_rung_and_the_further_seeds() -> None:
    """Four come to the rung at 3 epochs, and 2 of them go on; then each has two further seeds."""
    space = replace(SPACE, seeds=3)
    assert ahead(space, []).epochs == 4 * 3 + 2 * 6 + 2 * 2 * 9
    waiting = [trial(number, 3, "stopped") for number in range(4)]
    assert ahead(space, waiting).epochs == 2 * 6 + 2 * 2 * 9
    promoted = [trial(0, 5), *waiting[1:]]
    assert ahead(space, promoted).epochs == 4 + 6 + 2 * 2 * 9
    trained = [trial(0, 9, "completed"), trial(1, 9, "completed"), *waiting[2:]]
    assert ahead(space, trained).epochs == 4 * 9
    repeats = [trial(4, 9, "completed", of=0), trial(5, 4, of=1)]
    assert ahead(space, [*trained, *repeats]).epochs == 5 + 2 * 9
    assert ahead(space, [*trained, *repeats]).repeats == 2


def test_a_rung_that_stops_for_good_lets_none_go_on_later() -> None:
    space = replace(SPACE, rung_rule="stop")
    assert ahead(space, [trial(number, 3, "stopped") for number in range(4)]).epochs == 0
    # Of four that come, one after another, 1 + 1/2 + 1/3 + 1/2 go on.
    assert ahead(space, []).epochs == pytest.approx(4 * 3 + (1 + 1 / 2 + 1 / 3 + 1 / 2) * 6)
    assert ahead(space, [trial(0, 9, "completed")]).epochs == pytest.approx(3 * 3 + (1 / 2 + 1 / 3 + 1 / 2) * 6)


def test_a_control_trial_trains_to_its_end() -> None:
    space = replace(SPACE, control_trials=4)
    assert ahead(space, []).epochs == 4 * 9
    assert ahead(replace(space, rung_rule="stop"), []).epochs == 4 * 9
    assert ahead(space, [trial(0, 2, control=True)]).epochs == 4 * 9 - 2


def test_of_a_climb_each_run_counts() -> None:
    climb = replace(SPACE, fidelity_mode="compressed", trials=1)
    assert ahead(climb, []).epochs == 3 + 9
    assert ahead(climb, [trial(0, 5)]).epochs == 7


@pytest.mark.parametrize("status", LOST)
def test_what_is_lost_costs_no_more_and_others_may_be_lost_too(status: str) -> None:
    """Two of two are lost after an epoch, which is half believed: so is one of the two to come."""
    assert ahead(FULL, [trial(0, 1, status), trial(1, 1, status)]).epochs == 1 * 9 + 1 * 1


def test_the_last_epoch_of_a_trial_leaves_its_further_seeds() -> None:
    space = replace(FULL, trials=2, seeds=2)
    trials = [trial(0, 9, "completed"), trial(1, 9)]
    assert ahead(space, trials).epochs == 2 * 9, "its end is told after its last epoch"


def test_nothing_is_known_of_a_search_that_time_ends() -> None:
    space = replace(SPACE, trials=AS_MANY_AS_FIT)
    assert ahead(space, [trial(0, 3, "stopped")]).epochs == 0
    pace = Pace(0.0)
    pace.epoch(10.0, 5.0)
    assert seconds_left(space, [trial(0, 1)], pace, 10.0) is None


# Time


def test_the_pace_is_known_from_the_first_epoch_on() -> None:
    pace = Pace(100.0)
    assert pace.each(150.0, 1) is None
    pace.epoch(160.0, 10.0)
    assert pace.each(160.0, 1) == 10.0, "the start of the workers is no part of it"
    pace.epoch(170.0, 10.0)
    assert pace.each(180.0, 1) == 15.0


def test_trials_that_run_beside_the_first_to_tell_have_done_something_too() -> None:
    pace = Pace(0.0)
    pace.epoch(10.0, 10.0)
    assert pace.each(10.0, 3) == 5.0
    assert pace.each(10.0, 0) == 10.0


def test_a_pause_is_no_part_of_the_pace() -> None:
    pace = Pace(0.0)
    pace.epoch(10.0, 10.0)
    pace.pause(10.0)
    pace.pause(50.0)
    assert pace.each(60.0, 1) == 10.0
    pace.go_on(110.0)
    pace.go_on(120.0)
    pace.epoch(120.0, 10.0)
    assert pace.each(120.0, 1) == 10.0


def test_time_left_is_epochs_times_pace() -> None:
    pace = Pace(0.0)
    pace.epoch(10.0, 10.0)
    assert seconds_left(FULL, [trial(0, 1)], pace, 10.0) == 35 * 10.0


# Whole searches

EVERY = 9
"""Of the epochs of each run one in so many is looked at, its last one among them."""


def shown(space: Space, ledger: Ledger) -> list[Shown]:
    """The trials as the view has them."""
    found = []
    for each in ledger.in_order():
        run, status = each.longest, str(each.status)
        trained = 0 if run is None else space.fidelity.trained(run.budget, run.epochs)
        running = "running" if each.status is Status.INTERRUPTED else status
        found.append(Shown(each.number, {}, each.repeat_of, each.control, running, trained=trained))
    return found


def climbing_curve(assignment: Assignment) -> Iterator[Record]:
    """A run a rung, each from scratch."""
    space = replace(SPACE, fidelity_mode="compressed", settings={"epochs": assignment.spec.epochs})
    draw = random.Random(repr(assignment.drawn))
    height, rate = draw.random(), draw.uniform(0.05, 0.5)
    for budget in space.fidelity.runs():
        for epoch in range(1, budget + 1):
            score = height * (1 - math.exp(-rate * epoch * 27 / budget)) + draw.gauss(0, 0.02)
            yield record(budget, epoch, score, draw.uniform(0.9, 1.1))


@pytest.mark.parametrize("rule", ["promote", "stop"])
@pytest.mark.parametrize("mode", ["truncated", "compressed", "full"])
@pytest.mark.parametrize(("trials", "seeds", "control"), [(4, 3, 0), (12, 1, 3), (40, 3, 0), (100, 1, 3)])
def test_from_the_first_tenth_on_the_whole_is_known_within_a_factor_of_two(
    rule: str, mode: str, trials: int, seeds: int, control: int
) -> None:
    for seed in range(2):
        space = replace(
            SPACE,
            rung_rule=rule,
            fidelity_mode=mode,
            trials=trials,
            seeds=seeds,
            control_trials=control,
            settings={"epochs": 27, "seed": seed},
        )
        director = begin(space, slots=2)
        seen: list[tuple[int, float]] = []

        def look(event: Event) -> None:
            if isinstance(event, EpochDone) and event.record["epoch"] % EVERY == 0:
                now = shown(space, director.ledger)  # noqa: B023 - called within this round
                trained = sum(each.trained for each in now)
                seen.append((trained, trained + ahead(space, now).epochs))  # noqa: B023

        director.watched_by(look)
        simulate(director, climbing_curve if mode == "compressed" else noisy_curve, slots=2)
        whole = seen[-1][0]
        reckoned = [of_all / whole for trained, of_all in seen if trained >= whole / 10]
        assert min(reckoned) >= 0.5 and max(reckoned) <= 2.0
        assert ahead(space, shown(space, director.ledger)).epochs == 0, "nothing is left at the end"
