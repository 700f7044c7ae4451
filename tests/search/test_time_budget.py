"""Searches within a budget of time, under the simulated engine."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.search.curves import noisy_curve, record, run_of
from tune_lpc.plan import Float, Space
from tune_lpc.results import Ledger
from tune_lpc.results.events import Event, RungDecided, RunResumed, RunStarted, Status, TrialEnded, TrialStarted
from tune_lpc.results.tables import best_table, trials_table
from tune_lpc.results.trial import Trial
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director
from tune_lpc.search.sampler import RandomSampler
from tune_lpc.search.seeds import stages
from tune_lpc.search.simulated import Curve, MemoryLog, Record, simulate
from tune_lpc.search.time_budget import GRACE, Limits, TimeBudget

EPOCHS = 27
SPACE = Space(
    name="timed",
    about="for tests",
    dimensions={"learning_rate": Float(1e-4, 1e-1, log=True)},
    settings={"epochs": EPOCHS},
    trials=10**6,
    seeds=3,
    rung_rule="promote",
).checked()
"""Rungs at 3 and 9 epochs."""
ONE_SEED = replace(SPACE, seeds=1)


def paced(spread: float = 1.0, seconds: float = 1.0) -> Curve:
    """Noisy curves; an epoch takes `seconds`, of each config so many times more or less, up to `spread`."""

    def curve(given: Assignment) -> Iterator[Record]:
        own = seconds * spread ** random.Random(given.number).uniform(-1, 1)
        for one in noisy_curve(given):
            yield {**one, "seconds": own}

    return curve


def steady(score: float = 0.5, seconds: float = 1.0) -> Curve:
    return lambda given: (record(EPOCHS, epoch, score, seconds=seconds) for epoch in range(1, EPOCHS + 1))


@dataclass
class Timed:
    """A search under a budget, in memory. events: what has happened before."""

    limits: Limits
    space: Space = SPACE
    events: list[Event] = field(default_factory=list)
    resources: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.events:
            self.events.append(RunStarted(run_of(self.space, resources=self.resources)))
        self.log, self.ledger = MemoryLog(self.events), Ledger(self.events)
        self.budget = TimeBudget(self.space, self.ledger, self.limits)
        sampler = RandomSampler(self.space)
        self.director = Director(self.space, self.ledger, self.log, sampler, budget=self.budget)
        self.director.settle()

    def run(self, curve: Curve | None = None, **options: Any) -> float:
        """To its end; the time then."""
        return simulate(self.director, curve or paced(), slots=self.limits.slots, now=self.limits.began, **options)

    @property
    def firsts(self) -> list[Trial]:
        return [trial for trial in self.ledger.in_order() if trial.repeat_of is None]

    @property
    def repeats(self) -> list[Trial]:
        return [trial for trial in self.ledger.in_order() if trial.repeat_of is not None]

    @property
    def trained(self) -> float:
        """Seconds of all epochs."""
        return sum(trial.seconds for trial in self.ledger.trials.values())

    def cut_off(self) -> list[int]:
        return [trial.number for trial in self.ledger.in_order() if trial.status is Status.INTERRUPTED]


# The time is kept, and used


@pytest.mark.parametrize("rule", ["promote", "stop"])
@pytest.mark.parametrize(("slots", "trainings"), [(1, 40.0), (2, 25.0), (4, 16.0)])
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("spread", [1.0, 1.5])
def test_a_search_uses_its_time_and_does_not_go_beyond(
    rule: str, slots: int, trainings: float, seeds: int, spread: float
) -> None:
    seconds = trainings * EPOCHS
    timed = Timed(Limits(seconds, slots=slots), replace(SPACE, rung_rule=rule, seeds=seeds))
    end = timed.run(paced(spread))
    assert 0.9 * seconds <= end <= (1 + GRACE) * seconds
    assert timed.trained >= 0.8 * slots * seconds
    assert len(timed.cut_off()) <= 1
    repeats = len(timed.repeats)
    assert repeats >= sum(stages(len(timed.firsts) // 12, seeds, 3)) if seeds > 1 else repeats == 0


@pytest.mark.parametrize("slots", [1, 3])
def test_with_epochs_of_one_length_nothing_is_cut_off(slots: int) -> None:
    for trainings in (3.5, 7.0, 12.0, 20.0):
        timed = Timed(Limits(trainings * EPOCHS, slots=slots))
        assert timed.run(paced()) <= trainings * EPOCHS
        assert timed.cut_off() == []


def test_no_config_begins_that_would_not_end_with_its_further_seeds() -> None:
    """Every config passes every rung: each costs a whole training, and from the first on two more of the best."""
    space = replace(SPACE, fidelity_mode="full")
    timed = Timed(Limits(12.0 * EPOCHS), space)
    timed.run(steady())
    begun = [event for event in timed.log.events if isinstance(event, TrialStarted)]
    firsts = sum(event.repeat_of is None for event in begun)
    assert all(event.repeat_of is None for event in begun[:firsts])
    assert (firsts, len(begun)) == (8, 12), "a third of the time, four trainings, was kept for further seeds"


def test_a_budget_of_a_few_trainings_goes_to_configs() -> None:
    timed = Timed(Limits(2.5 * EPOCHS), replace(SPACE, fidelity_mode="full"))
    timed.run(steady())
    assert [trial.status for trial in timed.firsts] == [Status.COMPLETED] * 2


def test_what_is_left_after_the_plan_trains_further_seeds_of_the_next_best() -> None:
    space = replace(SPACE, fidelity_mode="full", seeds=2)
    timed = Timed(Limits(9.4 * EPOCHS, slots=1), space)
    scores = [0.1, 0.9, 0.8, 0.2, 0.7, 0.3, 0.4, 0.35, 0.25, 0.15]

    def curve(given: Assignment) -> Iterator[Record]:
        number = given.number if given.repeat_of is None else given.repeat_of
        # The further seeds end early, so that there is time for more of them.
        seconds = 1.0 if given.repeat_of is None else 0.4
        return (record(EPOCHS, epoch, scores[number], seconds=seconds) for epoch in range(1, EPOCHS + 1))

    timed.run(curve)
    wanted = [trial.repeat_of for trial in timed.repeats]
    assert wanted[:2] == [1, 2]
    planned = stages(len(timed.firsts), 2, 3)[0]
    assert len(wanted) > planned
    assert wanted == sorted(wanted, key=lambda number: -scores[number])  # type: ignore[index]


def test_a_search_whose_configs_are_all_drawn_trains_the_planned_seeds_and_no_others() -> None:
    timed = Timed(Limits(1000.0 * EPOCHS), replace(SPACE, trials=6, seeds=2, fidelity_mode="full"))
    timed.run(steady())
    assert len(timed.firsts) == 6
    assert len(timed.repeats) == stages(6, 2, 3)[0]


def test_no_promotion_begins_that_would_not_end() -> None:
    timed = Timed(Limits(4.0 * EPOCHS, slots=2), ONE_SEED)
    timed.run()
    begun = {event.trial_id for event in timed.log.events if isinstance(event, RungDecided) and event.promoted}
    assert begun, "some did"
    assert all(timed.ledger.trials[trial_id].status is not Status.INTERRUPTED for trial_id in begun)


# A budget that is too small, and misjudgements


@pytest.mark.parametrize("slots", [1, 2])
def test_what_cannot_end_trains_until_time_is_up_and_is_left_without_an_end(slots: int) -> None:
    timed = Timed(Limits(0.5 * EPOCHS, slots=slots), replace(SPACE, fidelity_mode="full"))
    assert timed.run() == 0.5 * EPOCHS
    assert timed.cut_off() == list(range(slots))
    assert not [event for event in timed.log.events if isinstance(event, TrialEnded)]
    assert trials_table(timed.ledger).num_rows == best_table(timed.ledger).num_rows == slots
    assert timed.director.to_come == 0 and timed.director.ask(0.5 * EPOCHS) is None


@pytest.mark.parametrize(("over", "completes"), [(0.5, True), (1.5, False)])
def test_a_trial_that_ends_a_moment_after_the_time_is_let_end(over: float, completes: bool) -> None:
    """It was thought to end in time, and its last epochs take longer."""
    limit = 2.0 * EPOCHS
    late = over * GRACE * limit

    def curve(given: Assignment) -> Iterator[Record]:
        for epoch in range(1, EPOCHS + 1):
            is_late = given.number == 1 and epoch == EPOCHS
            yield record(EPOCHS, epoch, 0.5, seconds=1.0 + (late if is_late else 0.0))

    timed = Timed(Limits(limit), replace(ONE_SEED, fidelity_mode="full"))
    end = timed.run(curve)
    assert (timed.cut_off() == []) is completes
    assert end == pytest.approx(limit + late if completes else limit + GRACE * limit)


def test_a_hopeless_trial_does_not_keep_others_from_beginning() -> None:
    def curve(given: Assignment) -> Iterator[Record]:
        seconds = 100.0 if given.number == 0 else 1.0
        return (record(EPOCHS, epoch, 0.5, seconds=seconds) for epoch in range(1, EPOCHS + 1))

    timed = Timed(Limits(20.0 * EPOCHS, slots=2), replace(ONE_SEED, fidelity_mode="full"))
    timed.run(curve)
    assert timed.cut_off() == [0]
    assert len(timed.firsts) >= 10


def test_as_long_as_nothing_is_trained_in_full_a_trial_runs_though_it_may_not_end() -> None:
    def curve(given: Assignment) -> Iterator[Record]:
        diverged = "train_loss became nan" if given.number == 0 else None
        yield record(EPOCHS, 1, None if diverged else 0.5, seconds=1.0)
        yield record(EPOCHS, 2, None if diverged else 0.5, seconds=1.0, diverged=diverged)
        for epoch in range(3, EPOCHS + 1):
            yield record(EPOCHS, epoch, 0.5, seconds=1.0)

    timed = Timed(Limits(EPOCHS + 1.0), replace(ONE_SEED, fidelity_mode="full"))
    assert timed.run(curve) == EPOCHS + 1.0
    assert [trial.status for trial in timed.firsts] == [Status.DIVERGED, Status.INTERRUPTED]
    assert timed.firsts[1].epochs_trained == EPOCHS - 2, "the last one would have ended with the time"


# GPU time


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_gpu_time_is_that_of_all_trials_by_their_share_of_a_gpu(slots: int, share: float) -> None:
    budget = 40.0 * EPOCHS
    timed = Timed(Limits(gpu_seconds=budget, slots=slots, gpus_per_trial=share))
    end = timed.run()
    assert 0.9 * budget <= timed.trained * share <= (1 + GRACE) * budget
    assert end * slots * share <= 1.25 * budget
    assert timed.cut_off() == []


def test_of_both_budgets_the_smaller_one_ends_the_search() -> None:
    seconds = 20.0 * EPOCHS
    by_clock = Timed(Limits(seconds, 100 * seconds, slots=2, gpus_per_trial=1.0), ONE_SEED)
    assert 0.9 * seconds <= by_clock.run() <= (1 + GRACE) * seconds
    by_gpus = Timed(Limits(100 * seconds, seconds, slots=2, gpus_per_trial=1.0), ONE_SEED)
    assert by_gpus.run() <= 0.6 * seconds
    assert 0.85 * seconds <= by_gpus.trained <= (1 + GRACE) * seconds


def test_gpu_time_of_earlier_sessions_counts_by_the_share_that_trials_had_then() -> None:
    first = Timed(Limits(slots=1), ONE_SEED, resources={"gpus_per_trial": 0.5})
    first.run(steady(), most_events=20)
    events = [*first.log.events, RunResumed("", "", session={"resources": {"gpus_per_trial": 1.0}})]
    second = Timed(Limits(gpu_seconds=100.0, gpus_per_trial=1.0), ONE_SEED, events)
    assert second.budget.gpu_seconds_left(0.0) == 100.0 - 0.5 * 20
    second.run(steady(), most_events=20)
    events = [*second.log.events, RunResumed("", "", session={"resources": {"gpus_per_trial": 0.0}})]
    third = Timed(Limits(gpu_seconds=100.0), ONE_SEED, events)
    assert third.budget.gpu_seconds_left(0.0) == 100.0 - 0.5 * 20 - 20


# Sessions


@pytest.mark.parametrize("slots", [1, 3])
def test_killed_at_any_moment_and_resumed_a_search_keeps_within_its_time(slots: int) -> None:
    seconds = 15.0 * EPOCHS
    whole = Timed(Limits(seconds, slots=slots), SPACE)
    whole.run(paced(1.3))
    draw = random.Random(3)
    for _ in range(6):
        spent, events, lives = 0.0, [], 0
        while True:
            lives += 1
            timed = Timed(Limits(seconds, slots=slots, began=1000.0 * lives, spent=spent), SPACE, events)
            last = lives > 3
            end = timed.run(paced(1.3), most_events=None if last else draw.randint(1, 150))
            spent += end - 1000.0 * lives
            if last:
                break
            events = [*timed.log.events, RunResumed("", "")]
        assert 0.8 * seconds <= spent <= (1 + GRACE) * seconds
        assert timed.trained <= (1 + GRACE) * slots * seconds
        first = [trial.config["learning_rate"] for trial in timed.firsts]
        before = [trial.config["learning_rate"] for trial in whole.firsts]
        shared = min(len(first), len(before))
        assert first[:shared] == before[:shared] and shared >= 0.7 * len(before)


def test_a_search_whose_time_is_spent_does_not_go_on_and_with_more_time_it_does() -> None:
    seconds = 2.5 * EPOCHS
    space = replace(ONE_SEED, fidelity_mode="full")
    first = Timed(Limits(seconds), space)
    late = paced(seconds=1.0)
    first.run(late, most_events=60)
    events = [*first.log.events, RunResumed("", "")]
    spent = Timed(Limits(seconds, began=50.0, spent=seconds), space, list(events))
    assert (spent.director.to_come, spent.director.ask(50.0)) == (0, None)
    more = Timed(Limits(2 * seconds, began=50.0, spent=60.0), space, list(events))
    assert more.director.to_come
    more.run(late)
    assert more.cut_off() == []
    assert more.firsts[2].status is Status.COMPLETED, "the one that was cut off"


def test_what_a_budget_asks_of_the_ledger_survives_a_journal() -> None:
    timed = Timed(Limits(gpu_seconds=1e9, gpus_per_trial=1.0), resources={"gpus_per_trial": 1.0})
    timed.run(most_events=30)
    run = json.loads(json.dumps(timed.ledger.run))
    again = Ledger([RunStarted(run), *timed.log.events[1:]])
    assert again.session_seconds == timed.ledger.session_seconds
    assert TimeBudget(SPACE, again, timed.limits).gpu_seconds_left(0.0) == pytest.approx(1e9 - timed.trained)


# Without a budget, and what waits


def test_without_limits_nothing_is_refused() -> None:
    timed = Timed(Limits(slots=2), replace(SPACE, trials=12))
    timed.run()
    assert not timed.budget.is_limited
    assert len(timed.firsts) == 12
    assert (timed.budget.seconds_left(5.0), timed.budget.gpu_seconds_left(5.0)) == (None, None)
    assert not timed.budget.is_over_at(1e12)


@pytest.mark.parametrize("limits", [Limits(30.0 * EPOCHS, slots=2), Limits(slots=2)])
def test_what_is_promoted_has_kept_its_checkpoint_until_then(limits: Limits) -> None:
    timed = Timed(limits, SPACE if limits.seconds else replace(SPACE, trials=60))
    kept: set[str] = set()

    def watch(event: Event) -> None:
        waiting = {f"trial-{number:05d}" for number in timed.director.waiting}
        if isinstance(event, RungDecided) and event.promoted:
            assert event.trial_id in kept
            kept.discard(event.trial_id)
        elif isinstance(event, TrialEnded):
            kept.intersection_update(waiting)
            kept.update({event.trial_id} & waiting)

    timed.director.watched_by(watch)
    # Scores in few steps: of many that are equal the first to come are the best.
    timed.run(lambda given: ({**one, "validation_accuracy": round(one["validation_accuracy"] or 0.0, 1)}
                             for one in paced()(given)))  # fmt: skip
    assert any(isinstance(event, RungDecided) and event.promoted for event in timed.log.events)


def test_the_configs_that_may_still_come_are_no_more_than_time_allows() -> None:
    timed = Timed(Limits(20.0 * EPOCHS))
    timed.run(most_events=30)
    assert 100 < timed.budget.most_configs() < 200, "stopped after 3 epochs each"
    assert timed.director.to_come <= 200


# How many configs the stages hold


def test_each_stage_holds_a_share_of_the_one_before_and_two_at_least() -> None:
    assert stages(30, 4, 3) == [10, 4, 2]
    assert stages(30, 1, 3) == []
    assert stages(1, 3, 3) == [1, 1]
    assert stages(0, 3, 3) == [0, 0]


@pytest.mark.parametrize("trainings", [8.0, 15.0])
def test_what_is_to_come_is_what_may_be_asked_for_wherever_the_search_was_cut_off(trainings: float) -> None:
    """Also further seeds beyond the plan, for which there is time when a new config would not end any more."""
    seconds, found = trainings * EPOCHS, []
    whole = Timed(Limits(seconds))
    whole.run()
    for cut in range(1, len(whole.log.events) + 1):
        events = whole.log.events[:cut]
        spent = float(sum(event.kind == "epoch" for event in events))
        again = Timed(Limits(seconds, spent=spent), events=list(events))
        to_come, given = again.director.to_come, again.director.ask(0.0)
        assert (to_come > 0) == (given is not None), f"after {cut} events"
        found.append(given is not None and given.repeat_of is not None)
    assert any(found)
