"""The sampler that mixes chance, belief and what was best so far."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.search.test_sampler import Lives
from tune_lpc.plan import Choice, Float, Int, Space
from tune_lpc.plan.trial import Value
from tune_lpc.results.events import Status
from tune_lpc.search.earlier import Observation
from tune_lpc.search.mixture import BELIEVED, MixtureSampler, density
from tune_lpc.search.sampler import seed_of

SPACE = Space(
    "line",
    "for tests",
    {
        "learning_rate": Float(0.01, 1.0),
        "gamma_ramp": Choice(["off", "linear"]),
        "gamma_end": Float(1.0, 100.0, log=True),
    },
    {"epochs": 9},
    first=[{"learning_rate": 0.9, "gamma_ramp": "off"}],
    trials=100,
)


def searched(score: Callable[[Mapping[str, Value]], float], trials: int, space: Space = SPACE) -> MixtureSampler:
    """A search in which every trial trains its full budget."""
    lives = Lives(space, sampler := MixtureSampler(space))
    for number in range(trials):
        drawn = lives.draw(number, space.first[number] if number < len(space.first) else None)
        lives.lives(number, (Status.COMPLETED, {}, score(drawn)))
    return sampler


def rate(config: Mapping[str, Value]) -> float:
    return float(config["learning_rate"] or 0)


def drawn(sampler: MixtureSampler, count: int = 300) -> list[Mapping[str, Value]]:
    """What it would draw, could it draw the next config so often."""
    return [sampler._propose(place, seed_of(SPACE, place)) for place in range(1000, 1000 + count)]


# Shares


def test_at_first_half_is_chance_and_half_belief() -> None:
    assert MixtureSampler(SPACE).shares() == {"random": 0.5, "believed": 0.5, "best": 0.0}
    # Of the first three configs one is the best third: until then nothing is known.
    assert searched(rate, 2).shares()["best"] == 0.0
    assert searched(rate, 3).shares()["best"] > 0.0


def test_belief_and_the_best_share_a_half_by_what_would_have_drawn_the_good_configs() -> None:
    right, wrong = searched(rate, 30), searched(lambda config: -rate(config), 30)
    for sampler in (right, wrong):
        shares = sampler.shares()
        assert sum(shares.values()) == pytest.approx(1.0) and shares["random"] == 0.5
    assert wrong.shares()["believed"] < 0.1 < 0.15 < right.shares()["believed"]


def test_the_shares_are_those_of_the_formula() -> None:
    lives = Lives(SPACE, sampler := MixtureSampler(SPACE))
    for number, value in enumerate([0.9, 0.2, 0.4, 0.6, 0.8, 0.3]):
        lives.draw(number, {"learning_rate": value, "gamma_ramp": "off"})
        lives.lives(number, (Status.COMPLETED, {}, {0.2: 0.9, 0.4: 0.8}.get(value, 0.1)))
    option = density(SPACE.dimensions["gamma_ramp"], "off", "off")

    def near(value: float, center: float) -> float:
        return density(SPACE.dimensions["learning_rate"], value, center) * option

    believed = 2 * near(0.2, 0.9) + 1 * near(0.4, 0.9)
    best = 2 * near(0.2, 0.2) + 1 * near(0.4, 0.2)
    assert sampler.shares()["best"] == pytest.approx(0.5 * best / (believed + best))


def test_of_the_stages_the_highest_with_enough_configs_counts() -> None:
    lives = Lives(SPACE, sampler := MixtureSampler(SPACE))
    for number, value in enumerate([0.1, 0.2, 0.3, 0.5, 0.6, 0.7]):
        lives.draw(number, {"learning_rate": value, "gamma_ramp": "off"})
        # Four were stopped at the rung, the higher rates as the better ones there; two trained on.
        trained = number < 2
        lives.lives(number, (Status.COMPLETED if trained else Status.STOPPED, {3: value}, value if trained else None))
    few = sampler.shares()["best"]
    lives.draw(6, {"learning_rate": 0.15, "gamma_ramp": "off"})
    lives.lives(6, (Status.COMPLETED, {3: 0.15}, 0.15))
    assert 0.0 < few < sampler.shares()["best"], "now the best of the full trainings is far from the belief"


def test_where_nothing_has_trained_its_full_budget_there_is_no_best() -> None:
    lives = Lives(SPACE, sampler := MixtureSampler(SPACE))
    for number in range(9):
        lives.draw(number)
        lives.lives(number, (Status.STOPPED, {3: 0.5}, None))
    assert sampler.shares()["best"] == 0.0


# What is drawn


def test_around_a_belief_values_are_near_and_options_mostly_the_same() -> None:
    found = drawn(MixtureSampler(SPACE))
    assert statistics.mean(map(rate, found)) > 0.58, "half of it around 0.9, half around 0.5"
    # Even draws have it off half of the time, those around the belief three quarters of it.
    assert 0.57 < sum(config["gamma_ramp"] == "off" for config in found) / len(found) < 0.7


def test_a_prior_is_a_belief_and_completes_the_configs_of_first() -> None:
    dimensions = {**SPACE.dimensions, "gamma_end": Float(1.0, 100.0, log=True, prior=90.0)}
    plain, with_prior = replace(SPACE, first=[]), replace(SPACE, first=[], dimensions=dimensions)
    both = replace(SPACE, dimensions=dimensions)

    def ends(space: Space) -> float:
        found = drawn(MixtureSampler(space.checked()), 600)
        return statistics.median(float(config["gamma_end"] or 0) for config in found if "gamma_end" in config)

    assert ends(plain) < 15 < 20 < ends(with_prior)
    assert ends(both) > 20


def test_without_any_belief_all_is_chance() -> None:
    found = drawn(MixtureSampler(replace(SPACE, first=[])), 600)
    assert statistics.mean(map(rate, found)) == pytest.approx(0.505, abs=0.03)
    assert sum(config["gamma_ramp"] == "off" for config in found) / len(found) == pytest.approx(0.5, abs=0.06)


def test_around_the_best_half_of_the_numbers_stay() -> None:
    sampler = searched(lambda config: -abs(rate(config) - 0.2), 60)
    best = min((rate(trial.params) for trial in sampler.trials), key=lambda value: abs(value - 0.2))
    share = sampler.shares()["best"]
    same = sum(rate(config) == best for config in drawn(sampler, 1000)) / 1000
    assert share > 0.4
    assert same == pytest.approx(share / 2, abs=0.05)


def test_the_best_configs_of_earlier_searches_are_beliefs() -> None:
    earlier = [Observation({"learning_rate": value}, value) for value in (0.1, 0.2, 0.9, 0.92, 0.94)]
    assert BELIEVED == 3
    found = drawn(MixtureSampler(replace(SPACE, first=[]), earlier))
    assert statistics.mean(map(rate, found)) > 0.57


@pytest.mark.parametrize(
    "dimension",
    [Float(0.01, 1.0), Float(1e-4, 1.0, log=True), Int(1, 64, log=True), Int(3, 9), Choice(["a", "b", "c"])],
)
def test_a_density_is_that_of_what_is_drawn(dimension: Any) -> None:
    """Against the even draw its mean is 1, and it is highest at the center."""
    if isinstance(dimension, Choice):
        every: list[Any] = list(dimension.options)
    else:
        steps = [(step + 0.5) / 2000 for step in range(2000)]
        low, high = dimension.low, dimension.high
        every = [low * (high / low) ** at if dimension.log else low + (high - low) * at for at in steps]
    center = every[len(every) // 3]
    found = [density(dimension, value, center) for value in every]
    assert statistics.mean(found) == pytest.approx(1.0, abs=1e-3)
    assert max(found) == density(dimension, center, center)
