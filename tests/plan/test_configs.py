"""How many configs a space has, and one after another: against all that chance ever draws."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from tune_lpc.plan import Choice, Float, Int, Space
from tune_lpc.plan.choosers import RandomChooser

RAMP = {"gamma_ramp": Choice(["off", "linear"]), "gamma_end": Choice([1.0, 2.0, 3.0])}


def space_of(trials: int = 32, **dimensions: Any) -> Space:
    return Space("x", "", dimensions, {"epochs": 9}, trials=trials).checked()


@pytest.mark.parametrize(
    ("dimensions", "count"),
    [
        ({}, 1),
        ({"optimizer": Choice(["adamw", "sgd"])}, 2),
        ({"batch_size": Int(8, 12)}, 5),
        ({"batch_size": Int(8, 13, step=2)}, 3),
        ({"dropout": Float(0.0, 0.5, step=0.1), "batch_size": Int(8, 9)}, 12),
        (RAMP, 4),
        ({**RAMP, "dropout": Float(0.0, 0.3, step=0.1)}, 16),
        ({"optimizer": Choice(["adamw", "sgd"]), "momentum": Choice([0.0, 0.9]), **RAMP}, 12),
        ({**RAMP, "batch_size": Int(8, 9, when={"gamma_end": (1.0, 2.0)})}, 6),
    ],
)
def test_a_space_that_can_be_counted_has_each_config_once(dimensions: dict[str, Any], count: int) -> None:
    space = space_of(**dimensions)
    assert space.config_count == count
    drawn = {space.trial(space.draw(RandomChooser(seed))) for seed in range(600)}
    for seed in range(3):
        listed = [space.trial(config) for config in space.configs(seed, 5)]
        assert len(listed) == len(set(listed)) == count
        assert set(listed) == drawn
    assert (space.most_configs, space.is_open) == (min(count, 32), False)


@pytest.mark.parametrize(
    "dimensions",
    [
        {"learning_rate": Float(1e-3, 1e-2)},
        {"gamma_ramp": Choice(["off", "linear"]), "gamma_end": Float(1.0, 2.0)},
    ],
)
def test_a_space_with_real_numbers_can_t_be_counted(dimensions: dict[str, Any]) -> None:
    space = space_of(**dimensions)
    assert (space.config_count, space.most_configs) == (None, 32)
    listed = [space.trial(config) for config in space.configs(0, 7)]
    assert len(listed) == len(set(listed)) == (7 if "learning_rate" in dimensions else 8)


def test_a_number_without_an_effect_makes_no_space_uncountable() -> None:
    optimizer = {"optimizer": Choice(["adamw"]), "momentum": Float(0.1, 0.9, when={"optimizer": ["sgd"]})}
    space = Space("x", "", optimizer, {"epochs": 9})
    assert space.config_count == 1


def test_huge_spaces_are_counted_at_once() -> None:
    space = space_of(batch_size=Int(2, 10**9), penultimate_width=Int(1, 2**16), dropout=Float(0, 0.5, step=1e-6))
    assert space.config_count == (10**9 - 1) * 2**16 * 500_001
    assert len(list(itertools.islice(space.configs(0, 1), 100))) == 100


def test_another_seed_begins_elsewhere() -> None:
    space = space_of(batch_size=Int(2, 1000))
    assert len({next(space.configs(seed, 1))["batch_size"] for seed in range(50)}) > 40


def test_control_trials_are_those_among_the_configs_that_there_are() -> None:
    space = Space("x", "", {"batch_size": Int(8, 11)}, {"epochs": 9}, trials=12, control_trials=4).checked()
    assert (space.most_configs, space.most_controls) == (4, 4)
    assert sum(space.is_control(number) for number in range(4)) == 4
    assert [replace(space, control_trials=2).is_control(number) for number in range(4)] == [False, True, False, True]
    assert space.has_controls_of(8) and replace(space, control_trials=2).has_controls_of(100)
    assert not replace(space, control_trials=2).has_controls_of(3)
