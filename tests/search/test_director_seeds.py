"""What becomes of further seeds that go wrong, of resumes with them, and of searches that are made longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.search.searches import (
    LONG,
    NAN,
    NEVER_STOPPED,
    PROMOTE,
    Search,
    begun,
    ends,
    failed,
    scored_by_config,
    train,
)
from tune_lpc.plan import Space
from tune_lpc.results.events import EpochDone, Status, TrialStarted, trial_id_of
from tune_lpc.results.ranking import ranked
from tune_lpc.search.simulated import simulate


def to_the_seeds(space: Space = NEVER_STOPPED, first: Sequence[float] = (0.9, 0.8)) -> Search:
    """A search of two configs that have both been trained, and of which further seeds come next."""
    search = Search(replace(space, trials=len(first)))
    for number, score in enumerate(first):
        search.start()
        train(search, number, LONG, score)
    return search


def test_one_that_diverged_leaves_its_config_behind_the_others() -> None:
    search = to_the_seeds()
    assert [search.start().repeat_of for _ in range(2)] == [0, 1]
    train(search, 2, LONG[:1], None, diverged=NAN)
    train(search, 3, LONG, 0.1)
    assert [search.start().repeat_of for _ in range(2)] == [1, 0]
    assert ends(search)[2] == (Status.DIVERGED, NAN)
    assert [config.trial.number for config in ranked(search.ledger)] == [1, 0]


def test_one_that_failed_is_not_tried_again_by_this_search_but_by_a_resume() -> None:
    search = to_the_seeds()
    assert [search.start().repeat_of for _ in range(2)] == [0, 1]
    search.director.told(failed(2, "its worker was lost"), 0.0)
    train(search, 3, LONG, 0.8)
    third = [search.start() for _ in range(2)]
    assert [(given.repeat_of, given.spec.seed) for given in third] == [(1, 5), (0, 5)]
    for number in (4, 5):
        train(search, number, LONG, 0.8)
    assert search.director.is_over
    again = search.again()
    assert (again.director.to_come, again.director.is_over) == (1, False)
    given = again.start()
    assert (given.number, given.repeat_of, given.spec.seed, given.control) == (2, 0, 4, False)
    assert again.director.ask(0.0) is None
    train(again, 2, LONG, 0.9)
    assert again.director.is_over


def test_while_one_that_failed_is_tried_again_no_stage_begins() -> None:
    search = to_the_seeds()
    for _ in range(2):
        search.start()
    search.director.told(failed(2, "its worker was lost"), 0.0)
    train(search, 3, LONG, 0.8)
    again = search.again()
    assert again.director.ask(0.0) is not None  # not begun yet: a worker is being started
    assert again.director.ask(0.0) is None
    again.director.starts(2, 0.0)
    assert again.director.ask(0.0) is None
    train(again, 2, LONG, 0.1)
    assert [again.start().repeat_of for _ in range(2)] == [1, 0]


def test_two_seeds_that_were_interrupted_go_on_as_what_they_were() -> None:
    search = to_the_seeds(replace(NEVER_STOPPED, seed_splits=True))
    given = [search.start() for _ in range(2)]
    train(search, 2, LONG[:4], 0.9)
    again = search.again()
    assert again.director.to_come == 2
    assert [again.start() for _ in range(2)] == given
    assert again.director.ask(0.0) is None
    assert begun(again)[-2:] == [2, 3]


def test_a_seed_whose_start_was_lost_is_decided_again_under_another_number() -> None:
    search = to_the_seeds()
    for _ in range(2):
        search.start()
    train(search, 2, LONG, 0.9)
    train(search, 3, LONG, 0.8)
    lost = [event for event in search.log.events if not (isinstance(event, TrialStarted) and event.number == 2)]
    again = search.again(lost)
    given = again.start()
    assert (given.number, given.repeat_of, given.spec.seed) == (4, 0, 4)
    assert again.director.ask(0.0) is None, "the stage is not over"


def test_a_config_whose_start_was_lost_after_its_seeds_had_begun_is_drawn_again_as_it_was() -> None:
    search = to_the_seeds()
    config = search.of_kind(TrialStarted)[1].config
    given = [search.start() for _ in range(2)]
    lost = [event for event in search.log.events if not (isinstance(event, TrialStarted) and event.number == 1)]
    again = search.again(lost)
    started = [again.start() for _ in range(3)]
    assert [(one.number, one.repeat_of) for one in started] == [(1, None), (2, 0), (3, 1)]
    assert started[0].spec.as_dict() == config
    assert started[1:] == given
    assert again.director.ask(0.0) is None, "trial 1 is trained again"


def test_a_first_trial_that_is_trained_again_holds_up_further_seeds() -> None:
    search = to_the_seeds()
    assert search.start().repeat_of == 0
    last = next(event for event in search.log.events if isinstance(event, EpochDone) and event.record["epoch"] == 9)
    again = search.again([event for event in search.log.events if event is not last])
    assert [again.start().number for _ in range(2)] == [0, 2]
    assert again.director.ask(0.0) is None
    train(again, 0, LONG[-2:], 0.9)
    assert again.start().repeat_of == 1


def test_a_failed_first_trial_that_a_resume_completes_may_get_seeds_before_the_others() -> None:
    search = Search(replace(NEVER_STOPPED, trials=3))
    for _ in range(3):
        search.start()
    train(search, 0, LONG, 0.5)
    train(search, 1, LONG, 0.4)
    search.director.told(failed(2, "its worker was lost"), 0.0)
    for number, of in ((3, 0), (4, 1), (5, 0), (6, 1)):
        assert search.start().repeat_of == of
        train(search, number, LONG, 0.5)
    assert search.director.is_over
    again = search.again()
    assert again.start().number == 2
    assert again.director.ask(0.0) is None
    train(again, 2, LONG, 0.9)
    assert again.start().repeat_of == 2
    train(again, 7, LONG, 0.9)
    assert again.start().repeat_of == 2
    train(again, 8, LONG, 0.9)
    assert again.director.is_over


# More trials


def test_a_search_that_is_made_longer_after_its_seeds_draws_the_configs_that_would_have_come() -> None:
    search = to_the_seeds()
    while (given := search.director.ask(0.0)) is not None:
        search.director.starts(given.number, 0.0)
        train(search, given.number, LONG, 0.5)
    assert [trial.number for trial in search.ledger.in_order()] == list(range(6))
    space = replace(NEVER_STOPPED, trials=4)
    longer = Search(space, search.log.events)
    longer.director.settle()
    assert longer.director.to_come == 2
    added = [longer.start() for _ in range(2)]
    assert [(given.number, given.repeat_of) for given in added] == [(6, None), (7, None)]
    alone = Search(space)
    assert [given.drawn for given in added] == [alone.start().drawn for _ in range(4)][2:]
    for given in added:
        train(longer, given.number, LONG, 0.95)
    assert {longer.start().repeat_of, longer.start().repeat_of} == {6, 7}
    again = longer.again()
    assert [again.start().repeat_of for _ in range(2)] == [6, 7]


def test_a_seed_whose_start_was_lost_is_taken_for_no_config_of_a_search_that_was_made_longer() -> None:
    search = to_the_seeds()
    for number in range(2, 6):
        search.start()
        train(search, number, LONG, 0.5)
    longer = Search(replace(NEVER_STOPPED, trials=4), search.log.events)
    configs = [longer.start() for _ in range(2)]
    assert [given.number for given in configs] == [6, 7]
    for lost in range(2, 6):
        events = [e for e in longer.log.events if not (isinstance(e, TrialStarted) and e.number == lost)]
        again = longer.again(events)
        assert [again.start() for _ in range(2)] == configs
        assert again.director.ask(0.0) is None


def test_a_search_that_is_made_longer_lets_those_go_on_that_are_among_the_best_of_more() -> None:
    space = replace(PROMOTE, trials=3)
    search = Search(space)
    simulate(search.director, scored_by_config(space, 0.7, 0.8, 0.6))
    assert begun(search) == [0, 1, 2, 1]
    longer = Search(replace(space, trials=6), search.log.events)
    longer.director.settle()
    simulate(longer.director, scored_by_config(space, 0.7, 0.8, 0.6, 0.1, 0.2, 0.3))
    assert begun(longer)[4:] == [3, 4, 5, 0]
    assert longer.ledger.trials[trial_id_of(0)].status is Status.COMPLETED
