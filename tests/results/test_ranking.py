"""The order of configs with several seeds, their intervals, and which are tied; see also `test_tables.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.results.runs import record
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, Event, RunStarted, Status, TrialEnded, TrialStarted
from tune_lpc.results.intervals import Sample, Spread, interval
from tune_lpc.results.ranking import Config, comes_first, ranked

EPOCHS = 2
NAN = "train_loss became nan"


class Run:
    """A search of trials of two epochs."""

    def __init__(self, images: int | None = 200, **space: Any) -> None:
        run: dict[str, Any] = {"space": {"settings": {"epochs": EPOCHS}, **space}}
        self.ledger = Ledger([RunStarted(run if images is None else {**run, "data": {"validation_images": images}})])
        self.count = 0

    def trial(
        self,
        *scores: float | None,
        of: int | None = None,
        status: Status | None = Status.COMPLETED,
        loss: float = 1.0,
        **config: Any,
    ) -> int:
        """A trial with a score an epoch; its number."""
        number, self.count = self.count, self.count + 1
        name = f"t{number}"
        events: list[Event] = [TrialStarted(name, number, {"epochs": EPOCHS, **config}, repeat_of=of)]
        for epoch, score in enumerate(scores, start=1):
            diverged = NAN if status is Status.DIVERGED and epoch == len(scores) else None
            done = record(epoch, score, EPOCHS, validation_loss=loss, diverged=diverged)
            events.append(EpochDone(name, done))
        for event in [*events, *([] if status is None else [TrialEnded(name, status, "")])]:
            self.ledger.apply(event)
        return number

    def config(self, *scores: float, **more: Any) -> int:
        """A config with a score a seed; the number of its first trial."""
        first = self.trial(0.1, scores[0], **more)
        for score in scores[1:]:
            self.trial(0.1, score, of=first)
        return first

    @property
    def order(self) -> list[int]:
        return [config.trial.number for config in ranked(self.ledger)]

    def of(self, number: int) -> Config:
        return next(config for config in ranked(self.ledger) if config.trial.number == number)


# The order


def test_the_mean_over_the_seeds_decides_where_there_are_as_many() -> None:
    run = Run()
    lucky, steady = run.config(0.9, 0.6), run.config(0.8, 0.8)
    assert run.order == [steady, lucky]
    assert [config.score for config in ranked(run.ledger)] == [pytest.approx(0.8), pytest.approx(0.75)]
    assert run.of(lucky).scores == (0.9, 0.6)


def test_more_seeds_come_first_whatever_the_score() -> None:
    run = Run()
    one, two, three = run.config(0.9), run.config(0.8, 0.8), run.config(0.7, 0.7, 0.7)
    assert run.order == [three, two, one]


def test_a_config_of_which_a_seed_diverged_comes_behind_all_others_of_the_full_budget() -> None:
    run = Run()
    diverging, well = run.config(0.9, 0.9), run.config(0.5)
    run.trial(0.5, 0.4, of=diverging, status=Status.DIVERGED)
    short = run.trial(0.9, status=Status.STOPPED)
    assert run.order == [well, diverging, short]
    config = run.of(diverging)
    assert (config.without_score, config.scores, config.tied) == (1, (0.9, 0.9), False)


def test_a_seed_that_failed_or_is_not_finished_counts_neither_way() -> None:
    run = Run()
    first, second = run.config(0.9), run.config(0.8)
    run.trial(0.5, of=second, status=Status.FAILED)
    run.trial(0.5, of=second, status=None)
    assert run.order == [first, second]
    assert (run.of(second).scores, run.of(second).without_score) == ((0.8,), 0)


def test_equal_means_go_to_the_lower_number_whatever_the_loss() -> None:
    run = Run()
    first, lower, last = run.config(0.5, 0.75), run.config(0.75, 0.5, loss=0.25), run.config(0.625, 0.625)
    assert run.order == [first, lower, last]


def test_a_further_seed_is_no_config_of_its_own_even_where_its_first_trial_is_not_ranked() -> None:
    run = Run()
    run.trial(0.5, 0.5, of=run.trial(0.9, status=Status.FAILED))
    run.trial(0.5, 0.5, of=99)  # whose start was lost
    assert run.order == []


def test_a_first_trial_that_is_trained_again_is_ranked_by_itself_until_it_has_ended() -> None:
    run = Run()
    again = run.trial(0.9, status=None)
    run.trial(0.5, 0.5, of=again)
    other = run.config(0.1)
    assert run.order == [other, again]
    assert run.of(again).scores == (0.9,)


def test_the_mean_of_the_last_epochs_is_the_score_of_each_seed() -> None:
    run = Run(score_window=2)
    first = run.trial(0.5, 1.0)
    run.trial(0.0, 0.5, of=first)
    assert run.of(first).scores == (0.75, 0.25)
    short = run.trial(0.5, status=Status.STOPPED)
    assert run.of(short).scores == (0.5,)


# Which is first, without a look at all


def test_a_trial_that_has_just_ended_comes_first_as_it_would_be_ranked() -> None:
    run = Run()
    one = run.config(0.7)
    best = run.of(one)
    for scores, status in (((0.1, 0.8), Status.COMPLETED), ((0.1, 0.6), Status.COMPLETED), ((0.9,), Status.STOPPED)):
        number = run.trial(*scores, status=status)
        assert comes_first(run.ledger.trials[f"t{number}"], best) == (run.order.index(number) < run.order.index(one))
    diverged = run.trial(0.1, 0.9, status=Status.DIVERGED)
    assert not comes_first(run.ledger.trials[f"t{diverged}"], best)
    run.trial(0.1, 0.5, of=one)
    better = run.config(0.99)
    assert not comes_first(run.ledger.trials[f"t{better}"], run.of(one)), "two seeds come before one"


# Intervals


def samples(of: Sequence[Sequence[float]], images: int = 200, *, own_images: bool = False) -> list[Sample]:
    return [Sample(scores, images, own_images) for scores in of]


@pytest.mark.parametrize("own_images", [False, True])
def test_the_interval_is_from_the_spread_of_all_configs_and_the_images(own_images: bool) -> None:
    run, found = Run(seed_splits=own_images), [(0.9, 0.88, 0.92), (0.85, 0.8), (0.7,)]
    for scores in found:
        run.config(*scores)
    expected = samples(found, own_images=own_images)
    spread = Spread.among(expected)
    for config, sample in zip(ranked(run.ledger), expected, strict=True):
        assert (config.low, config.high) == interval(sample, spread)
        assert config.low is not None and config.high is not None and config.low < config.score < config.high


def test_a_run_that_is_not_finished_has_none_and_is_tied_with_nothing() -> None:
    run = Run()
    run.config(0.9)
    short = run.of(run.trial(0.9, status=Status.STOPPED))
    assert (short.low, short.high, short.tied) == (None, None, False)


def test_the_seeds_of_a_run_that_is_not_finished_tell_nothing_of_the_spread() -> None:
    run = Run()
    first = run.config(0.9)
    alone = run.of(first)
    again = run.trial(0.3, status=None)
    run.trial(0.5, 0.5, of=again)
    assert run.of(first) == alone


def test_where_the_number_of_images_is_not_known_there_is_none() -> None:
    run = Run(images=None)
    number = run.config(0.9, 0.8)
    assert (run.of(number).low, run.of(number).high, run.of(number).tied) == (None, None, False)


# Ties


def test_what_cannot_be_told_from_the_first_is_tied() -> None:
    run = Run()
    first, near, far = run.config(0.9, 0.91, 0.9), run.config(0.9, 0.89, 0.9), run.config(0.5, 0.51, 0.5)
    assert [(config.trial.number, config.tied) for config in ranked(run.ledger)] == [
        (first, True),
        (near, True),
        (far, False),
    ]


def test_a_config_with_fewer_seeds_may_be_tied_with_the_first() -> None:
    run = Run()
    run.config(0.9, 0.91)
    lucky = run.config(0.92)
    assert run.of(lucky).tied


def test_the_first_is_tied_with_itself_even_where_a_seed_of_it_diverged() -> None:
    run = Run()
    only = run.config(0.9)
    run.trial(0.5, 0.4, of=only, status=Status.DIVERGED)
    assert run.of(only).tied


def test_more_images_tell_more_apart() -> None:
    tied = []
    for images in (100, 100_000):
        run = Run(images=images)
        run.config(0.9, 0.9, 0.901)
        tied.append(run.of(run.config(0.88, 0.881, 0.88)).tied)
    assert tied == [True, False]
