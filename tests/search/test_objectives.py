"""Searches with several objectives, under the simulated engine: rungs by fronts, further seeds, and a kill."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from optuna.trial import TrialState

from tests.results.runs import record
from tests.search.searches import NAN, SPACE, Search, records, run_of
from tune_lpc.plan import Space
from tune_lpc.plan.objectives import objective_of
from tune_lpc.results import Journal, Ledger, read_ledger
from tune_lpc.results.events import (
    EpochDone,
    Event,
    FrontFound,
    Measured,
    Position,
    RungDecided,
    RunStarted,
    Status,
    as_entry,
    as_event,
    trial_id_of,
)
from tune_lpc.results.ranking import ranked
from tune_lpc.results.tables import best_table, front_table, rungs_table, trials_table
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director
from tune_lpc.search.rungs import arrivals_at, undominated
from tune_lpc.search.sampler import EstimatorSampler, RandomSampler, Sampler
from tune_lpc.search.seeds import Standing, next_repeat
from tune_lpc.search.simulated import Curve, MemoryLog, Record, simulate
from tune_lpc.search.watch import Watch

TWO = ("validation_accuracy", "measure.nc1:min")
OBJECTIVES = tuple(map(objective_of, TWO))
SPACE_OF_TWO = replace(
    SPACE, trials=9, fidelity_mode="truncated", first_rung=3, rung_rule="promote", objectives=TWO, first=[]
)
"""One run of 9 epochs, looked at after 3; the best third of those there goes on."""
HALVING = replace(SPACE_OF_TWO, rung_rule="stop", reduction_factor=2, first_rung=5)
"""Looked at after 5; the better half goes on, decided when it comes."""
MEASURED = replace(SPACE_OF_TWO, objectives=("validation_accuracy", "measure.entropy:min"))
Pair = tuple[float, float] | None


def pairs(space: Space, *ends: Pair) -> Curve:
    """The curves of trials that have the same accuracy and NC1 all the time, by number; None: they diverge at once."""

    def curve(given: Assignment) -> Iterator[Record]:
        score, nc1 = ends[given.number] or (None, None)
        return records(space, lambda *_: score, nc1=nc1)

    return curve


def noisy(space: Space) -> Curve:
    """Curves that are a function of the config and the seed; the better in one objective the worse in the other."""

    def curve(given: Assignment) -> Iterator[Record]:
        draw = random.Random(repr(sorted(given.drawn.items(), key=str)))
        height, diverges = draw.random(), draw.random() < 0.2
        noise = random.Random(f"{height} {given.spec.seed}")
        for epoch in range(1, space.epochs + 1):
            score = round(height * epoch / space.epochs + noise.gauss(0, 0.05), 3)
            nc1 = 10 ** (2 * height - epoch / 5 + noise.gauss(0, 0.3))
            if diverges and epoch == 2:
                score = None
            yield from records_of(space, epoch, score, nc1)
            if score is None:
                return

    return curve


def records_of(space: Space, epoch: int, score: float | None, nc1: float) -> Iterator[Record]:
    yield record(epoch, score, space.epochs, diverged=NAN if score is None else None, nc1=nc1, seconds=1.0)


def measured(values: Callable[[int, Position], float | None]) -> Callable[[Assignment, Position], Measured]:
    """A worker that measures the entropy of trial `number` where it stands."""

    def measures(given: Assignment, position: Position) -> Measured:
        value, end = values(given.number, position), (given.spec.epochs, given.spec.epochs)
        rung = None if position == end else position
        return Measured(given.trial_id, {"entropy": value}, {} if value is not None else {"entropy": "why"}, rung)

    return measures


def looks(search: Search) -> dict[int, bool]:
    """What the rung said last of each trial."""
    return {search.ledger.trials[look.trial_id].number: look.goes_on for look in search.ledger.looks}


# Rungs


def test_a_rung_lets_the_front_go_on_and_stops_what_is_dominated() -> None:
    space = replace(HALVING, trials=6)
    search = Search(space)
    ends = [(0.9, 1.0), (0.8, 2.0), (0.5, 0.01), (0.4, 0.02), (0.95, 3.0), (0.7, 0.5)]
    simulate(search.director, pairs(space, *ends))
    # 1: dominated by 0. 2: the least NC1. 3: dominated by 2. 4: the best accuracy. 5: between 0 and 2.
    assert looks(search) == {0: True, 1: False, 2: True, 3: False, 4: True, 5: True}
    assert [look.rank for look in search.of_kind(RungDecided)] == [1, 2, 2, 4, 1, 3]


def test_by_the_score_alone_the_same_rung_stops_the_other_end_of_the_front() -> None:
    space = replace(HALVING, trials=3)
    for objectives, goes_on in ((TWO, [True, False, True]), (("validation_accuracy",), [True, False, False])):
        search = Search(replace(space, objectives=objectives))
        simulate(search.director, pairs(space, (0.9, 1.0), (0.8, 2.0), (0.5, 0.01)))
        assert list(looks(search).values()) == goes_on


def test_what_a_rung_said_tells_all_objectives_and_why() -> None:
    space = replace(SPACE_OF_TWO, trials=2, rung_rule="stop")
    search = Search(space)
    simulate(search.director, pairs(space, (0.9, 1.0), (0.8, 2.0)))
    look = search.of_kind(RungDecided)[1]
    assert (look.score, look.rank, look.of) == (0.8, 2, 2)
    assert look.objectives == {"validation_accuracy": 0.8, "measure.nc1": 2.0}
    end = search.ledger.trials[trial_id_of(1)].end
    assert end is not None
    assert end.reason == "validation_accuracy 0.8, measure.nc1 2 were number 2 of 2 at the rung of epoch 3"
    assert rungs_table(search.ledger).select(["objective.measure.nc1", "score"]).to_pylist() == [
        {"objective.measure.nc1": 1.0, "score": 0.9},
        {"objective.measure.nc1": 2.0, "score": 0.8},
    ]


def test_a_trial_that_waits_is_promoted_when_it_is_on_the_front() -> None:
    space = replace(SPACE_OF_TWO, trials=6)
    search = Search(space)
    ends = [(0.9, 1.0), (0.8, 2.0), (0.5, 0.01), (0.4, 3.0), (0.3, 4.0), (0.2, 5.0)]
    simulate(search.director, pairs(space, *ends))
    promoted = [look.trial_id for look in search.of_kind(RungDecided) if look.promoted]
    assert promoted == [trial_id_of(0), trial_id_of(2)]
    assert {number for number, goes_on in looks(search).items() if goes_on} == {0, 2}


def test_a_trial_without_one_of_the_objectives_is_behind_all_that_have_them() -> None:
    space = replace(SPACE_OF_TWO, trials=3, rung_rule="stop")
    search = Search(space)
    curve = pairs(space, (0.9, math.nan), (0.1, 90.0), (0.95, math.nan))
    simulate(search.director, curve)
    assert looks(search) == {0: False, 1: True, 2: False}
    assert [look.objectives for look in search.of_kind(RungDecided)] == [
        {},
        {"validation_accuracy": 0.1, "measure.nc1": 90.0},
        {},
    ]
    assert [config.front for config in ranked(search.ledger)] == [1, None, None]


def test_only_what_too_many_dominate_has_no_hope_left() -> None:
    """The place on a front may change either way with those who come later."""
    search = Search(SPACE_OF_TWO)
    values = {0: (0.9, 1.0), 1: (0.8, 0.5), 2: (0.7, 0.25), 3: (0.6, 0.125), 4: (0.5, 2.0), 5: None}
    search.ledger.vectors[3] = values
    assert undominated(values, 2, OBJECTIVES) == [0, 1, 2, 3]
    assert undominated(values, 5, OBJECTIVES) == [0, 1, 2, 3, 4]
    best = [number for number, score in arrivals_at(3, search.ledger).items() if score == 0]
    assert set(undominated(values, 1, OBJECTIVES)) >= set(best) == {0}


def test_a_trial_on_the_front_keeps_its_checkpoint_while_others_may_come() -> None:
    search = Search(SPACE_OF_TWO)
    ends = [
        (0.9, 1.0),
        (0.8, 2.0),
        (0.5, 0.01),
        (0.85, 0.9),
        (0.3, 4.0),
        (0.2, 5.0),
        (0.1, 6.0),
        (0.6, 0.02),
        (0.4, 3.0),
    ]
    simulate(search.director, pairs(SPACE_OF_TWO, *ends), most_events=21)
    assert looks(search) == {0: True, 1: False, 2: False, 3: False, 4: False}
    # Three of nine can go on; 4 is behind all others.
    assert search.director.waiting == {1, 2, 3}


# Measures that are objectives


def test_a_measure_is_taken_at_the_rung_and_at_the_end() -> None:
    search = Search(replace(HALVING, trials=3, objectives=MEASURED.objectives))
    entropy = {0: (0.0, 1.0), 1: (1.0, 1.0), 2: (-1.0, -2.0)}  # there and at the end
    measures = measured(lambda number, position: entropy[number][position == (9, 9)])
    simulate(search.director, pairs(MEASURED, (0.9, 1.0), (0.7, 1.0), (0.8, 1.0)), measures=measures)
    assert looks(search) == {0: True, 1: False, 2: True}
    rows = best_table(search.ledger).select(["number", "front", "objective.measure.entropy"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(0, 1, 1.0), (2, 1, -2.0), (1, None, 1.0)]


def test_a_measure_that_could_not_be_taken_puts_a_trial_last_at_the_rung() -> None:
    search = Search(replace(MEASURED, trials=2, rung_rule="stop"))
    measures = measured(lambda number, _: None if number == 0 else 1.0)
    simulate(search.director, pairs(MEASURED, (0.9, 1.0), (0.1, 1.0)), measures=measures)
    assert looks(search) == {0: False, 1: True}


def test_measures_at_a_rung_do_not_count_as_those_of_the_end() -> None:
    search = Search(replace(MEASURED, trials=1))
    simulate(search.director, pairs(MEASURED, (0.9, 1.0)), measures=measured(lambda *_: 1.0), most_events=3)
    (trial,) = search.ledger.trials.values()
    assert (trial.measures, trial.measures_at) == ({}, {(9, 3): {"entropy": 1.0}})
    assert trial.values(9, 3) == (0.9, 1.0)


def test_measures_at_a_rung_do_not_tell_the_watch_how_long_those_at_the_end_take() -> None:
    watch = Watch(2.0)
    search = Search(replace(MEASURED, trials=2, rung_rule="stop"), watch=watch)
    curve, now = list(pairs(MEASURED, (0.9, 1.0))(search.start())), 0.0
    for told in curve[:-1]:
        if told["epoch"] == 3:
            search.director.measuring(0, now)
            assert watch.stuck(now + 1e6) == {}
            now += 10.0
            search.director.told(Measured(trial_id_of(0), {"entropy": 1.0}, {}, (9, 3)), now)
        search.director.told(EpochDone(trial_id_of(0), told), now)
    search.director.measuring(0, now)
    assert watch.stuck(now + 1e6) == {}, "those at the end may take many times as long"
    search.director.told(EpochDone(trial_id_of(0), curve[-1]), now)
    search.start()
    for told in curve[:2]:
        search.director.told(EpochDone(trial_id_of(1), told), now)
    search.director.measuring(1, now)
    assert watch.stuck(now + 100)[1] == "no measures in 100 s, where one takes 10 s"


# The front


def test_each_trained_config_adds_an_event_with_the_front_and_its_hypervolume() -> None:
    space = replace(SPACE_OF_TWO, trials=4, fidelity_mode="full", first_rung=None)
    search = Search(space)
    simulate(search.director, pairs(space, (0.5, 1.0), (0.4, 10.0), None, (0.25, 1e-2)))
    found = search.of_kind(FrontFound)
    assert [(event.trial_id, event.configs, event.epochs, list(event.front)) for event in found] == [
        (trial_id_of(0), 1, 9, [0]),
        (trial_id_of(1), 2, 18, [0]),
        (trial_id_of(3), 3, 28, [0, 3]),
    ]
    # Accuracy from 0, NC1 from 100 on over eight decades.
    assert [event.hypervolume for event in found] == pytest.approx([0.5 / 4, 0.5 / 4, 0.25 / 2 + 0.25 / 4])
    assert front_table(search.ledger).to_pylist() == [
        {"trial_id": event.trial_id, "number": number, "epochs": event.epochs, "configs": event.configs,
         "on_front": len(event.front), "hypervolume": event.hypervolume}
        for event, number in zip(found, (0, 1, 3), strict=True)
    ]  # fmt: skip


def test_with_one_score_nothing_is_told_of_fronts() -> None:
    space = replace(SPACE_OF_TWO, trials=3, objectives=("validation_accuracy",))
    search = Search(space)
    simulate(search.director, pairs(space, (0.5, 1.0), (0.4, 10.0), (0.25, 1e-2)))
    assert search.of_kind(FrontFound) == []
    assert set(best_table(search.ledger)["front"].to_pylist()) == {None}
    assert not [name for name in best_table(search.ledger).column_names if name.startswith("objective.")]


def test_the_best_table_ranks_by_front_and_then_by_what_lies_apart() -> None:
    space = replace(SPACE_OF_TWO, trials=6, fidelity_mode="full", first_rung=None)
    search = Search(space)
    ends = [(0.5, 0.5), (0.9, 10.0), (0.88, 9.0), (0.3, 1e-2), (0.4, 0.6), (0.2, 20.0)]
    simulate(search.director, pairs(space, *ends))
    rows = best_table(search.ledger).select(["rank", "number", "front", "tied"]).to_pylist()
    assert [(row["number"], row["front"]) for row in rows] == [(1, 1), (3, 1), (0, 1), (2, 1), (4, 2), (5, 3)]
    assert {row["tied"] for row in rows} == {None}


# Further seeds


def standing(number: int, *values: Pair, running: int = 0) -> Standing:
    return Standing(number, [None if value is None else value[0] for value in values], running, list(values))


def test_the_front_is_trained_again_and_what_stays_on_it_once_more() -> None:
    configs = [standing(0, (0.9, 1.0)), standing(1, (0.5, 0.1)), standing(2, (0.7, 0.5)), standing(3, (0.4, 5.0))]
    assert next_repeat(configs, 3, 3, OBJECTIVES) == 0
    configs[0] = standing(0, (0.9, 1.0), (0.6, 1.0))
    assert next_repeat(configs, 3, 3, OBJECTIVES) == 1
    configs[1] = standing(1, (0.5, 0.1), running=1)
    assert next_repeat(configs, 3, 3, OBJECTIVES) == 2
    configs[2] = standing(2, (0.7, 0.5), running=1)
    assert next_repeat(configs, 3, 3, OBJECTIVES) is None
    configs[1], configs[2] = standing(1, (0.5, 0.1), (0.5, 0.1)), standing(2, (0.7, 0.5), (0.9, 0.5))
    # By their means 0 is dominated by 2 now; the stage is as large as the front.
    assert next_repeat(configs, 3, 3, OBJECTIVES) == 2
    configs[2] = standing(2, (0.7, 0.5), (0.9, 0.5), (0.8, 0.5))
    assert next_repeat(configs, 3, 3, OBJECTIVES) == 1
    configs[1] = standing(1, (0.5, 0.1), (0.5, 0.1), (0.5, 0.1))
    assert next_repeat(configs, 3, 3, OBJECTIVES) is None


def test_a_front_of_one_has_a_second_beside_it() -> None:
    configs = [standing(0, (0.9, 0.1)), standing(1, (0.5, 0.2)), standing(2, None)]
    assert next_repeat(configs, 2, 3, OBJECTIVES) == 0
    configs[0] = standing(0, (0.9, 0.1), None)
    assert next_repeat(configs, 2, 3, OBJECTIVES) == 1
    assert next_repeat([standing(2, None)], 2, 3, OBJECTIVES) is None


def test_a_config_that_one_seed_left_behind_does_not_come_back_by_the_bad_luck_of_others() -> None:
    space = replace(SPACE_OF_TWO, trials=3, fidelity_mode="full", first_rung=None, seeds=2)
    search = Search(space)
    ends = {0: (0.9, 1.0), 1: (0.85, 2.0), 2: (0.5, 0.1), 3: (0.7, 1.0), 4: (0.5, 0.3)}  # 3 and 4 repeat 0 and 2
    simulate(search.director, pairs(space, *(ends[number] for number in range(5))))
    repeats = {trial.number: trial.repeat_of for trial in search.ledger.in_order()}
    assert repeats == {0: None, 1: None, 2: None, 3: 0, 4: 2}
    rows = best_table(search.ledger).to_pylist()
    assert [(row["number"], row["front"], row["seeds"]) for row in rows] == [(0, 1, 2), (2, 1, 2), (1, 2, 1)]
    assert rows[0]["objective.validation_accuracy"] == pytest.approx(0.8)
    assert rows[1]["objective.measure.nc1"] == pytest.approx(0.2)
    assert search.of_kind(FrontFound)[-1].front == [0, 2]


# What the sampler learns


def test_the_sampler_sees_places_at_each_rung_and_at_the_end_as_they_are_now() -> None:
    space = replace(HALVING, trials=5)
    sampler = EstimatorSampler(space)
    search = Search(space, sampler=sampler)
    simulate(search.director, pairs(space, (0.9, 1.0), (0.8, 2.0), None, (0.5, 0.01), (0.95, 0.9)))
    told = [(trial.state, trial.values, dict(trial.intermediate_values)) for trial in sampler.trials]
    assert told == [
        (TrialState.COMPLETE, [-2.0], {5: -2.0}),
        (TrialState.PRUNED, None, {5: -3.0}),
        (TrialState.PRUNED, None, {}),
        (TrialState.COMPLETE, [-1.0], {5: -1.0}),
        (TrialState.COMPLETE, [0.0], {5: 0.0}),
    ]


def test_a_trained_config_without_an_objective_is_one_without_a_score() -> None:
    space = replace(SPACE_OF_TWO, trials=1, fidelity_mode="full", first_rung=None)
    sampler = EstimatorSampler(space)
    simulate(Search(space, sampler=sampler).director, pairs(space, (0.9, math.nan)))
    (told,) = sampler.trials
    assert (told.state, told.intermediate_values) == (TrialState.PRUNED, {})


def test_both_ends_of_the_front_steer_the_draws() -> None:
    """The larger the learning rate the better one objective, and the worse the other; gamma harms both."""
    space = replace(SPACE_OF_TWO, trials=60, fidelity_mode="full", first_rung=None)

    def curve(given: Assignment) -> Iterator[Record]:
        rate = math.log10(float(given.drawn["learning_rate"] or 0.0)) + 4
        harm = 0.5 if given.drawn["gamma_ramp"] == "linear" else 0.0
        yield from (next(records_of(space, epoch, rate / 3 - harm / 3, 10 ** (rate + harm))) for epoch in range(1, 10))

    search = Search(space, sampler=EstimatorSampler(space))
    simulate(search.director, curve)
    drawn = [trial.config["gamma_ramp"] for trial in search.ledger.in_order()]
    assert drawn[40:].count("off") >= drawn[:20].count("off") + 4
    rates = [trial.config["learning_rate"] for trial in search.ledger.in_order()][30:]
    assert min(rates) < 1e-3 and max(rates) > 1e-2


# A kill


def as_read(events: list[Event]) -> list[Event]:
    """The events as they come back from a journal."""
    read = [as_event(json.loads(json.dumps(as_entry(event)))) for event in events]
    return [event for event in read if event is not None]


def tables(ledger: Ledger) -> list[pa.Table]:
    made = [trials_table(ledger), best_table(ledger), rungs_table(ledger), front_table(ledger)]
    return [table.drop_columns([n for n in table.column_names if n == "epochs_repeated"]) for table in made]


@pytest.mark.parametrize(
    ("rule", "objectives", "sampler", "step"),
    [
        ("promote", ("validation_accuracy", "nc1", "measure.entropy:min"), RandomSampler, 1),
        ("stop", MEASURED.objectives, RandomSampler, 1),
        ("promote", TWO, EstimatorSampler, 17),
    ],
    ids=["three objectives", "stop", "estimator"],
)
def test_a_kill_at_any_moment_keeps_rungs_seeds_and_the_front(
    rule: str, objectives: tuple[str, ...], sampler: Callable[[Space], Sampler], step: int
) -> None:
    space = replace(SPACE_OF_TWO, trials=11, rung_rule=rule, objectives=objectives, seeds=3)
    curve = noisy(space)
    measures = measured(lambda number, position: math.sin(number + position[1]))

    def go_on(events: list[Event]) -> tuple[Ledger, MemoryLog]:
        log = MemoryLog(list(events))
        ledger = Ledger(log.events)
        director = Director(space, ledger, log, sampler(space))
        director.settle()
        simulate(director, curve, measures=measures)
        assert director.is_over
        return ledger, log

    whole, log = go_on(as_read([RunStarted(run_of(space))]))
    statuses = {trial.status for trial in whole.trials.values()}
    assert {Status.COMPLETED, Status.STOPPED, Status.DIVERGED} <= statuses
    assert any(trial.repeat_of is not None for trial in whole.trials.values())
    assert max(len(found.front) for found in whole.fronts.values()) > 1
    expected, events = tables(whole), as_read(log.events)
    for cut in range(1, len(events) + 1, step):
        again, _ = go_on(events[:cut])
        for table, found in zip(expected, tables(again), strict=True):
            assert found.equals(table), f"after {cut} of {len(events)} events: {events[cut - 1]}"


def test_a_journal_on_disk_gives_the_same_front(tmp_path: Path) -> None:
    search = Search(SPACE_OF_TWO, sampler=RandomSampler(SPACE_OF_TWO))
    simulate(search.director, noisy(SPACE_OF_TWO))
    with Journal(tmp_path / "journal.jsonl", new=True) as journal:
        for event in search.log.events:
            journal.write(event)
    ledger, damaged = read_ledger(tmp_path / "journal.jsonl")
    assert damaged == []
    assert front_table(ledger).equals(front_table(search.ledger)) and front_table(ledger).num_rows
    assert best_table(ledger).equals(best_table(search.ledger))


def test_a_front_that_a_kill_left_unwritten_is_written_once_when_the_search_goes_on() -> None:
    space = replace(SPACE_OF_TWO, trials=2, fidelity_mode="full", first_rung=None)
    search = Search(space)
    simulate(search.director, pairs(space, (0.5, 1.0), (0.4, 0.1)))
    whole: list[Any] = [event for event in search.log.events if isinstance(event, FrontFound)]
    without = [event for event in search.log.events if event != whole[-1]]
    again = search.again(without)
    assert again.of_kind(FrontFound) == whole
    assert again.again().of_kind(FrontFound) == whole
