"""In which order a director gives out trials: interrupted ones, those that rungs let go on, configs, further seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.searches import (
    LONG,
    NAN,
    NEVER_STOPPED,
    PROMOTE,
    SCORES,
    SEEDS,
    SHORT,
    Search,
    begun,
    failed,
    scored_by_config,
    train,
)
from tune_lpc.plan import Space, TrialSpec
from tune_lpc.results.events import (
    Event,
    RungDecided,
    Status,
    TrialEnded,
    TrialStarted,
    number_of,
    trial_id_of,
)
from tune_lpc.results.ranking import ranked
from tune_lpc.results.trial import Trial
from tune_lpc.search.director import Verdict
from tune_lpc.search.sampler import RandomSampler
from tune_lpc.search.simulated import simulate

ORDER = [0, 1, 2, 3, 4, 5, 0, 6, 7, 8, 9]
"""In which the trials of `SEEDS` are given out to one slot, where they score as in SCORES."""


def searched(space: Space = SEEDS, slots: int = 1) -> Search:
    """A search that ran to its end."""
    search = Search(space)
    simulate(search.director, scored_by_config(space, *SCORES), slots=slots)
    return search


def repeats(search: Search) -> list[tuple[int, int]]:
    """The further seeds: their numbers, and that of the first trial of the config."""
    found = [(event.number, event.repeat_of) for event in search.of_kind(TrialStarted)]
    return [(number, of) for number, of in found if of is not None]


# The order


def test_a_whole_search() -> None:
    search = searched()
    assert begun(search) == ORDER
    assert repeats(search) == [(6, 3), (7, 0), (8, 3), (9, 0)]
    statuses = {trial.number: str(trial.status) for trial in search.ledger.in_order()}
    assert statuses == {
        **{0: "completed", 1: "stopped", 2: "diverged", 3: "completed", 4: "stopped", 5: "stopped"},
        **dict.fromkeys(range(6, 10), "completed"),
    }
    assert search.director.is_over and search.director.ask(0.0) is None
    assert [config.trial.number for config in ranked(search.ledger)][:2] == [3, 0]


def test_one_that_goes_on_later_comes_before_a_new_config_and_is_written_down_first() -> None:
    search = Search(PROMOTE)
    for number, score in enumerate((0.9, 0.8, 0.7)):
        search.start()
        assert train(search, number, SHORT, score) is Verdict.ENDS
    before = len(search.log.events)
    given = search.director.ask(0.0)
    assert given is not None and given.number == 0
    assert search.log.events[before:] == [
        RungDecided(trial_id_of(0), 3, 0.9, rank=1, of=3, goes_on=True, promoted=True)
    ]
    search.director.starts(0, 0.0)
    assert isinstance(search.log.events[-1], TrialStarted)
    assert search.ledger.trials[trial_id_of(0)].status is Status.INTERRUPTED
    assert search.start().number == 3
    assert train(search, 0, LONG, 0.9) is Verdict.ENDS
    assert search.ledger.trials[trial_id_of(0)].status is Status.COMPLETED


def test_one_that_goes_on_has_the_config_and_number_that_it_had() -> None:
    search = Search(PROMOTE)
    first = [search.start() for _ in range(3)]
    for number, score in enumerate((0.7, 0.9, 0.8)):
        train(search, number, SHORT, score)
    assert search.director.ask(0.0) == first[1]


def test_what_was_interrupted_comes_before_what_may_go_on_and_that_before_a_new_config() -> None:
    search = Search(PROMOTE)
    for _ in range(4):
        search.start()
    for number, score in enumerate((0.9, 0.8, 0.7)):
        train(search, number, SHORT, score)
    again = search.again()
    assert [again.start().number for _ in range(3)] == [3, 0, 4]


def test_a_trial_that_was_let_go_on_before_a_kill_comes_first_after_it() -> None:
    search = Search(PROMOTE)
    for number, score in enumerate((0.9, 0.8, 0.7)):
        search.start()
        train(search, number, SHORT, score)
    assert search.director.ask(0.0) is not None  # what lets it go on is written down, its start is not
    again = search.again()
    assert again.log.events == search.log.events
    assert [again.start().number for _ in range(2)] == [0, 3]


def test_from_the_highest_rung_down() -> None:
    space = replace(PROMOTE, fidelity_mode="truncated", trials=30, first_rung=2, settings={"epochs": 18, "seed": 3})
    first, second = [(18, 1), (18, 2)], [(18, epoch) for epoch in range(3, 7)]
    search = Search(space)
    for _ in range(12):
        search.start()
    for number in range(12):
        assert (train(search, number, first, 0.5 if number in (6, 7, 8) else 0.1) is Verdict.GOES_ON) == (
            number in (6, 7, 8)
        )
    for number, score in ((6, 0.7), (7, 0.6), (8, 0.5)):
        train(search, number, second, score)
    assert [search.start().number for _ in range(3)] == [6, 0, 12]
    looks = [look for look in search.of_kind(RungDecided) if look.promoted]
    assert [(number_of(look.trial_id), look.rung, look.rank, look.of) for look in looks] == [
        (6, 6, 1, 3),
        (0, 2, 4, 12),
    ]


def test_further_seeds_begin_when_no_config_runs_any_more() -> None:
    search = Search(replace(NEVER_STOPPED, trials=3))
    for _ in range(3):
        search.start()
    train(search, 0, LONG, 0.9)
    train(search, 1, LONG, 0.8)
    assert search.director.ask(0.0) is None, "trial 2 may be the best"
    assert (search.director.to_come, search.director.is_over) == (0, False)
    train(search, 2, LONG, 0.85)
    assert search.director.to_come == 4
    assert search.start().repeat_of == 0
    assert search.director.to_come == 3
    assert search.start().repeat_of == 2
    assert search.director.to_come == 0, "none can be asked for now"
    assert search.director.ask(0.0) is None, "who gets a third seed is not known yet"
    assert not search.director.is_over
    train(search, 3, LONG, 0.1)
    assert search.director.ask(0.0) is None
    train(search, 4, LONG, 0.85)
    assert [search.start().repeat_of for _ in range(2)] == [2, 0]
    for number in (5, 6):
        assert not search.director.is_over
        train(search, number, LONG, 0.5)
    assert search.director.is_over and search.director.ask(0.0) is None


def test_one_seed_means_none() -> None:
    assert begun(searched(PROMOTE)) == [0, 1, 2, 3, 4, 5, 0]


def test_under_the_other_rule_there_are_further_seeds_too() -> None:
    search = searched(replace(SEEDS, rung_rule="stop"))
    assert repeats(search) == [(6, 3), (7, 0), (8, 3), (9, 0)]
    assert begun(search) == list(range(10))


def test_where_all_failed_or_diverged_the_search_is_over() -> None:
    search = Search(replace(SEEDS, trials=2))
    search.start()
    search.director.told(failed(0, "x"), 0.0)
    search.start()
    train(search, 1, SHORT[:1], None, diverged=NAN)
    assert search.director.is_over and search.director.ask(0.0) is None


def test_several_slots_give_out_the_same_trials_and_none_twice() -> None:
    for slots in (2, 3, 8):
        search = searched(slots=slots)
        ended = [number for number, _ in ends_of(search)]
        assert sorted(set(ended)) == list(range(10))
        assert {of for _, of in repeats(search)} == {0, 3}
        assert search.director.is_over


def ends_of(search: Search) -> list[tuple[int, Status]]:
    return [(number_of(event.trial_id), event.status) for event in search.of_kind(TrialEnded)]


# Writing that fails


def test_where_nothing_can_be_written_nothing_goes_on() -> None:
    search = Search(PROMOTE)
    for number, score in enumerate((0.9, 0.8, 0.7)):
        search.start()
        train(search, number, SHORT, score)
    search.log.fails = True
    assert search.director.ask(0.0) is None
    assert not search.ledger.trials[trial_id_of(0)].looks[3].goes_on


def test_a_search_that_ends_early_gives_out_nothing_more() -> None:
    search = Search(replace(SEEDS, trials=3))
    for number in range(3):
        search.start()
        search.director.told(failed(number, "x"), 0.0)
    assert search.director.ends_early is not None
    assert search.director.ask(0.0) is None


# Control trials


def test_a_control_trial_goes_on_at_once_and_is_not_repeated_as_one() -> None:
    space = replace(SEEDS, control_trials=2)
    search = searched(space)
    control = [trial for trial in search.ledger.in_order() if trial.control]
    assert [trial.number for trial in control] == [1, 4]
    assert all(trial.status is Status.COMPLETED for trial in control)
    assert not any(look.promoted for trial in control for look in trial.looks.values())
    assert all(not trial.control for trial in search.ledger.in_order() if trial.repeat_of is not None)


def test_a_further_seed_of_a_control_trial_is_looked_at_by_no_rung() -> None:
    search = searched(replace(SEEDS, trials=2, control_trials=2))
    assert repeats(search) == [(2, 0), (3, 1), (4, 0), (5, 1)]
    assert {number_of(look.trial_id) for look in search.of_kind(RungDecided)} == {0, 1}
    assert search.ledger.arrivals == {3: {0: 0.5, 1: 0.25}}


# What a further seed is


def test_a_further_seed_is_the_config_with_another_seed_and_nothing_else() -> None:
    search = searched(replace(SEEDS, seed_splits=False))
    configs = {event.number: event.config for event in search.of_kind(TrialStarted)}
    for number, of in repeats(search):
        further = 1 if number < 8 else 2
        assert configs[number] == {**configs[of], "seed": configs[of]["seed"] + further}


def test_with_splits_it_has_a_split_of_its_own() -> None:
    search = searched(replace(SEEDS, seed_splits=True))
    configs = {event.number: event.config for event in search.of_kind(TrialStarted)}
    assert [configs[number]["split"] for number in range(10)] == [0] * 6 + [1, 1, 2, 2]


def test_it_is_trained_in_the_precision_of_its_first_trial() -> None:
    asked: list[TrialSpec] = []

    def resolve(spec: TrialSpec) -> str:
        asked.append(spec)
        return "bfloat16" if len(asked) % 2 else "float32"

    search = Search(SEEDS, precision=resolve)
    simulate(search.director, scored_by_config(SEEDS, *SCORES))
    assert len(asked) == 6
    found = {event.number: event.config["precision"] for event in search.of_kind(TrialStarted)}
    assert [found[number] for number in range(10)] == ["bfloat16", "float32"] * 3 + ["float32", "bfloat16"] * 2


def test_the_sampler_learns_nothing_from_it() -> None:
    learnt: list[int] = []

    class Noting(RandomSampler):
        def learn(self, place: int, trial: Trial) -> None:
            assert place == trial.number
            learnt.append(trial.number)

    search = Search(SEEDS, sampler=Noting(SEEDS))
    simulate(search.director, scored_by_config(SEEDS, *SCORES))
    assert set(learnt) == set(range(6))


# Every prefix


@pytest.mark.parametrize("space", [SEEDS, PROMOTE, replace(SEEDS, seed_splits=True, control_trials=1, score_window=3)])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_search_cut_off_anywhere_goes_on_as_if_nothing_had_happened(space: Space, lost: int) -> None:
    whole = searched(space)
    for cut in range(1, len(whole.log.events)):
        again = whole.again(whole.log.events[:cut])
        simulate(again.director, scored_by_config(space, *SCORES), lost=lost)
        assert decided(again) == decided(whole), f"after {cut} events"


def decided(search: Search) -> object:
    trials = [(t.number, t.config, t.control, t.repeat_of, t.status, t.reason) for t in search.ledger.in_order()]
    kinds: tuple[type[Event], ...] = (RungDecided, TrialEnded)
    return trials, [event for event in search.log.events if isinstance(event, kinds)]
