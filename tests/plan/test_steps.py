"""Ranges with steps: what is refused, what is drawn, and how they are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tune_lpc.plan import Choice, Float, Int, Space, UserError
from tune_lpc.plan.choosers import Corner, Given, RandomChooser
from tune_lpc.plan.compare import differences
from tune_lpc.plan.searches import spaces_of_methods

SPACE = Space(
    "steps",
    "for tests",
    {"dropout": Float(0.1, 0.45, step=0.1), "penultimate_width": Int(16, 64, step=16), "batch_size": Int(8, 10)},
    {"epochs": 9},
)
VALUES = {"dropout": [0.1, 0.2, 0.3, 0.4], "penultimate_width": [16, 32, 48, 64], "batch_size": [8, 9, 10]}
"""All that it has: no step leads to 0.45."""


def problems(**dimensions: Any) -> list[str]:
    return Space("steps", "", dimensions, {"epochs": 9}).problems()


@pytest.mark.parametrize(
    ("name", "dimension", "told"),
    [
        ("dropout", Float(0, 0.5, step=0), "dropout has step=0, but step must be a number above 0"),
        ("dropout", Float(0, 0.5, step=-0.1), "dropout has step=-0.1, but step must be a number above 0"),
        ("dropout", Float(0, 0.5, step="a"), "dropout has step='a', but step must be a number above 0"),  # type: ignore[arg-type]
        ("dropout", Float(0, 0.5, step=True), "dropout has step=True, but step must be a number above 0"),
        ("dropout", Float(0, 0.5, step=float("nan")), "dropout has step=nan, but step must be a number above 0"),
        ("dropout", Float(0, 0.5, step=float("inf")), "dropout has step=inf, but step must be a number above 0"),
        ("batch_size", Int(8, 64, step=0), "batch_size has step=0, but step must be a whole number above 0"),
        ("batch_size", Int(8, 64, step=0.5), "batch_size has step=0.5, but step must be a whole"),  # type: ignore[arg-type]
        ("batch_size", Int(8, 64, step=None), "batch_size has step=none, but step must be a whole"),  # type: ignore[arg-type]
        (
            "learning_rate",
            Float(1e-3, 1e-1, log=True, step=1e-3),
            "learning_rate has step=0.001 and log=True, but steps are even, not logarithmic; leave out one of both",
        ),
        ("batch_size", Int(8, 64, log=True, step=8), "batch_size has step=8 and log=True, but steps are even"),
        (
            "batch_size",
            Int(8, 64, step=100),
            "batch_size has step=100, but step must not be wider than its range, from 8 to 64",
        ),
        (
            "dropout",
            Float(0.0, 0.5, step=0.2, prior=0.3),
            "the prior of dropout is 0.3, but must be from 0 to 0.4 in steps of 0.2",
        ),
    ],
)
def test_a_wrong_step_names_the_rule(name: str, dimension: Any, told: str) -> None:
    (problem,) = problems(**{name: dimension})
    assert problem.startswith(told)


def test_all_wrong_steps_are_told_at_once() -> None:
    found = problems(dropout=Float(0, 0.5, step=0), batch_size=Int(8, 64, step=-1), weight_decay=Float(1, 0, step=0))
    assert [problem.split()[0] for problem in found] == ["dropout", "batch_size", "weight_decay"]


def test_one_step_of_whole_numbers_is_none_and_may_be_logarithmic() -> None:
    assert problems(batch_size=Int(8, 64, log=True, step=1)) == []


@pytest.mark.parametrize("chooser", [RandomChooser, Corner])
def test_what_is_drawn_lies_on_the_steps_and_reaches_both_ends(chooser: Any) -> None:
    draws = [SPACE.draw(chooser(seed)) for seed in range(200)]
    for name, values in VALUES.items():
        found = {draw[name] for draw in draws}
        assert found == (set(values) if chooser is RandomChooser else {values[0], values[-1]})


def test_each_step_is_as_likely() -> None:
    counts = [[SPACE.draw(RandomChooser(seed))["dropout"] for seed in range(2000)].count(v) for v in VALUES["dropout"]]
    assert min(counts) > 420


def test_the_steps_of_a_number_are_spelled_as_people_do() -> None:
    dimension = Float(0.0, 0.7, step=0.1)
    assert (dimension.last, dimension.count) == (0.7, 8)
    drawn = {Space("x", "", {"dropout": dimension}, {}).draw(RandomChooser(seed))["dropout"] for seed in range(200)}
    assert drawn == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}


@pytest.mark.parametrize("value", [0.25, 0.45, 0.05])
def test_a_value_between_the_steps_is_refused_in_first_and_by_set(value: float) -> None:
    rule = "must be from 0.1 to 0.4 in steps of 0.1"
    first = {"dropout": value, "penultimate_width": 16, "batch_size": 8}
    (problem,) = replace(SPACE, first=[first]).problems()
    assert problem == f"config 1 of first: dropout is {value}, but {rule}"
    with pytest.raises(UserError, match=rule):
        SPACE.with_values({"dropout": value})
    assert SPACE.with_values({"dropout": 0.3}).fixed("dropout") == 0.3


def test_a_value_that_misses_its_step_by_a_rounding_is_on_it() -> None:
    chooser = Given({"dropout": 0.1 + 0.2, "penultimate_width": 48, "batch_size": 9})
    assert SPACE.draw(chooser) == {"dropout": 0.3, "penultimate_width": 48, "batch_size": 9}
    assert chooser.problems == []


def test_steps_are_described_and_an_end_that_none_leads_to_is_told() -> None:
    assert SPACE.describe("dropout") == "0.1 to 0.4 in steps of 0.1"
    assert SPACE.describe("batch_size") == "8 to 10"
    told = "dropout is searched from 0.1 to 0.4 in steps of 0.1: no step leads to 0.45, so 0.4 is its last value"
    (space,) = spaces_of_methods(SPACE, ["lpc_topological"], {})
    assert told in space.notes
    (space,) = spaces_of_methods(SPACE, ["lpc_topological"], {"dropout": 0.2})
    assert not any("no step" in note for note in space.notes)


def test_what_a_trial_can_have_at_most_is_the_last_step() -> None:
    assert SPACE.highest("dropout") == 0.4
    assert SPACE.possible("dropout") == (0.1, 0.4)


def test_a_space_with_other_steps_is_another_and_the_difference_is_told() -> None:
    other = replace(SPACE, dimensions={**SPACE.dimensions, "dropout": Float(0.1, 0.4)})
    assert SPACE.hash() != other.hash()
    assert (
        SPACE.hash() == replace(SPACE, dimensions={**SPACE.dimensions, "dropout": Float(0.1, 0.4, step=0.1)}).hash()
    ), "the same values"
    assert differences(SPACE.as_dict(), other.as_dict()) == [
        "dropout: 0.1 to 0.4 in steps of 0.1 before, 0.1 to 0.4 now"
    ]


def test_of_a_space_without_steps_nothing_is_told_of_them() -> None:
    plain = Space("x", "", {"dropout": Float(0.1, 0.4), "batch_size": Int(8, 10, step=1)}, {})
    assert "step" not in plain.canonical_json()
    assert Choice(["a", "b"]).count == 2
