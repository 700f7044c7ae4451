"""Samplers that know configs of earlier searches."""

from __future__ import annotations

import inspect
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest

from tests.search.test_sampler import TRUNCATED, Lives, end_of, run
from tune_lpc.plan import Choice, Float, Space
from tune_lpc.results.events import Status, trial_id_of
from tune_lpc.search.earlier import Observation
from tune_lpc.search.sampler import EARLIER_WEIGHT, HALF_AFTER, EstimatorSampler, earlier_weight
from tune_lpc.search.samplers import SAMPLERS, sampler_of

LEARNING = [name for name in SAMPLERS if name != "random"]
LINE = Space("line", "for tests", {"learning_rate": Float(0.01, 1.0)}, {"epochs": 9}, trials=100)
HIGH = [Observation({"learning_rate": (place + 1) / 24}, (place + 0.5) / 24) for place in range(24)]
"""An earlier search in which the higher rate was always the better one."""


def rates(name: str, earlier: list[Observation], places: range, space: Space = LINE) -> list[float]:
    """What a search that knows nothing else would draw at some places."""
    return [float(SAMPLERS[name](space, 1, earlier).draw(place, None)["learning_rate"] or 0) for place in places]


@pytest.mark.parametrize("name", LEARNING)
def test_the_first_draws_lean_to_where_earlier_searches_were_good(name: str) -> None:
    places = range(100 if name == "prior" else 10)  # of which half is left to chance
    with_earlier = statistics.mean(rates(name, HIGH, places))
    assert with_earlier > statistics.mean(rates(name, [], places)) + 0.1
    assert with_earlier > 0.6


def test_chance_learns_nothing_of_them() -> None:
    assert rates("random", HIGH, range(12)) == rates("random", [], range(12))


def test_the_estimator_needs_no_random_starts_where_earlier_searches_have_enough() -> None:
    few = rates("tpe", HIGH[:9], range(3))
    assert few == rates("tpe", [], range(3)), "9 and none of its own are fewer than 10"
    assert rates("tpe", HIGH[:10], range(3)) != few


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_results_of_its_own_outvote_the_earlier_ones(name: str) -> None:
    space = replace(LINE, sampler=name, random_starts=5)
    lives = Lives(space, sampler_of(space, earlier=HIGH))
    for number in range(30):
        score = 1.0 - float(lives.draw(number)["learning_rate"] or 0)  # here the lower rate is the better one
        lives.lives(number, (Status.COMPLETED, {}, score))
    drawn = [float(config["learning_rate"] or 0) for config in lives.configs]
    assert statistics.mean(drawn[:5]) > 0.5
    assert statistics.mean(drawn[20:]) < 0.35


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize("cut", [0, 7])
def test_a_search_that_goes_on_draws_what_it_would_have_drawn(name: str, cut: int) -> None:
    earlier = [
        Observation({"learning_rate": 1e-3 * place, "gamma_ramp": "linear", "gamma_end": 2.0}, place / 20)
        for place in range(1, 20)
    ]
    whole = run(SAMPLERS[name](TRUNCATED, 1, earlier), range(12))
    sampler = SAMPLERS[name](TRUNCATED, 1, earlier[::-1])
    again = Lives(TRUNCATED, sampler)
    for number in range(cut):
        assert again.draw(number, whole.configs[number]) == whole.configs[number]
        sampler.learn(number, whole.ledger.trials[trial_id_of(number)])
    for number in range(cut, 12):
        again.lives(number, end_of(number, again.draw(number, TRUNCATED.first[number] if number == 0 else None)))
    assert again.configs == whole.configs


@pytest.mark.parametrize("name", LEARNING)
def test_a_parameter_that_the_earlier_searches_lack_is_drawn_from_all_of_its_range(name: str) -> None:
    space = replace(LINE, dimensions={**LINE.dimensions, "weight_decay": Float(0.0, 1.0)}, sampler=name)
    sampler = sampler_of(space, earlier=HIGH)
    drawn = [sampler.draw(place, None) for place in range(16)]
    decays = [float(config["weight_decay"] or 0) for config in drawn]
    assert min(decays) < 0.3 and max(decays) > 0.7
    assert statistics.mean(float(config["learning_rate"] or 0) for config in drawn) > 0.6


def test_a_parameter_that_had_no_effect_in_some_earlier_trials_is_learned_from_the_others() -> None:
    earlier = [Observation({"gamma_ramp": "off"}, 0.02 * place) for place in range(10)]
    earlier += [
        Observation({"gamma_ramp": "linear", "gamma_end": 1.0 + 9.0 * place / 24}, 0.5 + place / 50)
        for place in range(24)
    ]
    dimensions = {"gamma_ramp": Choice(["off", "linear"]), "gamma_end": Float(1.0, 10.0)}
    sampler = EstimatorSampler(replace(LINE, dimensions=dimensions), 1, earlier)
    ends = [config["gamma_end"] for place in range(24) if "gamma_end" in (config := sampler.draw(place, None))]
    assert len(ends) > 12, "the ramp was always the better one"
    assert statistics.mean(float(end or 0) for end in ends) > 6.5


# Weights


def test_an_earlier_config_weighs_less_than_one_of_its_own_and_less_and_less() -> None:
    lives = Lives(LINE, sampler := EstimatorSampler(LINE, 1, HIGH))
    weights = []
    for number in range(HALF_AFTER + 1):
        weights.append(earlier_weight(sampler.trials))
        lives.draw(number)
        lives.lives(number, (Status.COMPLETED, {}, 0.5))
    assert weights[0] == EARLIER_WEIGHT < 1
    assert weights == sorted(weights, reverse=True) and len(set(weights)) == len(weights)
    assert weights[HALF_AFTER] == EARLIER_WEIGHT / 2


def test_the_estimator_gives_each_config_its_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[list[float]] = []
    parzen: Any = optuna.samplers._tpe.sampler._ParzenEstimator

    class Noting(parzen):  # type: ignore[misc]
        def __init__(self, observations: Any, space: Any, parameters: Any, weights: Any = None) -> None:
            noted.append([] if weights is None else sorted(weights))
            super().__init__(observations, space, parameters, weights)

    monkeypatch.setattr(optuna.samplers._tpe.sampler, "_ParzenEstimator", Noting)
    lives = Lives(LINE, EstimatorSampler(LINE, 1, HIGH))
    for number in range(HALF_AFTER):
        lives.draw(number, {"learning_rate": 0.1 * (number + 1)})
        lives.lives(number, (Status.COMPLETED, {}, 0.1 * number))
    assert noted == []
    lives.draw(HALF_AFTER)
    below, above = noted
    assert sorted(below + above) == [EARLIER_WEIGHT / 2] * 24 + [1.0] * HALF_AFTER
    assert len(below) == 4, "a tenth of them all, rounded up, is good"


# Optuna's own names that are used: where one goes, earlier configs would weigh as much as others, or nothing


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_build_parzen_estimator", ["self", "study", "search_space", "trials", "handle_below"]),
        ("_get_internal_repr", ["self", "trials", "search_space", "study"]),
    ],
)
def test_the_estimator_has_the_methods_that_are_used(name: str, parameters: list[str]) -> None:
    method: Callable[..., Any] = getattr(optuna.samplers.TPESampler, name)
    assert list(inspect.signature(method).parameters) == parameters
