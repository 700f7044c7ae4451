"""The engine that trains nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.search.searches import LONG, NAN, SCORES, SHORT, SPACE, Place, Search, ends, records, scored, whole
from tune_lpc.results.events import (
    EpochDone,
    Event,
    Measured,
    RunStarted,
    Status,
    TrialPlaced,
    TrialStarted,
    trial_id_of,
)
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.simulated import MemoryLog, Record, recorded_curves, recorded_measures, simulate


def test_a_log_in_memory_keeps_what_it_is_given_until_it_fails() -> None:
    log, event = MemoryLog(), RunStarted({})
    assert log.write(event)
    log.fails = True
    assert not log.write(event)
    assert log.events == [event]


def test_the_clock_runs_as_long_as_the_epochs_take() -> None:
    search = Search()
    # 12 + 3 + 1 + 12 + 3 + 3 epochs
    assert simulate(search.director, scored(SPACE, *SCORES, seconds=2.5), now=100.0) == 100.0 + 34 * 2.5
    assert {number: status for number, (status, _) in ends(search).items()} == {
        0: Status.COMPLETED, 1: Status.STOPPED, 2: Status.DIVERGED, 3: Status.COMPLETED, 4: Status.STOPPED,
        5: Status.STOPPED,
    }  # fmt: skip


def test_trials_in_several_slots_run_side_by_side() -> None:
    space = replace(SPACE, trials=2)
    search = Search(space)

    def curve(given: Assignment) -> Iterator[Record]:
        return records(space, lambda *_: 0.5, seconds=1.0 + given.number * 1.5)

    assert simulate(search.director, curve, slots=2) == 12 * 2.5
    told = [event.trial_id for event in search.of_kind(EpochDone)][:5]
    first, second = trial_id_of(0), trial_id_of(1)
    assert told == [first, first, second, first, first], "after 1, 2, 2.5, 3 and 4 seconds"


def test_a_slot_that_is_free_gets_the_next_trial() -> None:
    search = Search()
    simulate(search.director, scored(SPACE, *SCORES), slots=2)
    starts = [search.log.events.index(event) for event in search.of_kind(TrialStarted)]
    running = [sum(start <= place for start in starts) for place in range(len(search.log.events))]
    over = [
        sum(event.kind == "trial_ended" for event in search.log.events[: place + 1]) for place in range(len(running))
    ]
    assert max(begun - end for begun, end in zip(running, over, strict=True)) == 2


@pytest.mark.parametrize("slots", [1, 3])
def test_the_same_search_twice_is_the_same(slots: int) -> None:
    logs = []
    for _ in range(2):
        search = Search()
        simulate(search.director, scored(SPACE, *SCORES), slots=slots)
        logs.append(search.log.events)
    assert logs[0] == logs[1]


def test_a_search_is_cut_off_after_so_many_epochs() -> None:
    search = Search()
    assert simulate(search.director, scored(SPACE, *SCORES), most_events=7) == 7.0
    assert len(search.of_kind(EpochDone)) == 7


@pytest.mark.parametrize(("lost", "place"), [(0, (9, 3)), (1, (9, 2)), (2, (9, 1)), (3, None)])
def test_a_trial_goes_on_from_its_checkpoint_or_an_older_one(lost: int, place: Place | None) -> None:
    search = Search()
    simulate(search.director, scored(SPACE, *SCORES), most_events=6)
    again = search.again()
    before = len(again.log.events)
    # Epochs that are trained again take another time.
    simulate(again.director, scored(SPACE, *SCORES, seconds=2.0), most_events=1, lost=lost)
    _, placed, done = again.log.events[before:]
    assert isinstance(placed, TrialPlaced) and placed.continued_from == place
    assert isinstance(done, EpochDone)
    assert (done.record["budget"], done.record["epoch"]) == (LONG[LONG.index(place) + 1] if place else SHORT[0])


def test_when_nothing_can_be_written_any_more_the_search_ends() -> None:
    search = Search()
    search.log.fails = True
    simulate(search.director, scored(SPACE, *SCORES), slots=2)
    assert search.kinds() == []


# Recorded searches


def test_a_recorded_search_gives_its_own_curves() -> None:
    recorded = whole()
    again = Search()
    simulate(again.director, recorded_curves(recorded.ledger))
    assert again.log.events == recorded.log.events


def test_a_trial_that_was_recorded_with_another_config_is_refused() -> None:
    recorded = whole()
    other = Search(SPACE.with_values({"seed": 4}))
    with pytest.raises(ValueError, match="trial 0 was recorded with another seed"):
        simulate(other.director, recorded_curves(recorded.ledger))


def test_a_trial_that_was_not_recorded_is_refused() -> None:
    longer = Search(replace(SPACE, trials=7))
    with pytest.raises(KeyError):
        simulate(longer.director, recorded_curves(whole().ledger))


def test_measures_of_before_come_with_the_last_epoch_of_a_trained_trial_alone() -> None:
    measured: list[Event] = [Measured(trial_id_of(number), {"nc1": number / 10}, {}) for number in (0, 1, 3)]
    search = Search()
    simulate(search.director, scored(SPACE, *SCORES), measures=recorded_measures(measured))
    assert search.of_kind(Measured) == [measured[0], measured[2]]
    after = [search.log.events[search.log.events.index(event) + 1] for event in search.of_kind(Measured)]
    assert [event.record["epoch"] for event in after if isinstance(event, EpochDone)] == [9, 9]


def test_a_trial_that_diverges_in_its_last_epoch_has_no_measures() -> None:
    search = Search(replace(SPACE, trials=1))

    def curve(given: Assignment) -> Iterator[Record]:
        *before, last = records(SPACE, lambda *_: 0.5)
        return iter([*before, {**last, "diverged": NAN}])

    simulate(search.director, curve, measures=recorded_measures([Measured(trial_id_of(0), {"nc1": 0.5}, {})]))
    assert search.of_kind(Measured) == []
