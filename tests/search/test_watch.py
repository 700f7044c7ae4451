"""Failures in a row, and trials that say nothing more, on a made-up clock."""

from __future__ import annotations

import pytest

from tune_lpc.search.watch import (
    FAILURES_IN_A_ROW,
    MEASURING,
    PREPARING,
    SHORTEST_FIRST_WAIT,
    SHORTEST_WAIT,
    Breaker,
    Step,
    Watch,
    first_epoch,
    later_epoch,
)

GONE = "FileNotFoundError: /data/mine is gone"
LONGEST_COMPILING = 86.0
"""Seconds that kernels for CPUs were seen to take in a first epoch."""


def verdicts(breaker: Breaker, *failures: str | None) -> list[bool]:
    """Whether the search should end, after each of the trials."""
    return [breaker.ended(failure) is not None for failure in failures]


# Failures in a row


def test_three_failures_in_a_row_for_the_same_reason_end_the_search() -> None:
    breaker = Breaker()
    assert verdicts(breaker, GONE, GONE) == [False, False]
    assert breaker.ended(GONE) == f"3 trials in a row failed for the same reason: {GONE}"
    assert FAILURES_IN_A_ROW <= 5, "what a search is allowed to burn"


def test_numbers_in_the_reason_do_not_make_it_another() -> None:
    reasons = [f"RuntimeError: worker {pid} lost {size} MB" for pid, size in ((71, 5), (1234, 80), (9, 123))]
    assert verdicts(Breaker(), *reasons) == [False, False, True]
    actors = [f"The actor {name} died" for name in ("0a9f", "7bc31", "e5")]
    assert verdicts(Breaker(), *actors) == [False, False, True]


@pytest.mark.parametrize("between", [None, "RuntimeError: something else"], ids=["a success", "another reason"])
def test_something_else_in_between_begins_the_count_again(between: str | None) -> None:
    assert not any(verdicts(Breaker(), GONE, GONE, between, GONE, GONE))
    assert verdicts(Breaker(), GONE, GONE, between, GONE, GONE, GONE)[-1]


def test_it_keeps_saying_so() -> None:
    assert verdicts(Breaker(), GONE, GONE, GONE, GONE) == [False, False, True, True]


def test_the_limit_may_be_another() -> None:
    assert verdicts(Breaker(limit=1), GONE) == [True]
    assert verdicts(Breaker(limit=4), *[GONE] * 4) == [False, False, False, True]


# Which trials are stuck


class Watched:
    """A watch and its clock."""

    def __init__(self) -> None:
        self.watch, self.now = Watch(10), 1000.0

    def begins(self, number: int, prepares: float | None = None) -> None:
        """A trial is given to a worker: to a new process that prepares the data so long, or to one that has them."""
        self.watch.begins(number, self.now)
        if prepares is not None:
            self.now += prepares
            self.watch.passes(number, first_epoch(9), self.now)

    def epochs(self, number: int, *seconds: float, budget: int = 9, then: Step | None = None) -> None:
        """Epochs of a trial, one after another; what follows the last is another one, if nothing else is said."""
        for place, took in enumerate(seconds, start=1):
            self.now += took
            following = then if then is not None and place == len(seconds) else later_epoch(budget)
            self.watch.passes(number, following, self.now, budget=budget)

    def stuck(self) -> dict[int, str]:
        return self.watch.stuck(self.now)

    def patience(self, number: int) -> float:
        """How long a trial is still waited for, to a second; up to a day."""
        day = 86_400
        return next((after for after in range(day) if number in self.watch.stuck(self.now + after)), day)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_trial_is_stuck_after_so_many_times_its_own_median_epoch(watched: Watched) -> None:
    watched.begins(7, prepares=5.0)
    watched.epochs(7, 60.0, 4.0, 5.0, 100.0)
    watched.now += 50
    assert watched.stuck() == {}
    watched.now += 1
    assert watched.stuck() == {7: "no epoch in 51 s, where one takes 5 s"}
    watched.epochs(7, 5.0)
    assert watched.stuck() == {}


