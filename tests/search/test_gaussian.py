"""Optuna's Gaussian process over spaces with conditions, and over trials that rungs have stopped."""

from __future__ import annotations

import inspect
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tests.search.test_sampler import Lives
from tune_lpc.plan import Choice, Float, Int, Space
from tune_lpc.results.events import Status
from tune_lpc.search.gaussian import GaussianSampler
from tune_lpc.search.sampler import seed_of

ROOT = Path(__file__).parents[2]
SPACE = Space(
    "conditions",
    "for tests",
    {"gamma_ramp": Choice(["off", "linear"]), "gamma_end": Float(1.0, 100.0, log=True), "batch_size": Int(8, 64)},
    {"epochs": 9},
    trials=100,
    random_starts=5,
)


def searched(score: Callable[[Any], float], trials: int, *, stops: bool = False) -> Lives:
    """A search; stops: all but the best third so far are stopped at a rung."""
    lives, scores = Lives(SPACE, GaussianSampler(SPACE)), []
    for number in range(trials):
        found = score(lives.draw(number))
        scores.append(found)
        if stops and sorted(scores)[-math.ceil(len(scores) / 3)] > found:
            lives.lives(number, (Status.STOPPED, {3: found}, None))
        else:
            lives.lives(number, (Status.COMPLETED, {3: found}, found))
    return lives


def ends_of(lives: Lives, places: range) -> list[float]:
    return [float(config["gamma_end"] or 0) for config in lives.configs[places.start :] if "gamma_end" in config]


def high_end(config: Any) -> float:
    """Best with a ramp to a high end."""
    return float(config.get("gamma_end", 1.0)) / 100


def test_a_parameter_that_only_some_configs_have_is_modelled_too() -> None:
    ends = ends_of(searched(high_end, 18), range(8, 18))
    assert len(ends) >= 5, "the ramp is on"
    assert statistics.median(ends) > 50


def test_trials_that_rungs_have_stopped_count() -> None:
    lives = searched(high_end, 18, stops=True)
    ends = ends_of(lives, range(8, 18))
    assert statistics.median(ends) > 50
    trained = [trial for trial in lives.ledger.in_order()[:7] if trial.status is Status.COMPLETED]
    assert len(trained) < 5, "those alone would not have been enough to begin with"


def test_it_draws_at_random_until_it_has_its_random_starts() -> None:
    def drawn(score: Callable[[Any], float]) -> list[Any]:
        return list(searched(score, 7).configs)

    rising, falling = drawn(high_end), drawn(lambda config: -high_end(config))
    assert rising[:5] == falling[:5]
    assert rising[5:] != falling[5:]


def test_where_configs_run_it_looks_elsewhere() -> None:
    lives = searched(high_end, 8)
    drawn = [lives.draw(8 + turn) for turn in range(3)]
    assert len({repr(sorted(config.items())) for config in drawn}) == 3


def test_how_bad_the_worst_are_changes_nothing() -> None:
    def next_of(worst: float) -> Any:
        return searched(lambda config: high_end(config) if "gamma_end" in config else worst, 8).draw(8)

    assert next_of(-0.001) == next_of(-1000.0)


def test_nothing_is_told_in_the_midst_of_a_search() -> None:
    program = "from tests.search.test_gaussian import high_end, searched; searched(high_end, 7)"
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("", "")


def test_of_earlier_searches_it_sees_as_many_as_their_weight_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.search.test_warm_start import HIGH, LINE

    seen: list[list[float]] = []
    step: Any = optuna.samplers.GPSampler.sample_relative

    def noting(sampler: Any, study: Any, trial: Any, space: Any) -> Any:
        known = study._get_trials(deepcopy=False, states=(TrialState.COMPLETE,), use_cache=False)
        seen.append(sorted(trial.params["learning_rate"] for trial in known if trial.number < 0))
        return step(sampler, study, trial, space)

    monkeypatch.setattr(optuna.samplers.GPSampler, "sample_relative", noting)
    lives = Lives(LINE, sampler := GaussianSampler(LINE, HIGH))
    for number in range(9):
        sampler._propose(100, seed_of(LINE, 100))
        lives.draw(number, {"learning_rate": 0.5})
        lives.lives(number, (Status.COMPLETED, {}, 0.5))
    assert [len(rates) for rates in seen] == [12, 11, 10, 9, 8, 7, 7, 6, 6]
    assert all(rates[-1] == 1.0 for rates in seen), "the best is always among them"
    assert seen[0][0] < 0.15, "and the others are spread over all"


# Optuna's own names that are used


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("infer_relative_search_space", ["self", "study", "trial"]),
        ("sample_relative", ["self", "study", "trial", "search_space"]),
    ],
)
def test_the_process_has_the_methods_that_are_overridden(name: str, parameters: list[str]) -> None:
    method = getattr(optuna.samplers.GPSampler, name)
    assert list(inspect.signature(method).parameters) == parameters
