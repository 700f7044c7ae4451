"""Which config is trained with a further seed next, on made-up scores; and what that seed trains."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.results.runs import record
from tests.search.searches import SPACE, failed, run_of
from tune_lpc.plan import Space, TrialSpec
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, Event, RunStarted, Status, TrialEnded, TrialStarted, trial_id_of
from tune_lpc.search.seeds import FEWEST, Repeats, Standing, next_repeat, stages

Scores = dict[int, list[float | None]]


def standings(scores: Scores, running: Mapping[int, int] | None = None) -> list[Standing]:
    return [Standing(number, known, (running or {}).get(number, 0)) for number, known in scores.items()]


def played(first: list[float], more: Mapping[int, list[float | None]], most: int, share: int = 3) -> list[int]:
    """The configs in the order in which they get further seeds, one at a time; more: the scores of these."""
    scores: Scores = {number: [score] for number, score in enumerate(first)}
    order = []
    while (number := next_repeat(standings(scores), most, share)) is not None:
        order.append(number)
        scores[number].append(more[number][len(scores[number]) - 1])
    return order


# Stages


def test_the_best_third_gets_a_second_seed_and_the_best_of_these_a_third() -> None:
    first = [number / 100 for number in range(12)]
    more = {number: [first[number]] * 2 for number in range(12)}
    assert played(first, more, most=2) == [11, 10, 9, 8]
    assert played(first, more, most=3) == [11, 10, 9, 8, 11, 10]


def test_who_gets_a_third_seed_is_decided_by_the_mean_of_two() -> None:
    more: dict[int, list[float | None]] = {5: [0.1, 0.5], 4: [0.9, 0.5], 3: [0.8, 0.5], 2: [0.7, 0.5]}
    first = [0.0, 0.0, 0.5, 0.6, 0.7, 0.8, *[0.0] * 6]
    order = played(first, more, most=3)
    assert order == [5, 4, 3, 2, 4, 3], "means of .45, .8, .7 and .6"


def test_no_stage_has_fewer_than_two_configs_where_there_are_two() -> None:
    assert played([0.5, 0.4, 0.3], dict.fromkeys(range(3), [0.5] * 4), most=4) == [0, 1] * 3
    assert FEWEST == 2


def test_a_single_config_is_trained_with_all_seeds() -> None:
    assert played([0.5], {0: [0.5, 0.5]}, most=3) == [0, 0]


def test_with_one_seed_or_without_configs_there_is_none() -> None:
    assert next_repeat(standings({0: [0.5]}), 1, 3) is None
    assert next_repeat([], 3, 3) is None


def test_of_equals_the_lower_number_comes_first() -> None:
    assert played([0.5] * 6, {number: [0.5, 0.5] for number in range(6)}, most=3) == [0, 1, 0, 1]


@pytest.mark.parametrize("share", [2, 3, 5])
@pytest.mark.parametrize("configs", [0, 1, 2, 3, 7, 30])
def test_as_many_as_reckoned_beforehand(configs: int, share: int) -> None:
    draw = random.Random(configs)
    first = [draw.random() for _ in range(configs)]
    more: dict[int, list[float | None]] = {
        number: [draw.choice([draw.random(), None]) for _ in range(4)] for number in range(configs)
    }
    for most in range(1, 6):
        assert len(played(first, more, most, share)) == sum(stages(configs, most, share))


def test_no_config_gets_more_seeds_than_asked_for() -> None:
    order = played([0.1 * number for number in range(9)], dict.fromkeys(range(9), [0.5] * 4), most=5)
    assert max(order.count(number) for number in order) == 4


# Seeds without a score


def test_a_config_of_which_a_seed_diverged_comes_behind_those_of_which_none_did() -> None:
    more: dict[int, list[float | None]] = {3: [None, 0.9], 2: [0.1, 0.1], 1: [0.1, 0.1], 0: [0.1, 0.1]}
    first = [0.6, 0.7, 0.8, 0.9, *[0.0] * 8]
    assert played(first, more, most=3) == [3, 2, 1, 0, 2, 1]


def test_where_all_diverged_the_rest_is_by_the_mean_of_what_there_is() -> None:
    assert played([0.5, 0.4, 0.3, 0.2], {number: [None, 0.5] for number in range(4)}, most=3) == [0, 1, 0, 1]


def test_a_first_trial_without_a_score_comes_last() -> None:
    assert next_repeat(standings({0: [None], 1: [0.1], 2: [0.2]}), 2, 3) == 2
    assert next_repeat(standings({0: [None], 1: [0.1, 0.1], 2: [0.2, 0.2]}), 2, 3) is None


# Several at once


def test_those_of_a_stage_run_side_by_side() -> None:
    scores: Scores = {number: [number / 10] for number in range(6)}
    assert next_repeat(standings(scores), 3, 3) == 5
    assert next_repeat(standings(scores, {5: 1}), 3, 3) == 4
    assert next_repeat(standings(scores, {5: 1, 4: 1}), 3, 3) is None, "the stage is not over"


def test_a_stage_begins_when_the_one_before_has_ended_whoever_ended_first() -> None:
    scores: Scores = {number: [number / 10] for number in range(6)}
    scores[5].append(0.5)
    assert next_repeat(standings(scores, {4: 1}), 3, 3) is None
    scores[4].append(0.9)
    assert next_repeat(standings(scores), 3, 3) == 4


def test_in_whatever_order_those_of_a_stage_end_the_same_seeds_are_trained() -> None:
    draw = random.Random(2)
    for _ in range(20):
        first = [draw.random() for _ in range(draw.randint(2, 20))]
        more: dict[int, list[float | None]] = {
            number: [draw.choice([draw.random(), None]) for _ in range(3)] for number in range(len(first))
        }
        alone = sorted(played(first, more, most=4))
        for slots in (2, 5):
            assert sorted(played_at_once(first, more, most=4, slots=slots, draw=draw)) == alone


def played_at_once(
    first: list[float], more: Mapping[int, list[float | None]], most: int, slots: int, draw: random.Random
) -> list[int]:
    """The same with several slots, of which any may end next."""
    scores: Scores = {number: [score] for number, score in enumerate(first)}
    running: list[int] = []
    order = []
    while True:
        found = standings(scores, {number: running.count(number) for number in running})
        number = next_repeat(found, most, 3) if len(running) < slots else None
        if number is not None:
            running.append(number)
            order.append(number)
        elif running:
            ended = running.pop(draw.randrange(len(running)))
            scores[ended].append(more[ended][len(scores[ended]) - 1])
        else:
            return order


# The further seeds of a search


TRUNCATED = replace(
    SPACE, fidelity_mode="full", first_rung=None, settings={"epochs": 2, "seed": 3}, seeds=3, seed_splits=False
)


class Trained:
    """A ledger of trials of two epochs that the tests write."""

    def __init__(self, space: Space = TRUNCATED) -> None:
        self.ledger = Ledger([RunStarted(run_of(space))])
        self.repeats = Repeats(space, self.ledger)

    def starts(self, number: int, of: int | None = None) -> None:
        spec = SPEC if of is None else self.repeats.spec(of, SPEC)
        if of is not None:
            self.repeats.note(number, of, spec)
        self.ledger.apply(TrialStarted(trial_id_of(number), number, spec.as_dict(), repeat_of=of))

    def ends(self, number: int, score: float | None) -> None:
        """Completed with a score; None: diverged in its last epoch."""
        name = trial_id_of(number)
        diverged = None if score is not None else "train_loss became nan"
        events: list[Event] = [
            EpochDone(name, record(1, 0.1, 2)),
            EpochDone(name, record(2, score, 2, diverged=diverged)),
        ]
        status = Status.COMPLETED if score is not None else Status.DIVERGED
        for event in (*events, TrialEnded(name, status, "as it is")):
            self.ledger.apply(event)

    def trains(self, number: int, score: float | None, of: int | None = None) -> None:
        self.starts(number, of)
        self.ends(number, score)


SPEC = TrialSpec.build({"epochs": 2, "seed": 3, "split": 8})


def two_trained(space: Space = TRUNCATED) -> Trained:
    found = Trained(space)
    found.trains(0, 0.8)
    found.trains(1, 0.9)
    return found


def test_one_that_is_being_trained_counts_as_running_from_when_it_is_handed_out() -> None:
    trained = two_trained()
    assert trained.repeats.next([]) == 1
    trained.repeats.note(2, 1, trained.repeats.spec(1, SPEC))  # not begun yet
    assert trained.repeats.next([2]) == 0
    trained.starts(2, 1)
    trained.repeats.note(3, 0, trained.repeats.spec(0, SPEC))
    assert trained.repeats.next([2, 3]) is None


def test_one_that_diverged_and_one_that_failed_have_no_score() -> None:
    trained = two_trained()
    trained.trains(2, None, of=1)
    trained.starts(3, of=0)
    trained.ledger.apply(failed(3, "its worker was lost"))
    assert trained.repeats.next([]) == 1, "one seed of each is missing, so the mean of the rest decides"
    assert trained.repeats.next([3]) is None, "the failed one is tried again, so the stage is not over"


def test_a_first_trial_that_is_trained_again_is_not_among_them_until_it_has_ended() -> None:
    trained = two_trained()
    trained.ledger.apply(TrialStarted(trial_id_of(1), 1, SPEC.as_dict()))
    assert trained.repeats.next([1]) == 0


def test_trials_that_were_stopped_diverged_or_failed_get_no_further_seed() -> None:
    trained = Trained()
    for number, status in enumerate((Status.STOPPED, Status.DIVERGED, Status.FAILED)):
        trained.starts(number)
        trained.ledger.apply(TrialEnded(trial_id_of(number), status, ""))
    assert trained.repeats.next([]) is None


def test_each_further_seed_is_another_one() -> None:
    trained = two_trained()
    specs = []
    for number in (2, 3):
        specs.append(trained.repeats.spec(1, SPEC))
        trained.repeats.note(number, 1, specs[-1])
    assert specs == [replace(SPEC, seed=4), replace(SPEC, seed=5)]
    assert trained.repeats.spec(0, SPEC) == replace(SPEC, seed=4), "each config has its own"


def test_with_splits_each_further_seed_has_a_split_of_its_own() -> None:
    trained = two_trained(replace(TRUNCATED, seed_splits=True, seeds=4))
    found = []
    for number in (2, 3, 4):
        found.append(trained.repeats.spec(1, SPEC))
        trained.repeats.note(number, 1, found[-1])
    assert [(spec.seed, spec.split) for spec in found] == [(4, 9), (5, 0), (6, 1)]


def test_a_seed_whose_record_was_lost_is_the_one_that_is_trained_again() -> None:
    trained = two_trained()
    trained.repeats.note(3, 1, replace(SPEC, seed=5))
    assert trained.repeats.spec(1, SPEC).seed == 4


def test_after_the_highest_seed_comes_the_lowest() -> None:
    highest = TrialSpec.build({"epochs": 2, "seed": 2**31 - 1})
    assert two_trained().repeats.spec(1, highest).seed == 0
    assert TrialSpec.build(two_trained().repeats.spec(1, highest).as_dict()).seed == 0, "it is a seed that may be given"


def test_a_search_of_one_seed_has_none() -> None:
    assert two_trained(replace(TRUNCATED, seeds=1)).repeats.next([]) is None


def test_all_further_seeds_of_a_search() -> None:
    trained = Trained()
    for number in range(7):
        trained.trains(number, 0.5 + number / 100)
    order = []
    for number in itertools.count(7):
        of = trained.repeats.next([])
        if of is None:
            break
        order.append(of)
        trained.trains(number, 0.5, of)
    assert order == [6, 5, 4, 6, 5]
    assert len(order) == sum(stages(7, TRUNCATED.seeds, TRUNCATED.reduction_factor))
