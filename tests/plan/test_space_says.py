"""What a space says of itself: hash, sizes, words."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.plan.test_space import PLAIN, SPACE, _space
from tune_lpc.plan import Choice, Float, Int
from tune_lpc.plan.dimensions import describe_values


def test_the_hash_does_not_depend_on_spelling() -> None:
    one = _space({"learning_rate": Float(1, 2), "optimizer": Choice(("adamw", "sgd"))}, weight_decay=0, epochs=10)
    two = _space({"optimizer": Choice(["adamw", "sgd"]), "learning_rate": Float(1.0, 2.0)}, weight_decay=0.0)
    assert one.canonical_json() == two.canonical_json()
    assert one.hash() == two.hash()


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {**SPACE.settings, "momentum": 0.8}},
        {"settings": {**SPACE.settings, "epochs": 21}},
        {"trials": 9},
        {"reduction_factor": 4},
        {"first_rung": 3},
        {"first": [PLAIN]},
        {"dimensions": {**SPACE.dimensions, "learning_rate": Float(1e-4, 2e-2, log=True)}},
        {"dimensions": {**SPACE.dimensions, "learning_rate": Float(1e-4, 1e-2)}},
        {"dimensions": {**SPACE.dimensions, "gamma_ramp": Choice(["off", "linear"])}},
        {"dimensions": {**SPACE.dimensions, "learning_rate": Float(1e-4, 1e-2, log=True, prior=1e-3)}},
    ],
)
def test_the_hash_depends_on_everything_that_is_searched(changes: dict[str, Any]) -> None:
    assert dataclasses.replace(SPACE, **changes).hash() != SPACE.hash()


def test_a_prior_is_told_and_its_spelling_is_no_difference() -> None:
    one = _space({"learning_rate": Float(1e-4, 0.1, log=True, prior=1e-2), "optimizer": Choice(["sgd"], prior="sgd")})
    assert one.describe("learning_rate") == "0.0001 to 0.1, logarithmic; prior 0.01"
    assert one.priors == {"learning_rate": 0.01, "optimizer": "sgd"}
    assert SPACE.priors == {} and "prior" not in SPACE.canonical_json()
    whole = _space({"learning_rate": Float(0.1, 5, prior=1)})
    assert whole.hash() == _space({"learning_rate": Float(0.1, 5.0, prior=1.0)}).hash()


def test_a_fixed_setting_is_its_default_unless_given() -> None:
    assert (SPACE.fixed("optimizer"), SPACE.fixed("momentum")) == ("sgd", 0.9)
    assert (SPACE.dataset, SPACE.seed, SPACE.epochs) == ("digits", 0, 20)


def test_the_largest_group_is_that_of_any_trial_with_groups() -> None:
    weight = Choice(["off", "constant"])
    assert SPACE.largest_group is None
    assert _space({"topological_weight_schedule": weight}).largest_group == 16
    assert _space({"topological_weight_schedule": weight, "group_size": Int(4, 32)}).largest_group == 32
    assert _space({"group_size": Choice([4, 8])}, batching="grouped").largest_group == 8


def test_an_epoch_of_anchors_draws_a_group_for_each_image() -> None:
    assert SPACE.images_per_epoch(1000) == 900
    assert _space({}, train_size=250).images_per_epoch(1000) == 250
    assert _space({}, train_size=250, epoch_unit="anchors").images_per_epoch(1000) == 250
    assert _space({}, train_size=250, epoch_unit="anchors", batching="grouped").images_per_epoch(1000) == 4000


def test_a_dimension_in_words() -> None:
    assert _space({"batch_size": Int(2, 12345678)}).describe("batch_size") == "2 to 12345678"
    assert SPACE.describe("learning_rate") == "0.0001 to 0.01, logarithmic"
    assert SPACE.describe("gamma_ramp") == "one of off, linear, cosine"
    assert SPACE.describe("gamma_ramp_length") == "0.2 to 0.8; unless gamma_ramp is off"


def test_values_in_a_line() -> None:
    assert describe_values({"learning_rate": 0.00123456, "head": "none", "epochs": 36}) == (
        "learning_rate=0.00123, head=none, epochs=36"
    )
