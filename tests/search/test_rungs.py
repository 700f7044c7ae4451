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
from tune_lpc.results.ledger import Trial
from tune_lpc.search.rungs import decide, reason

FIDELITY = Fidelity(epochs=27, mode="truncated", reduction_factor=3, first_rung=3)


class Rungs:
    """The trials of a search as they come to its rungs, in a ledger."""

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
        look = decide(trial, rung, self.ledger.arrivals[rung], self.fidelity.reduction_factor)
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
    look = decide(first, 3, rungs.ledger.arrivals[3], 3)
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
