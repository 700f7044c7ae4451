"""No config is trained twice, and a space whose configs are all there ends the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.search.curves import begin, noisy_curve, record, run_of
from tests.search.test_time_budget import Timed
from tune_lpc.plan import Choice, Float, Int, Space, TrialSpec
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.plan.trial import Value
from tune_lpc.results import Ledger
from tune_lpc.results.events import Event, RunStarted, Status, TrialStarted, trial_id_of
from tune_lpc.results.tables import best_table
from tune_lpc.search.director import Director
from tune_lpc.search.earlier import Observation
from tune_lpc.search.sampler import Drawn, EstimatorSampler, RandomSampler
from tune_lpc.search.samplers import SAMPLERS
from tune_lpc.search.simulated import MemoryLog, simulate
from tune_lpc.search.time_budget import Limits

RAMP = {"gamma_ramp": Choice(["off", "linear"]), "gamma_end": Choice([1.0, 2.0, 4.0])}
FOUR = Space(
    "four", "for tests", RAMP, {"epochs": 9}, trials=9, fidelity_mode="full", seeds=1, random_starts=2, sampler="random"
)
"""Four configs: where the ramp is off its end makes no difference."""
USED_UP = "the space has only 4 configs; each was tried"


def started(director: Director) -> list[TrialSpec]:
    """What was trained first of each config."""
    trials = director.ledger.in_order()
    return [TrialSpec.build(dict(trial.config)) for trial in trials if trial.repeat_of is None]


def searched(space: Space, sampler: str = "random", slots: int = 1, **options: Any) -> Director:
    director = begin(space, sampler, slots)
    simulate(director, noisy_curve, slots=slots, **options)
    return director


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_a_space_that_is_used_up_ends_the_search(sampler: str, slots: int) -> None:
    director = searched(FOUR, sampler, slots)
    assert Counter(started(director)) == {FOUR.trial(config): 1 for config in FOUR.configs(0, 1)}
    assert (director.used_up, director.is_over, director.to_come) == (USED_UP, True, 0)
    assert len(best_table(director.ledger)) + len(diverged(director)) == 4


def diverged(director: Director) -> list[str]:
    return [trial.trial_id for trial in director.ledger.in_order() if trial.status is Status.DIVERGED]


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_all_configs_that_are_asked_for_are_others(sampler: str) -> None:
    trials = 12 if sampler == "gp" else 30
    space = replace(FOUR, dimensions={**RAMP, "batch_size": Int(8, 15)}, trials=trials)
    director = searched(space, sampler)
    assert len(set(started(director))) == len(started(director)) == trials
    assert director.used_up is None


def test_what_is_to_come_is_known_before_anything_is_drawn() -> None:
    director = begin(FOUR)
    assert (director.to_come, director.used_up) == (4, None)
    director.ask(0.0)
    assert (director.to_come, director.used_up) == (3, None)


def test_a_space_with_real_numbers_has_as_many_as_are_asked_for() -> None:
    director = searched(replace(FOUR, dimensions={"learning_rate": Float(1e-3, 1e-2)}))
    assert (len(set(started(director))), director.used_up) == (9, None)


def test_a_space_with_nothing_to_search_has_one_config() -> None:
    director = searched(replace(FOUR, dimensions={}))
    assert (len(started(director)), director.used_up) == (1, "the space has only 1 config; it was tried")


def test_a_config_that_is_listed_twice_is_trained_once_and_another_drawn() -> None:
    off, on = {"gamma_ramp": "off"}, {"gamma_ramp": "linear", "gamma_end": 2.0}
    director = searched(replace(FOUR, first=[off, off, on, on], trials=4))
    found = started(director)
    assert len(set(found)) == 4
    assert (found[0], found[2]) == (FOUR.trial(off), FOUR.trial(on))


class Stubborn(RandomSampler):
    """Always draws the same."""

    def __init__(self, space: Space, **more: Value) -> None:
        super().__init__(space)
        self._more = more

    def draw(self, place: int, given: Mapping[str, Value] | None, again: int = 0) -> Drawn:
        return dict(given) if given is not None else {"gamma_ramp": "off", **self._more}


@pytest.mark.parametrize("real", [False, True])
def test_a_sampler_that_draws_nothing_new_is_helped(real: bool) -> None:
    rate = {"learning_rate": Float(1e-3, 1e-2)} if real else {}
    space, log = replace(FOUR, dimensions={**RAMP, **rate}), MemoryLog()
    log.write(RunStarted(run_of(space)))
    sampler = Stubborn(space, learning_rate=0.005) if real else Stubborn(space)
    director = Director(space, Ledger(log.events), log, sampler)
    simulate(director, noisy_curve)
    assert len(set(started(director))) == len(started(director)) == (9 if real else 4)
    assert director.used_up == (None if real else USED_UP)


def test_further_seeds_are_no_copies_and_come_when_the_space_is_used_up() -> None:
    director = searched(replace(FOUR, seeds=3, trials=20))
    assert len(started(director)) == 4
    assert sum(trial.repeat_of is not None for trial in director.ledger.in_order()) > 0
    assert director.is_over


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_who_waits_at_a_rung_goes_on_when_no_other_config_is_to_come(slots: int) -> None:
    waits = {"fidelity_mode": "truncated", "first_rung": 3, "rung_rule": "promote"}
    space = replace(FOUR, **waits, dimensions={"batch_size": Int(8, 13)}, trials=50, seeds=2)
    director = searched(space, slots=slots)
    firsts = [trial for trial in director.ledger.in_order() if trial.repeat_of is None]
    assert len(firsts) == 6 and director.is_over and not director.waiting
    arrived = len(director.ledger.arrivals[3])
    trained = sum(trial.status is Status.COMPLETED for trial in firsts)
    assert trained >= -(-arrived // 3) - len(diverged(director)), "as where six were asked for"
    assert [trial.trial_id for trial in firsts] == [trial_id_of(number) for number in range(6)]


def test_of_several_objectives_the_front_has_each_config_once() -> None:
    director = searched(replace(FOUR, objectives=("validation_accuracy", "measure.nc1:min"), seeds=2))
    assert len(set(started(director))) == len(started(director)) == 4
    for front in director.ledger.fronts.values():
        assert len(set(front.front)) == len(front.front)


def test_configs_of_an_earlier_search_that_are_listed_too_are_drawn_once() -> None:
    on: dict[str, Value] = {"gamma_ramp": "linear", "gamma_end": 2.0}
    space = replace(FOUR, first=[on], sampler="tpe")
    log = MemoryLog()
    log.write(RunStarted(run_of(space)))
    sampler = EstimatorSampler(space, 1, [Observation(on, 0.9), Observation({"gamma_end": 2.0}, 0.8)])
    director = Director(space, Ledger(log.events), log, sampler)
    simulate(director, noisy_curve)
    assert len(set(started(director))) == len(started(director)) == 4


# Within a time


def test_within_a_time_a_search_ends_when_the_space_is_used_up() -> None:
    space = replace(FOUR, trials=AS_MANY_AS_FIT, seeds=2)
    timed = Timed(Limits(seconds=10_000.0), space)
    assert timed.run(noisy_curve) < 200.0
    assert len(timed.firsts) == 4
    assert (timed.director.used_up, timed.director.is_over) == (USED_UP, True)


def test_where_time_is_up_before_nothing_is_used_up() -> None:
    timed = Timed(Limits(seconds=20.0), replace(FOUR, trials=AS_MANY_AS_FIT))
    timed.run(noisy_curve)
    assert len(timed.firsts) < 4
    assert timed.director.used_up is None


# Going on


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_every_prefix_of_the_journal_leads_to_the_same_configs(sampler: str) -> None:
    space = replace(FOUR, seeds=2, dimensions={**RAMP, "batch_size": Int(8, 9)}, trials=12, sampler=sampler)
    whole = searched(space, sampler)
    expected = {trial.number: trial.config for trial in whole.ledger.in_order()}
    assert len(set(started(whole))) == len(started(whole)) == 8
    events = list(whole_events(space, sampler))
    for cut in range(1, len(events) + 1):
        director = begin(space, sampler, log=MemoryLog(events[:cut]))
        simulate(director, noisy_curve)
        assert {trial.number: trial.config for trial in director.ledger.in_order()} == expected, cut
        assert director.used_up == "the space has only 8 configs; each was tried"


def whole_events(space: Space, sampler: str) -> list[Event]:
    log = MemoryLog()
    simulate(begin(space, sampler, log=log), noisy_curve)
    return log.events


def test_one_whose_record_is_lost_is_drawn_again_and_no_copy_of_a_later_one() -> None:
    events = whole_events(FOUR, "random")
    for number in range(4):
        lost = [event for event in events if getattr(event, "trial_id", "") != trial_id_of(number)]
        director = begin(FOUR, log=MemoryLog(lost))
        assert director.to_come == 1
        simulate(director, noisy_curve)
        assert len(set(started(director))) == len(started(director)) == 4


def test_a_further_seed_whose_record_is_lost_is_no_config_that_is_lost() -> None:
    space = replace(FOUR, seeds=2)
    events = whole_events(space, "random")
    repeats = [event.trial_id for event in events if isinstance(event, TrialStarted) and event.repeat_of is not None]
    lost = [event for event in events if getattr(event, "trial_id", "") != repeats[0]]
    director = begin(space, log=MemoryLog(lost))
    simulate(director, noisy_curve)
    assert len(started(director)) == 4


def test_a_search_of_before_that_has_copies_goes_on_to_its_end() -> None:
    off, on = ({"gamma_ramp": "off"}, {"gamma_ramp": "linear", "gamma_end": 2.0})
    log = MemoryLog()
    log.write(RunStarted(run_of(FOUR)))
    for number, drawn in enumerate((off, on, off, off)):
        log.write(TrialStarted(trial_id_of(number), number, FOUR.trial(drawn).as_dict()))
    director = begin(FOUR, log=log)
    assert director.to_come == 4 + 2, "those that have begun, and the two configs that it has not"
    simulate(director, lambda given: (record(9, epoch, 0.5) for epoch in range(1, 10)))
    assert len(set(started(director))) == 4 and len(started(director)) == 6
    assert director.used_up == USED_UP


def test_the_precision_of_a_machine_makes_no_other_config() -> None:
    log = MemoryLog()
    log.write(RunStarted(run_of(FOUR)))
    sampler = RandomSampler(FOUR)
    director = Director(FOUR, Ledger(log.events), log, sampler, precision=lambda _: "bfloat16")
    simulate(director, noisy_curve)
    again = Director(FOUR, Ledger(log.events), log, RandomSampler(FOUR), precision=lambda _: "bfloat16")
    assert (again.to_come, again.used_up, len(started(again))) == (0, USED_UP, 4)
