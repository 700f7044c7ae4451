"""Intervals of scores, and which scores can be told apart: checked by simulation, with fixed seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from tune_lpc.results.intervals import UNSHARED, Sample, Spread, can_be_told_apart, interval

SEARCHES = 1500


@dataclass(frozen=True)
class Luck:
    """How the scores of a config come about.

    images: on which it is scored. noise: standard deviation of its accuracy from seed to seed. own_images: whether each
    seed is scored on images of its own.
    """

    images: int
    noise: float
    own_images: bool = False

    def scores(self, draw: np.random.Generator, accuracy: float, seeds: int) -> Sample:
        """Those of one config; accuracy: its mean over all seeds on all images."""
        found = []
        shared = draw.random(self.images)
        for _ in range(seeds):
            reached = float(np.clip(accuracy + self.noise * draw.standard_normal(), 0, 1))
            each = draw.random(self.images) if self.own_images else shared
            found.append(float((each < reached).mean()))
        return Sample(found, self.images, self.own_images)


def of_configs(
    luck: Luck, draw: np.random.Generator, accuracy: float, seeds: int, others: int
) -> tuple[Sample, Spread]:
    """A config, and what is known of the spread from it and others of its search with as many seeds."""
    sample = luck.scores(draw, accuracy, seeds)
    rest = [luck.scores(draw, accuracy - 0.01, seeds) for _ in range(others)]
    return sample, Spread.among([sample, *rest])


# The interval


@pytest.mark.parametrize("own_images", [False, True], ids=["same images", "own images"])
@pytest.mark.parametrize(
    ("images", "accuracy", "noise"),
    [(250, 0.94, 0.008), (144, 0.97, 0.006), (1000, 0.9, 0.01), (250, 0.6, 0.02), (10_000, 0.94, 0.004)],
)
@pytest.mark.parametrize("seeds", [2, 3])
def test_it_holds_the_accuracy_in_19_of_20_searches(
    images: int, accuracy: float, noise: float, seeds: int, own_images: bool
) -> None:
    draw, luck = np.random.default_rng(images + seeds), Luck(images, noise, own_images)
    held, width = 0, 0.0
    for _ in range(SEARCHES):
        low, high = interval(*of_configs(luck, draw, accuracy, seeds, others=3))
        held += low <= accuracy <= high
        width += (high - low) / SEARCHES
    assert held / SEARCHES >= 0.93
    of_images = accuracy * (1 - accuracy) / images / (seeds if own_images else 1)
    ideal = 2 * 1.96 * math.sqrt(of_images + noise**2 / seeds)
    assert 0.95 * ideal < width < 1.35 * ideal, "no wider than it must be"


def test_with_one_seed_each_it_is_the_interval_of_wilson() -> None:
    """Newcombe, Statistics in Medicine 17, 1998, table I: 81 of 263 gives .2553 to .3662, 15 of 148 .0624 to .1605."""
    spread = Spread.among([Sample([0.5], 263)])
    assert (spread.variance, spread.degrees) == (0.0, 0)
    for right, of, expected in ((81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605))):
        # Not to the last digit: the variance is that of a share which is kept off 0 and 1.
        assert interval(Sample([right / of], of), spread) == pytest.approx(expected, abs=3e-3)


@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_with_all_images_wrong_or_right_it_has_a_width(share: float, seeds: int) -> None:
    sample = Sample([share] * seeds, 200)
    low, high = interval(sample, Spread.among([sample]))
    assert 0.0 <= low < high <= 1.0
    assert (low, high)[int(share)] == share
    assert 0.005 < high - low < 0.05


def test_it_lies_within_0_and_1_and_around_the_score() -> None:
    draw = np.random.default_rng(0)
    for _ in range(300):
        scores = draw.random(draw.integers(1, 5)).round(2).tolist()
        sample = Sample(scores, int(draw.integers(1, 400)), bool(draw.integers(2)))
        low, high = interval(sample, Spread.among([sample, Sample([0.2, 0.3], 100)]))
        assert 0.0 <= low <= sample.mean <= high <= 1.0


def test_more_seeds_and_more_images_make_it_narrower() -> None:
    def width(scores: Sequence[float], images: int, own_images: bool = False) -> float:
        sample = Sample(scores, images, own_images)
        others = [Sample([0.93, 0.95], images, own_images) for _ in range(4)]
        low, high = interval(sample, Spread.among([sample, *others]))
        return high - low

    two, four = [0.93, 0.95], [0.93, 0.95] * 2
    assert width(four, 250) < width(two, 250)
    assert width(two, 1000) < width(two, 250)
    assert width(two, 250, own_images=True) < width(two, 250)


def test_seeds_that_differ_more_make_it_wider() -> None:
    widths = []
    for step in (0.0, 0.01, 0.03, 0.1):
        sample = Sample([0.9 - step, 0.9 + step], 250)
        low, high = interval(sample, Spread.among([sample]))
        widths.append(high - low)
    assert widths == sorted(widths) and widths[0] < widths[1]


def test_on_images_of_their_own_the_spread_of_the_seeds_is_not_counted_twice() -> None:
    """Scores that differ just as luck of the images makes them differ: the interval is that of all images together."""
    draw, luck = np.random.default_rng(5), Luck(250, 0.0, own_images=True)
    widths, of_all = [], interval(Sample([0.94], 750), Spread(0.0, 0))
    for _ in range(300):
        low, high = interval(*of_configs(luck, draw, 0.94, 3, others=6))
        widths.append(high - low)
    assert np.mean(widths) == pytest.approx(of_all[1] - of_all[0], rel=0.25)


# The spread of the seeds


def test_the_spread_is_that_of_all_configs_with_several_seeds() -> None:
    samples = [Sample([0.5], 100), Sample([0.7, 0.9], 100), Sample([0.1, 0.1, 0.4], 100)]
    spread = Spread.among(samples)
    assert spread.degrees == 3
    assert spread.variance == pytest.approx((0.02 + 0.06) / 3)


def test_that_of_a_config_lies_between_its_own_and_the_common_one() -> None:
    spread = Spread(variance=1e-4, degrees=20)
    variance, degrees = spread.of(Sample([0.9, 0.96], 100))
    assert 1e-4 < variance < 0.0018
    assert degrees == 5
    assert spread.of(Sample([0.9], 100)) == (pytest.approx(1e-4), 4)
    assert Spread(0.0, 0).of(Sample([0.9], 100)) == (0.0, math.inf)


# Telling apart


def pair(draw: np.random.Generator, luck: Luck, accuracies: tuple[float, float], seeds: int) -> tuple[Sample, Sample]:
    """Two configs on the same images, of which a part, 1 - UNSHARED, is as hard for the one as for the other."""
    scores: tuple[list[float], list[float]] = [], []
    images = draw.random((3, luck.images))
    for _ in range(seeds):
        if luck.own_images:
            images = draw.random((3, luck.images))
        is_same = np.arange(luck.images) >= UNSHARED * luck.images
        for found, accuracy, own in zip(scores, accuracies, images[1:], strict=True):
            reached = float(np.clip(accuracy + luck.noise * draw.standard_normal(), 0, 1))
            found.append(float((np.where(is_same, images[0], own) < reached).mean()))
    return Sample(scores[0], luck.images, luck.own_images), Sample(scores[1], luck.images, luck.own_images)


def told_apart(accuracies: tuple[float, float], seeds: int, luck: Luck, searches: int = SEARCHES) -> float:
    """In which share of searches two configs are told apart, of which there are four others with as many seeds."""
    draw, count = np.random.default_rng(seeds), 0
    for _ in range(searches):
        one, other = pair(draw, luck, accuracies, seeds)
        others = [luck.scores(draw, accuracies[0], seeds) for _ in range(4)] if seeds > 1 else []
        count += can_be_told_apart(one, other, Spread.among([one, other, *others]))
    return count / searches


@pytest.mark.parametrize("own_images", [False, True], ids=["same images", "own images"])
@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("images", [144, 250, 1000])
@pytest.mark.parametrize("accuracy", [0.95, 0.7])
def test_configs_as_good_are_told_apart_in_one_of_20_searches_at_most(
    images: int, accuracy: float, seeds: int, own_images: bool
) -> None:
    assert told_apart((accuracy, accuracy), seeds, Luck(images, 0.006, own_images)) <= 0.06


def test_without_luck_of_the_seeds_one_each_is_enough() -> None:
    assert told_apart((0.9, 0.9), 1, Luck(250, 0.0)) <= 0.06


@pytest.mark.parametrize("seeds", [2, 3])
def test_the_further_apart_the_more_often_they_are_told(seeds: int) -> None:
    shares = [told_apart((0.94, 0.94 - apart), seeds, Luck(500, 0.005), 300) for apart in (0.0, 0.02, 0.04, 0.08)]
    assert shares == sorted(shares)
    assert shares[0] <= 0.06 and shares[-1] >= 0.95


def test_more_seeds_tell_more() -> None:
    luck = Luck(2000, 0.01)
    assert told_apart((0.94, 0.92), 5, luck, 300) > told_apart((0.94, 0.92), 2, luck, 300) + 0.1


@pytest.mark.parametrize(("one", "other"), [(0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.945, 0.94)])
def test_nothing_is_told_from_what_is_equal_or_nearly_so(one: float, other: float) -> None:
    samples = Sample([one], 250), Sample([other], 250)
    assert not can_be_told_apart(*samples, Spread.among(samples))


def test_all_right_and_all_wrong_are_told_apart() -> None:
    samples = Sample([1.0, 1.0], 50), Sample([0.0, 0.0], 50)
    assert can_be_told_apart(*samples, Spread.among(samples))


def test_it_is_the_same_either_way_round() -> None:
    draw = np.random.default_rng(3)
    for _ in range(200):
        one, other = (Sample((0.8 + draw.random(draw.integers(1, 4)) / 5).tolist(), 250) for _ in range(2))
        spread = Spread.among([one, other])
        assert can_be_told_apart(one, other, spread) == can_be_told_apart(other, one, spread)