def test_a_trial_in_its_second_epoch_is_measured_by_the_longest_of_the_others(watched: Watched) -> None:
    for number in (0, 1):
        watched.begins(number, prepares=5.0)
    watched.epochs(0, 20.0, 4.0, 8.0)
    watched.epochs(1, 20.0)
    assert watched.patience(1) == 81


def test_the_very_first_later_epoch_is_measured_by_the_first_one(watched: Watched) -> None:
    watched.begins(0, prepares=5.0)
    watched.epochs(0, 20.0)
    assert watched.patience(0) == 201


def test_as_long_as_no_time_is_known_nothing_is_stuck(watched: Watched) -> None:
    watched.begins(0)
    watched.now += 1e6
    assert watched.stuck() == {}


def test_however_short_its_epochs_a_trial_is_waited_for(watched: Watched) -> None:
    watched.begins(0)
    watched.epochs(0, 0.01, 0.01)
    watched.now += SHORTEST_WAIT
    assert watched.stuck() == {}
    watched.now += 1
    assert set(watched.stuck()) == {0}


def test_a_trial_that_begins_again_has_its_time_again_and_one_that_ended_is_not_watched(watched: Watched) -> None:
    for number in (0, 1):
        watched.begins(number)
        watched.epochs(number, 5.0, 5.0)
    watched.now += 45
    watched.begins(0)
    watched.epochs(0, 0.0)
    watched.watch.ends(1)
    watched.now += 45
    assert watched.stuck() == {}
    watched.now += 10
    assert set(watched.stuck()) == {0}


def test_of_a_trial_that_begins_again_earlier_epochs_of_its_own_do_not_count(watched: Watched) -> None:
    watched.begins(0)
    watched.epochs(0, 5.0, 1.0)
    watched.begins(1)
    watched.epochs(1, 5.0, 9.0)
    watched.begins(0)
    watched.epochs(0, 5.0)
    assert watched.patience(0) == 91


def test_to_end_a_trial_that_nobody_watches_does_nothing(watched: Watched) -> None:
    watched.watch.ends(3)
    assert watched.stuck() == {}


def test_the_last_word_of_a_worker_that_was_killed_as_stuck_tells_no_time(watched: Watched) -> None:
    watched.begins(0)
    watched.watch.ends(0)
    watched.epochs(0, 1.0)
    assert watched.patience(0) == 86_400, "it waits for a worker"
    watched.begins(1)
    assert watched.patience(1) == 86_400, "no time is known yet"


def test_time_in_which_the_whole_search_stood_still_does_not_count(watched: Watched) -> None:
    watched.begins(0)
    watched.epochs(0, 5.0, 5.0)
    watched.now += 1000
    watched.watch.pause(1000, watched.now)
    assert watched.stuck() == {}
    watched.now += 51
    assert set(watched.stuck()) == {0}


def test_a_pause_gives_no_trial_more_than_its_time(watched: Watched) -> None:
    watched.begins(0)
    watched.epochs(0, 5.0, 5.0, 5.0)
    watched.now += 1000
    watched.epochs(0, 5.0)  # heard after the search stood still, before that was noted
    watched.watch.pause(1000, watched.now)
    watched.now += 51
    assert set(watched.stuck()) == {0}


# Every kind of step has a time of its own


@pytest.mark.parametrize("compiling", [26.0, LONGEST_COMPILING])
@pytest.mark.parametrize("first", [1.0, 30.0], ids=["nothing compiled before", "compiled before"])
@pytest.mark.parametrize("prepares", [None, 3.0], ids=["process of before", "new process"])
def test_compiling_after_a_hundred_quick_epochs_is_not_stuck(
    watched: Watched, compiling: float, first: float, prepares: float | None
) -> None:
    watched.watch.expect(PREPARING, 6.0)
    watched.begins(0, prepares=3.0)
    watched.epochs(0, first, *[1.0] * 100)
    watched.watch.ends(0)
    watched.begins(1, prepares)
    for _ in range(int(compiling)):
        watched.now += 1
        assert watched.stuck() == {}
    watched.epochs(1, 0.5, 1.0)
    assert watched.patience(1) == SHORTEST_WAIT + 1, "later epochs are as short as ever"


