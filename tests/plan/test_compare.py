"""What differs between two spaces."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tests.plan.test_space import PLAIN, RAMPED, SPACE, WITH_FIRST
from tune_lpc.plan import Choice, Float, Int, Space, differences, load_space, shipped_names
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT


def compared(before: Space, now: Space) -> list[str]:
    """The differences, the first space having been through JSON as in a journal."""
    return differences(json.loads(json.dumps(before.as_dict())), now.as_dict())


def dimension(name: str, value: Any) -> Space:
    return dataclasses.replace(SPACE, dimensions={**SPACE.dimensions, name: value})


@pytest.mark.parametrize("name", shipped_names())
def test_a_space_does_not_differ_from_itself(name: str) -> None:
    assert compared(load_space(name), load_space(name)) == []


def test_spelling_and_order_are_no_difference() -> None:
    turned = dataclasses.replace(
        SPACE,
        dimensions=dict(reversed(list(SPACE.dimensions.items()))),
        settings={"epochs": 20, "optimizer": "sgd", "weight_decay": 5e-4},
        about="other words",
    )
    assert compared(SPACE, turned) == []
    assert differences({"settings": {"x": 1, "y": (1, [2])}}, {"settings": {"x": 1.0, "y": [1, (2.0,)]}}) == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "learning_rate",
            Float(1e-4, 0.1, log=True),
            "learning_rate: 0.0001 to 0.01, logarithmic before, 0.0001 to 0.1, logarithmic now",
        ),
        (
            "learning_rate",
            Float(1e-4, 1e-2, log=True, prior=1e-3),
            "learning_rate: 0.0001 to 0.01, logarithmic before, 0.0001 to 0.01, logarithmic; prior 0.001 now",
        ),
        ("learning_rate", Float(1e-4, 1e-2), "learning_rate: 0.0001 to 0.01, logarithmic before, 0.0001 to 0.01 now"),
        ("batch_size", Int(32, 128), "batch_size: whole numbers 32 to 64 before, whole numbers 32 to 128 now"),
        (
            "gamma_ramp",
            Choice(["off", "cosine"]),
            "gamma_ramp: one of off, linear, cosine before, one of off, cosine now",
        ),
        (
            "gamma_end",
            Float(1e0, 1e3, log=True, when={"gamma_ramp": ("cosine",)}),
            "gamma_end: 1 to 1000, logarithmic; when gamma_ramp is two_regime or exponential or linear or cosine "
            "before, 1 to 1000, logarithmic; when gamma_ramp is cosine now",
        ),
    ],
)
def test_a_changed_dimension_is_told(name: str, value: Any, told: str) -> None:
    assert compared(SPACE, dimension(name, value)) == [told]


def test_a_changed_setting_is_told() -> None:
    assert compared(SPACE, SPACE.with_values({"epochs": 30, "momentum": 0.5})) == [
        "momentum: 0.9 before, 0.5 now",
        "epochs: 20 before, 30 now",
    ]


def test_a_dimension_that_became_fixed_is_told() -> None:
    fixed = SPACE.with_values({"batch_size": 32})
    assert compared(SPACE, fixed) == ["batch_size: whole numbers 32 to 64 before, 32 now"]
    assert compared(fixed, SPACE) == ["batch_size: 32 before, whole numbers 32 to 64 now"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "other"}, "name: small before, other now"),
        ({"reduction_factor": 4}, "reduction_factor: 3 before, 4 now"),
        ({"fidelity_mode": "full"}, "fidelity_mode: truncated before, full now"),
        ({"first_rung": 2}, "first_rung: none before, 2 now"),
        ({"control_trials": 2}, "control_trials: 0 before, 2 now"),
    ],
)
def test_a_changed_setting_of_the_search_is_told(changes: dict[str, Any], told: str) -> None:
    assert compared(SPACE, dataclasses.replace(SPACE, **changes)) == [told]


def test_of_another_space_or_method_only_that_is_told() -> None:
    digits = load_space("digits")
    assert compared(digits, load_space("mnist250")) == ["name: digits before, mnist250 now"]
    lpc, vanilla = (digits.for_method(name) for name in ("lpc", "vanilla"))
    assert compared(digits, lpc) == ["method: lpc_topological before, lpc now"]
    assert compared(lpc, vanilla) == ["method: lpc before, vanilla now"]


def test_more_trials_are_no_difference_and_fewer_are_one() -> None:
    assert compared(SPACE, dataclasses.replace(SPACE, trials=9)) == []
    (told,) = compared(SPACE, dataclasses.replace(SPACE, trials=7))
    assert told == "trials: 8 before, 7 now: it may rise, but not fall"


def test_a_search_of_as_many_trials_as_fit_needs_a_time_again() -> None:
    as_many = dataclasses.replace(SPACE, trials=AS_MANY_AS_FIT)
    assert compared(SPACE, as_many) == compared(as_many, as_many) == []
    (told,) = compared(as_many, SPACE)
    assert told == "trials: as many as time allows before, 8 now: give --hours or --gpu-hours, as before or others"


def test_changed_configs_to_begin_with_are_told() -> None:
    (told,) = compared(WITH_FIRST, dataclasses.replace(WITH_FIRST, first=[PLAIN, {**RAMPED, "gamma_end": 20.0}]))
    assert told.startswith("config 2 of first: learning_rate=0.001, ")
    assert "gamma_end=10, " in told.split(" before, ")[0]
    assert "gamma_end=20, " in told.split(" before, ")[1]
    (told,) = compared(dataclasses.replace(WITH_FIRST, first=[PLAIN]), WITH_FIRST)
    assert told.startswith("config 2 of first: absent before, learning_rate=0.001, ")


def test_a_setting_that_only_one_of_them_knows_is_told() -> None:
    before, now = SPACE.as_dict(), SPACE.as_dict()
    del before["control_trials"]
    assert differences(before, now) == ["control_trials: absent before, 0 now"]
    assert differences(now, before) == ["control_trials: 0 before, absent now"]


def test_every_difference_is_told_at_once() -> None:
    other = dataclasses.replace(
        dimension("learning_rate", Float(1e-4, 1e-1)), settings={"optimizer": "adamw", "epochs": 9}, trials=2
    )
    assert [line.partition(":")[0] for line in compared(SPACE, other)] == [
        "trials",
        "learning_rate",
        "optimizer",
        "epochs",
    ]
