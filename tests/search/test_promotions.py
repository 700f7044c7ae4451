"""Which of the trials that wait at the rungs goes on, and which may still do so; nothing is trained here."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from tests.results.runs import record
from tests.search.searches import SPACE, run_of
from tune_lpc.plan import Space
from tune_lpc.results import Ledger
from tune_lpc.results.events import (
    EpochDone,
    Event,
    RungDecided,
    RunStarted,
    Status,
    TrialEnded,
    TrialStarted,
    trial_id_of,
)
from tune_lpc.search.promotions import Promotions
from tune_lpc.search.rungs import decide, reason

TWO_RUNGS = replace(
    SPACE, fidelity_mode="truncated", rung_rule="promote", trials=9, first_rung=2, settings={"epochs": 18, "seed": 3}
)
"""Rungs at 2 and 6 of 18 epochs; a third goes on at each."""


class Rungs:
    """Trials as they come to the rungs of a search: what a director would write down of them."""

    def __init__(self, space: Space = TWO_RUNGS) -> None:
        self.space = space
        self.ledger = Ledger([RunStarted(run_of(space))])
        self.promotions = Promotions(space, self.ledger)

    def arrives(self, number: int, score: float | None, rung: int = 2, *, control: bool = False) -> bool:
        """A trial comes to a rung; whether it goes on at once. One that does not ends there."""
        name = trial_id_of(number)
        if name not in self.ledger.trials:
            self._note(TrialStarted(name, number, {"epochs": 18}, control))
        self._note(EpochDone(name, record(rung, score, 18)))
        look = decide(self.ledger.trials[name], rung, self.ledger.arrivals[rung], 3, "promote")
        self._note(look)
        if not look.goes_on:
            self._note(TrialEnded(name, Status.STOPPED, reason(look)))
        return look.goes_on

    def starts(self, number: int) -> None:
        self._note(TrialStarted(trial_id_of(number), number, {"epochs": 18}))

    def ends(self, number: int) -> None:
        """A trial has trained its full budget."""
        self._note(EpochDone(trial_id_of(number), record(18, 0.5, 18)))
        self._note(TrialEnded(trial_id_of(number), Status.COMPLETED, ""))

    def next(self, *under_way: int, all_begun: bool = False) -> tuple[int, int] | None:
        """The trial that goes on now, and where; it goes on."""
        look = self.promotions.next(under_way, all_begun=all_begun)
        if look is None:
            return None
        assert look.goes_on and look.promoted
        self._note(look)
        number = self.ledger.trials[look.trial_id].number
        self.starts(number)
        return number, look.rung

    def waiting(self) -> set[int]:
        return self.promotions.waiting(self.space.trials)

    def _note(self, event: Event) -> None:
        self.ledger.apply(event)


def test_one_goes_on_when_the_others_that_come_make_it_one_of_the_best() -> None:
    rungs = Rungs()
    assert [rungs.arrives(number, score) for number, score in enumerate((0.9, 0.1))] == [False, False]
    assert rungs.next() is None
    assert not rungs.arrives(2, 0.2)
    assert rungs.next() == (0, 2)
    assert rungs.next() is None, "once"


def test_the_better_of_two_that_may_goes_on_first() -> None:
    rungs = Rungs()
    for number, score in enumerate((0.7, 0.8, 0.1, 0.2, 0.3, 0.4)):
        rungs.arrives(number, score)
    assert [rungs.next() for _ in range(3)] == [(1, 2), (0, 2), None]


def test_what_one_wrote_down_is_how_it_stood_when_it_went_on() -> None:
    rungs = Rungs()
    for number, score in enumerate((0.7, 0.8, 0.1)):
        rungs.arrives(number, score)
    look = rungs.promotions.next([], all_begun=False)
    assert look == RungDecided(trial_id_of(1), 2, 0.8, rank=1, of=3, goes_on=True, promoted=True)


def to_the_second_rung(rungs: Rungs) -> None:
    """Nine trials at the first rung, and three of them at the second."""
    for number in range(9):
        assert rungs.arrives(number, 0.9 - number / 10) is False
    for number in range(3):
        assert rungs.next() == (number, 2)
    for number in range(3):
        rungs.arrives(number, 0.5 - number / 10, rung=6)


def test_the_highest_rung_comes_first() -> None:
    rungs = Rungs(replace(TWO_RUNGS, trials=30))
    to_the_second_rung(rungs)
    for number in (9, 10, 11):
        assert not rungs.arrives(number, 0.05)
    assert rungs.next() == (0, 6), "though trial 3 may go on at the rung below"
    assert rungs.next() == (3, 2)


def test_a_trial_that_diverged_or_failed_does_not_go_on_and_its_place_stays_taken() -> None:
    rungs = Rungs()
    rungs.arrives(0, 0.9)
    rungs.ledger.apply(TrialEnded(trial_id_of(0), Status.DIVERGED, "nan"))
    for number in (1, 2, 3):
        rungs.arrives(number, 0.5 - number / 10)
    assert rungs.next() is None


def test_nobody_waits_where_a_rung_ends_who_is_not_among_the_best() -> None:
    rungs = Rungs(replace(TWO_RUNGS, rung_rule="stop"))
    for number in range(9):
        rungs.arrives(number, 0.9 - number / 10)
    assert (rungs.next(all_begun=True), rungs.waiting()) == (None, set())


# When no other comes any more


def test_a_small_search_ends_with_a_trial_that_is_trained() -> None:
    rungs = Rungs(replace(TWO_RUNGS, trials=2))
    for number in range(2):
        rungs.arrives(number, 0.5 - number / 10)
    assert rungs.next() is None, "another may be drawn"
    assert rungs.next(all_begun=True) == (0, 2)
    assert rungs.next(0, all_begun=True) is None, "it is on its way to the next rung"
    rungs.arrives(0, 0.5, rung=6)
    assert rungs.next(all_begun=True) == (0, 6)
    assert rungs.next(all_begun=True) is None


def test_the_share_is_rounded_up_when_all_have_come() -> None:
    rungs = Rungs(replace(TWO_RUNGS, trials=4))
    for number in range(4):
        rungs.arrives(number, 0.5 - number / 10)
    assert rungs.next() == (0, 2)
    assert rungs.next(0) is None
    assert rungs.next(0, all_begun=True) == (1, 2), "the one that runs has come to this rung"


@pytest.mark.parametrize("under_way", [[3], [7]], ids=["on its way", "not begun yet"])
def test_not_as_long_as_one_is_on_its_way_to_the_rung(under_way: list[int]) -> None:
    rungs = Rungs(replace(TWO_RUNGS, trials=3))
    for number in range(2):
        rungs.arrives(number, 0.5 - number / 10)
    rungs.starts(3)
    assert rungs.next(*under_way, all_begun=True) is None
    assert rungs.next(all_begun=True) == (0, 2)


def test_nor_as_long_as_one_may_go_on_at_the_rung_below() -> None:
    rungs = Rungs(replace(TWO_RUNGS, trials=6))
    for number in range(6):
        rungs.arrives(number, 0.9 - number / 10)
    assert rungs.next(all_begun=True) == (0, 2)
    rungs.arrives(0, 0.5, rung=6)
    look = rungs.promotions.next([], all_begun=True)
    assert look is not None and (look.trial_id, look.rung) == (trial_id_of(1), 2), "so one of one does not go on at 6"


def test_one_that_diverged_at_a_rung_keeps_nobody_waiting() -> None:
    rungs = Rungs(replace(TWO_RUNGS, trials=3))
    rungs.arrives(0, 0.9)
    rungs.ledger.apply(TrialEnded(trial_id_of(0), Status.DIVERGED, "nan"))
    for number in (1, 2):
        assert not rungs.arrives(number, 0.5 - number / 10)
    # Of three that came one may be beyond the rung, and that one diverged there.
    assert rungs.next(all_begun=True) is None
    rungs.arrives(3, 0.4)
    assert rungs.next(all_begun=True) == (1, 2)
    rungs.arrives(1, 0.5, rung=6)
    assert rungs.next(all_begun=True) == (1, 6)


# Who waits


def test_all_that_may_still_go_on_wait_and_no_others() -> None:
    rungs = Rungs()  # of nine trials at most three go on
    for number, score in enumerate((0.9, 0.8, 0.7, 0.6, None)):
        rungs.arrives(number, score)
    assert rungs.waiting() == {0, 1, 2}
    assert rungs.next() == (0, 2)
    assert rungs.waiting() == {1, 2}
    rungs.arrives(5, 0.75)
    assert rungs.waiting() == {1, 5}, "of trial 2 three are better now"


def test_a_control_trial_takes_a_place_at_the_next_rung() -> None:
    """Four of nine may come to the second rung, of which two may go on, where without it it would be one of three."""
    rungs = Rungs(replace(TWO_RUNGS, control_trials=1))
    assert rungs.arrives(0, 0.1, control=True)
    for number in range(1, 9):
        rungs.arrives(number, 0.9 - number / 10)
    assert [rungs.next() for _ in range(4)] == [(1, 2), (2, 2), (3, 2), None]
    for number in range(1, 4):
        rungs.arrives(number, 0.9 - number / 10, rung=6)
    assert rungs.waiting() == {1, 2}


def test_one_that_has_come_further_does_not_wait_below_though_what_was_said_there_is_lost() -> None:
    rungs = Rungs()
    to_the_second_rung(rungs)
    waiting = rungs.waiting()
    for number in range(3):
        del rungs.ledger.trials[trial_id_of(number)].looks[2]
    assert rungs.waiting() == waiting == {0}
    assert [rungs.next() for _ in range(2)] == [(0, 6), None]


class Searched:
    """A whole search by the rule, several trials at once, each of random speed; what waits is noted."""

    def __init__(self, trials: int, seed: int, control: int = 0, slots: int = 3) -> None:
        self.rungs = Rungs(replace(TWO_RUNGS, trials=trials, control_trials=control))
        self.draw = random.Random(seed)
        self.most_waiting = 0
        self.hopeless: set[int] = set()
        self.gone_on_without_hope: list[int] = []
        running: list[tuple[int, int]] = []
        begun = 0
        while True:
            while len(running) < slots:
                going = [number for number, _ in running]
                found = self.rungs.next(*going, all_begun=begun == trials)
                if found is not None:
                    running.append((found[0], 6 if found[1] == 2 else 18))
                    self.gone_on_without_hope += [found[0]] if found[0] in self.hopeless else []
                elif begun < trials:
                    running.append((begun, 2))
                    begun += 1
                else:
                    break
            if not running:
                return
            number, to = running.pop(self.draw.randrange(len(running)))
            while to < 18 and self.rungs.arrives(number, self.score(number), to, control=number < control):
                to *= 3
            if to == 18:
                self.rungs.ends(number)
            self.look_who_waits()

    def score(self, number: int) -> float | None:
        return None if self.draw.random() < 0.05 else round(number / 100 + self.draw.gauss(0, 0.3), 1)

    def look_who_waits(self) -> None:
        waiting = self.rungs.waiting()
        stopped = {t.number for t in self.rungs.ledger.trials.values() if t.status is Status.STOPPED}
        assert waiting <= stopped
        self.hopeless |= stopped - waiting
        self.most_waiting = max(self.most_waiting, len(waiting))


@pytest.mark.parametrize("control", [0, 3])
@pytest.mark.parametrize("trials", [1, 2, 5, 9, 32])
def test_none_goes_on_that_was_given_up_and_those_that_wait_are_bounded(trials: int, control: int) -> None:
    for seed in range(20):
        searched = Searched(trials, seed, min(control, trials))
        assert searched.gone_on_without_hope == []
        # At the second rung come at most as many as at the first, and in fact hardly more than a third of them.
        first = math.ceil(trials / 3)
        assert searched.most_waiting <= (2 * first if control else first + math.ceil(first / 3))


def test_a_search_leaves_about_a_third_beyond_each_rung() -> None:
    shares = []
    for seed in range(50):
        ledger = Searched(32, seed).rungs.ledger
        come = [len(ledger.arrivals.get(rung, ())) for rung in (2, 6)]
        trained = sum(trial.status is Status.COMPLETED for trial in ledger.trials.values())
        assert come[0] == 32
        assert come[1] >= math.floor(32 / 3) and trained >= 1
        shares.append((come[1] / 32, trained / 32))
    first, both = (sum(share[place] for share in shares) / len(shares) for place in (0, 1))
    assert 1 / 3 <= first < 0.45
    assert 1 / 9 <= both < 0.2