def test_a_first_epoch_that_never_ends_is_stuck(watched: Watched) -> None:
    watched.begins(0, prepares=3.0)
    watched.epochs(0, 1.0, 1.0)
    watched.begins(1, prepares=3.0)
    assert watched.patience(1) == SHORTEST_FIRST_WAIT + 1
    watched.now += SHORTEST_FIRST_WAIT + 1
    assert watched.stuck()[1] == "no first epoch in 301 s, where one takes 1 s"


def test_one_long_first_epoch_makes_the_later_ones_no_longer(watched: Watched) -> None:
    watched.begins(0, prepares=3.0)
    watched.epochs(0, LONGEST_COMPILING, *[6.0] * 9)
    assert watched.patience(0) == 61
    watched.begins(1, prepares=3.0)
    assert watched.patience(1) == 10 * LONGEST_COMPILING + 1


def test_each_budget_has_a_time_of_its_own(watched: Watched) -> None:
    for number, seconds in ((0, 40.0), (1, 50.0)):
        watched.begins(number)
        watched.epochs(number, seconds, 5.0, 5.0, budget=3, then=first_epoch(9))
        watched.epochs(number, seconds * 2, 20.0, 20.0, budget=9)
    assert watched.patience(1) == 201, "its own epochs of the short run do not count"
    watched.begins(2)
    watched.epochs(2, 40.0, budget=3)
    assert watched.patience(2) == 51
    watched.epochs(2, 5.0, budget=3, then=first_epoch(9))
    assert watched.patience(2) == 1001


def test_a_budget_of_which_nothing_is_known_is_measured_by_the_others(watched: Watched) -> None:
    watched.begins(0)
    watched.epochs(0, 40.0, 5.0, 4.0, budget=3, then=first_epoch(9))
    assert watched.patience(0) == 401
    watched.epochs(0, 1.0, budget=9)
    assert watched.patience(0) == 51


def test_measures_have_a_time_of_their_own(watched: Watched) -> None:
    watched.begins(0)
    watched.epochs(0, 5.0, 1.0, 1.0, then=MEASURING)
    watched.now += 1e5
    assert watched.stuck() == {}, "nobody knows yet"
    watched.epochs(0, 0.0)
    watched.watch.ends(0)
    watched.begins(1)
    watched.epochs(1, 5.0, 1.0, then=MEASURING)
    assert watched.patience(1) == 86_400
    watched.watch.ends(1)
    other = Watched()
    other.watch.expect(MEASURING, 12.0)
    other.begins(0)
    other.epochs(0, 1.0, then=MEASURING)
    other.now += 121
    assert other.stuck() == {0: "no measures in 121 s, where one takes 12 s"}


def test_preparing_the_data_has_a_time_of_its_own(watched: Watched) -> None:
    watched.watch.expect(PREPARING, 60.0)
    watched.begins(0)
    assert watched.patience(0) == 601
    watched.now += 601
    assert watched.stuck() == {0: "no sign of the data in 601 s, where one takes 60 s"}
    watched.watch.passes(0, first_epoch(9), watched.now)
    watched.epochs(0, 20.0, 1.0)
    assert watched.patience(0) == SHORTEST_WAIT + 1


def test_a_process_that_was_there_may_be_in_its_first_epoch_already(watched: Watched) -> None:
    watched.watch.expect(PREPARING, 10.0)
    watched.begins(0, prepares=8.0)
    watched.epochs(0, 50.0, 1.0)
    watched.begins(1)
    assert watched.patience(1) == 601
    watched.epochs(1, 70.0, 1.0)
    watched.begins(2)
    assert watched.patience(2) == 801, "what trial 1 took was no preparing"
