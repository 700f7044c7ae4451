"""A search that goes on after an interruption, under a director that knows nothing but what was written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.searches import (
    CLIMB,
    LONG,
    SCORES,
    SHORT,
    SPACE,
    Search,
    ends,
    epoch,
    failed,
    run_of,
    scored,
    train,
    whole,
)
from tune_lpc.plan import TrialSpec
from tune_lpc.results.events import Event, RungDecided, RunStarted, Status, TrialEnded, TrialStarted, trial_id_of
from tune_lpc.search.director import Verdict
from tune_lpc.search.simulated import simulate


@pytest.fixture
def search() -> Search:
    return Search()


@pytest.mark.parametrize("number", [0, 1, 2], ids=["completed", "stopped", "diverged"])
def test_an_end_that_was_not_written_any_more_is_written_by_the_next_search(number: int) -> None:
    search = whole()
    end = search.of_kind(TrialEnded)[number]
    cut = search.log.events.index(end)
    again = search.again(search.log.events[:cut])
    assert again.log.events[cut:] == [end]
    assert again.told == [end]
    assert again.start().number == number + 1


def test_a_look_that_was_not_written_any_more_is_written_once_by_the_next_search() -> None:
    search = whole()
    look = search.of_kind(RungDecided)[1]
    cut = search.log.events.index(look)
    again = search.again(search.log.events[:cut])
    assert again.log.events[cut] == look
    third = again.again()
    assert third.log.events == again.log.events


def test_looks_that_were_lost_are_decided_in_the_order_of_arrival() -> None:
    before: list[Event] = [RunStarted(run_of(SPACE))]
    for number in range(3):
        before.append(TrialStarted(trial_id_of(number), number, SPACE.trial({"learning_rate": 0.01}).as_dict()))
    for number, score in ((1, 0.4), (0, 0.2), (2, 0.3)):
        before += [epoch(number, place, score) for place in SHORT]
    before.insert(7, RungDecided(trial_id_of(1), 3, 0.4, 1, 1, goes_on=True))
    again = Search(SPACE, before)
    again.director.settle()
    looks = [(look.trial_id, look.rank, look.of, look.goes_on) for look in again.of_kind(RungDecided)[1:]]
    assert looks == [(trial_id_of(0), 2, 2, False), (trial_id_of(2), 2, 3, False)]
    assert set(ends(again)) == {0, 2}


def test_what_was_written_before_the_interruption_is_not_written_again() -> None:
    search = whole()
    again = search.again()
    assert again.log.events == search.log.events
    assert (again.director.to_come, again.director.ask(0.0)) == (0, None)


@pytest.mark.parametrize("most", [0, 1, 3, 4, 12, 13, 16, 17, 22])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_search_that_goes_on_comes_to_the_same_ends(most: int, lost: int) -> None:
    search = Search()
    simulate(search.director, scored(SPACE, *SCORES), most_events=most)
    again = search.again()
    simulate(again.director, scored(SPACE, *SCORES), lost=lost)
    assert ends(again) == ends(whole())
    assert again.of_kind(RungDecided) == whole().of_kind(RungDecided)


def test_trials_that_have_not_ended_come_first_with_their_numbers_and_configs(search: Search) -> None:
    configs = [search.start().spec for _ in range(4)]
    train(search, 1, CLIMB)
    search.director.told(failed(2, "x"), 0.0)
    again = search.again()
    assert again.director.to_come == 5
    given = [again.start() for _ in range(5)]
    assert [one.number for one in given] == [0, 2, 3, 4, 5]
    assert [one.spec for one in given[:3]] == [configs[0], configs[2], configs[3]]
    assert [event.number for event in again.of_kind(TrialStarted)] == [0, 1, 2, 3, 0, 2, 3, 4, 5]


def test_a_trial_gone_on_with_stays_the_control_trial_that_it_was() -> None:
    space = replace(SPACE, control_trials=1)
    (control,) = (number for number in range(6) if space.is_control(number))
    search = Search(space)
    given = [search.start() for _ in range(6)]
    assert [one.control for one in given] == [number == control for number in range(6)]
    swapped = [
        replace(event, control=event.number == 5 - control) if isinstance(event, TrialStarted) else event
        for event in search.log.events
    ]
    again = search.again(swapped)
    assert [again.start().control for _ in range(6)] == [number == 5 - control for number in range(6)]


def test_a_control_trial_that_falls_short_at_a_rung_goes_on() -> None:
    config = SPACE.trial({"learning_rate": 0.01}).as_dict()
    starts = [TrialStarted(trial_id_of(number), number, config, control=number == 1) for number in range(2)]
    search = Search(SPACE, [RunStarted(run_of(SPACE)), *starts])
    for _ in range(2):
        search.start()
    assert train(search, 0, SHORT, 0.5) is Verdict.GOES_ON
    assert train(search, 1, SHORT, 0.1) is Verdict.GOES_ON
    look = search.of_kind(RungDecided)[-1]
    assert (look.rank, look.of, look.goes_on, look.control) == (2, 2, True, True)
    assert search.again().of_kind(TrialEnded) == []


def test_a_completed_trial_whose_last_epoch_was_lost_trains_it_again(search: Search) -> None:
    search.start()
    train(search, 0, CLIMB)
    lost = [event for event in search.log.events if event != epoch(0, LONG[-1])]
    again = search.again(lost)
    assert again.log.events == lost, "there is nothing to settle"
    assert again.director.to_come == 6
    assert again.start().number == 0
    assert train(again, 0, LONG[-2:]) is Verdict.ENDS
    assert again.ledger.trials[trial_id_of(0)].status is Status.COMPLETED


def test_a_trial_whose_start_was_lost_is_drawn_and_trained_again_as_it_was() -> None:
    search = whole()
    name = trial_id_of(3)
    specs = [event.config for event in search.of_kind(TrialStarted)]
    lost = [event for event in search.log.events if not (isinstance(event, TrialStarted) and event.trial_id == name)]
    again = search.again(lost)
    assert again.director.to_come == 1
    given = again.start()
    assert (given.number, given.spec.as_dict()) == (3, specs[3])
    assert again.ledger.trials[name].status is Status.INTERRUPTED


def test_a_search_that_is_made_longer_goes_on_with_further_trials() -> None:
    search = whole()
    longer = Search(replace(SPACE, trials=8), search.log.events)
    longer.director.settle()
    assert longer.director.to_come == 2
    assert [longer.start().number for _ in range(2)] == [6, 7]
    assert longer.director.ask(0.0) is None


# Precision


def test_the_precision_is_resolved_for_each_new_trial_and_kept_for_one_that_goes_on() -> None:
    def resolve(spec: TrialSpec) -> str:
        return "float32" if spec.gamma_ramp == "off" else "bfloat16"

    search = Search(precision=resolve)
    given = [search.start() for _ in range(6)]
    found = {(one.spec.gamma_ramp, one.spec.precision) for one in given}
    assert found == {("off", "float32"), ("linear", "bfloat16")}
    assert [event.config["precision"] for event in search.of_kind(TrialStarted)] == [g.spec.precision for g in given]
    elsewhere = Search(SPACE, search.log.events, precision=lambda _: "float32")
    assert [elsewhere.start().spec for _ in range(6)] == [one.spec for one in given]
