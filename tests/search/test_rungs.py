"""The rule of early stopping, on made-up scores: nothing is trained here."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.results.runs import record
from tune_lpc.plan import Fidelity
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, Event, RungDecided, RunStarted, TrialStarted, trial_id_of
from tune_lpc.results.trial import Trial
from tune_lpc.search.rungs import best_first, decide, places, promote, reason

FIDELITY = Fidelity(epochs=27, mode="truncated", reduction_factor=3, first_rung=3)


class Rungs:
    """The trials of a search as they come to its rungs, in a ledger."""

    rule = "stop"

    def __init__(self, fidelity: Fidelity = FIDELITY) -> None:
        self.fidelity = fidelity
        space = {
            "settings": {"epochs": fidelity.epochs},
            "fidelity_mode": fidelity.mode,
            "reduction_factor": fidelity.reduction_factor,
            "first_rung": fidelity.first_rung,
        }
        self.events: list[Event] = [RunStarted({"space": space, "rungs": fidelity.rungs()})]
        self.ledger = Ledger(self.events)

    def forget(self) -> None:
        """Begin again from what has happened."""
        self.ledger = Ledger(self.events)

    def arrive(self, number: int, budget: int, epoch: int, score: float | None, *, control: bool = False) -> Trial:
        """A trial has done an epoch."""
        name = trial_id_of(number)
        if name not in self.ledger.trials:
            self._note(TrialStarted(name, number, {"epochs": self.fidelity.epochs}, control))
        self._note(EpochDone(name, record(epoch, score, budget)))
        return self.ledger.trials[name]

    def look(
        self, number: int, epoch: int, score: float | None, *, budget: int = 27, control: bool = False
    ) -> RungDecided:
        """What the rung at that epoch says."""
        trial = self.arrive(number, budget, epoch, score, control=control)
        rung = self.fidelity.rung_at(budget, epoch)
        assert rung is not None
        look = decide(trial, rung, self.ledger.arrivals[rung], self.fidelity.reduction_factor, self.rule)
        self._note(look)
        return look

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self.ledger.apply(event)


def test_first_arrival_at_a_rung_goes_on() -> None:
    look = Rungs().look(0, 3, 0.0)
    assert look == RungDecided(trial_id_of(0), 3, 0.0, rank=1, of=1, goes_on=True)


def test_epochs_between_rungs_decide_nothing() -> None:
    rungs = Rungs()
    rungs.arrive(0, 27, 4, 0.0)
    assert rungs.ledger.arrivals == {}


def test_a_tie_with_the_best_goes_on_and_a_lower_score_stops() -> None:
    rungs = Rungs()
    assert rungs.look(0, 3, 0.5).goes_on
    assert rungs.look(1, 3, 0.5).goes_on
    look = rungs.look(2, 3, 0.4)
    assert not look.goes_on
    assert reason(look) == "validation_accuracy 0.4000 was number 3 of 3 at the rung of epoch 3"


def test_the_share_that_goes_on_is_rounded_up() -> None:
    rungs = Rungs()
    looks = [rungs.look(number, 3, score) for number, score in enumerate((0.9, 0.8, 0.7, 0.85))]
    assert [(look.rank, look.of, look.goes_on) for look in looks] == [
        (1, 1, True),
        (2, 2, False),
        (3, 3, False),
        (2, 4, True),
    ]


def test_rungs_are_apart() -> None:
    rungs = Rungs()
    assert rungs.look(0, 3, 0.9).goes_on
    assert rungs.look(1, 9, 0.1).goes_on


def test_those_that_came_after_do_not_count() -> None:
    rungs = Rungs()
    first = rungs.arrive(0, 27, 3, 0.5)
    for number in (1, 2, 3):
        rungs.arrive(number, 27, 3, 0.9)
    look = decide(first, 3, rungs.ledger.arrivals[3], 3, "stop")
    assert (look.rank, look.of, look.goes_on) == (1, 1, True)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, None])
def test_a_score_that_is_no_finite_number_is_the_worst_and_never_goes_on(score: float | None) -> None:
    rungs = Rungs()
    # Not even as the first, nor as a control trial.
    first = rungs.look(0, 3, score)
    assert (first.score, first.goes_on) == (None, False)
    assert reason(first) == "validation_accuracy that is no number was number 1 of 1 at the rung of epoch 3"
    assert not rungs.look(1, 3, score, control=True).goes_on
    look = rungs.look(2, 3, 0.0)
    assert (look.rank, look.of, look.goes_on) == (1, 3, True)


def test_a_control_trial_goes_on_and_counts_like_any_other() -> None:
    rungs = Rungs()
    assert rungs.look(0, 3, 0.9).goes_on
    control = rungs.look(1, 3, 0.1, control=True)
    assert (control.goes_on, control.control) == (True, True)
    look = rungs.look(2, 3, 0.5)
    assert (look.rank, look.of, look.goes_on) == (2, 3, False)


def test_a_compressed_climb_is_judged_at_the_end_of_its_short_runs_only() -> None:
    rungs = Rungs(replace(FIDELITY, mode="compressed"))
    rungs.arrive(0, 9, 3, 0.5)
    rungs.arrive(0, 27, 9, 0.5)
    assert rungs.ledger.arrivals == {}
    assert rungs.look(0, 9, 0.5, budget=9) == RungDecided(trial_id_of(0), 9, 0.5, rank=1, of=1, goes_on=True)


# A simulated search: thousands of trials on a clock of their own

Decide = Callable[[int, int, float], bool]


def simulate(decide_one: Decide, trials: int, slots: int = 8, seed: int = 0) -> list[tuple[int, int, bool]]:
    """Run trials of random speed and curve on a simulated clock; (trial, epoch, went on) in order of arrival.

    Some diverge, many tie. What comes to a rung when depends on who was stopped before.
    """
    draw = random.Random(seed)
    quality = [draw.random() for _ in range(trials)]
    noise = [[round(draw.gauss(0, 0.1), 2) for _ in FIDELITY.rungs()] for _ in range(trials)]
    speed = [draw.uniform(0.5, 3.0) for _ in range(trials)]
    waiting, log = iter(range(trials)), []
    events = [(speed[number] * 3, number, 0) for number in (next(waiting) for _ in range(slots))]
    heapq.heapify(events)
    rungs = FIDELITY.rungs()
    while events:
        now, number, index = heapq.heappop(events)
        went_on = False
        if index < len(rungs):
            score = math.nan if quality[number] < 0.02 else round(quality[number] + noise[number][index], 2)
            went_on = decide_one(number, rungs[index], score)
            log.append((number, rungs[index], went_on))
        if went_on:
            heapq.heappush(events, (now + speed[number] * rungs[index] * 2, number, index + 1))
        elif (following := next(waiting, None)) is not None:
            heapq.heappush(events, (now + speed[following] * 3, following, 0))
    return log


class Reference:
    """The rule once more, as straightforward as can be."""

    def __init__(self) -> None:
        self.seen: dict[int, list[float]] = {}

    def __call__(self, number: int, epoch: int, score: float) -> bool:
        seen = self.seen.setdefault(epoch, [])
        seen.append(-math.inf if math.isnan(score) else score)
        best = sorted(seen, reverse=True)[: -(-len(seen) // 3)]
        return not math.isnan(score) and score >= best[-1]


def test_decisions_on_5000_simulated_trials_equal_the_reference() -> None:
    rungs = Rungs()
    log = simulate(lambda number, epoch, score: rungs.look(number, epoch, score).goes_on, trials=5000)
    assert log == simulate(Reference(), trials=5000)
    assert len({number for number, _, _ in log}) == 5000
    assert {went_on for _, _, went_on in log} == {True, False}


def test_a_ledger_made_again_at_100_random_points_decides_the_same() -> None:
    expected = simulate(Reference(), trials=1000)
    places, seen = set(random.Random(1).sample(range(len(expected)), 100)), 0
    rungs = Rungs()

    def decide_one(number: int, epoch: int, score: float) -> bool:
        nonlocal seen
        if seen in places:
            rungs.forget()
        seen += 1
        return rungs.look(number, epoch, score).goes_on

    assert simulate(decide_one, trials=1000) == expected


# Promotion: those that a rung leaves wait


class Waiting(Rungs):
    """Rungs under the published rule."""

    rule = "promote"


def test_nothing_goes_on_merely_for_coming_first() -> None:
    rungs = Waiting()
    looks = [rungs.look(number, 3, score) for number, score in enumerate((0.9, 0.8, 0.7))]
    assert [(look.rank, look.of, look.goes_on, look.promoted) for look in looks] == [
        (1, 1, False, False),
        (2, 2, False, False),
        (3, 3, False, False),
    ]


def test_one_goes_on_at_once_when_it_would_be_the_next_to_be_promoted() -> None:
    rungs = Waiting()
    looks = [rungs.look(number, 3, score) for number, score in enumerate((0.5, 0.6, 0.7, 0.8, 0.65, 0.75))]
    assert [look.goes_on for look in looks] == [False, False, True, True, False, True]


def test_of_a_tie_under_promotion_who_came_first_is_the_better_one() -> None:
    rungs = Waiting()
    assert [rungs.look(number, 3, 0.5).goes_on for number in range(9)] == [False] * 9
    assert best_first(rungs.ledger.arrivals[3]) == list(range(9))


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, None])
def test_a_score_that_is_no_finite_number_counts_as_one_that_came_and_waits_in_vain(score: float | None) -> None:
    rungs = Waiting()
    assert not rungs.look(0, 3, score).goes_on
    assert not rungs.look(1, 3, score, control=True).goes_on
    assert rungs.look(2, 3, 0.0).goes_on, "the best of three"
    assert best_first(rungs.ledger.arrivals[3]) == [2]


def test_a_control_trial_goes_on_under_promotion_too() -> None:
    look = Waiting().look(0, 3, 0.1, control=True)
    assert (look.goes_on, look.control, look.promoted) == (True, True, False)


def test_the_best_come_first_and_of_equals_the_one_that_came_first() -> None:
    assert best_first({7: 0.5, 3: None, 9: 0.75, 1: 0.5, 4: 0.25}) == [9, 7, 1, 4]
    assert best_first({}) == []


@pytest.mark.parametrize(
    ("come", "factor", "are_all", "expected"),
    [
        *[(0, 3, False, 0), (2, 3, False, 0), (3, 3, False, 1), (8, 3, False, 2), (8, 4, False, 2), (1, 2, False, 0)],
        *[(0, 3, True, 0), (1, 3, True, 1), (3, 3, True, 1), (4, 3, True, 2), (8, 3, True, 3), (9, 3, True, 3)],
    ],
)
def test_the_share_beyond_a_rung_is_rounded_down_until_all_have_come(
    come: int, factor: int, are_all: bool, expected: int
) -> None:
    assert places(come, factor, are_all=are_all) == expected


def test_what_is_written_of_one_that_goes_on_later() -> None:
    rungs = Waiting()
    for number, score in enumerate((0.5, 0.7, 0.6, 0.7)):
        rungs.look(number, 3, score)
    trial = rungs.ledger.trials[trial_id_of(3)]
    assert promote(trial, 3, rungs.ledger.arrivals[3]) == RungDecided(
        trial_id_of(3), 3, 0.7, rank=1, of=4, goes_on=True, promoted=True
    )
    assert promote(rungs.ledger.trials[trial_id_of(0)], 3, rungs.ledger.arrivals[3]).rank == 4


def test_fewer_go_on_at_once_than_by_the_other_rule() -> None:
    """Of random arrivals about a third passes, and of the first ones no more than of the others."""
    rules = {}
    for kind in (Rungs, Waiting):
        passed = [0] * 30
        for seed in range(300):
            rungs, draw = kind(), random.Random(seed)
            for number in range(30):
                passed[number] += rungs.look(number, 3, draw.random()).goes_on
        rules[kind.rule] = [count / 300 for count in passed]
    assert rules["stop"][0] == 1.0 and rules["promote"][:2] == [0.0, 0.0]
    assert max(rules["promote"]) < 0.4
    assert sum(rules["promote"]) < 30 / 3 < sum(rules["stop"])
