from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from tune_lpc.plan import Choice, Float, Int, Space, TrialSpec, UserError
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.dimensions import Dimension
from tune_lpc.plan.trial import Value

LPC_ON = {"gamma_ramp": ("linear", "cosine")}
SPACE = Space(
    name="small",
    about="a space for tests",
    trials=8,
    settings={"optimizer": "sgd", "epochs": 20},
    dimensions={
        "learning_rate": Float(1e-4, 1e-2, log=True),
        "penultimate_width": Int(16, 64, log=True),
        "batch_size": Int(32, 64),
        "gamma_ramp": Choice(["off", "linear", "cosine"]),
        "gamma_end": Float(1e0, 1e3, log=True, when=LPC_ON),
        "gamma_ramp_length": Float(0.2, 0.8, when=LPC_ON),
    },
)


def _space(dimensions: Mapping[str, Any], **settings: Value) -> Space:
    return Space("x", "", dimensions=dimensions, settings=settings)


def _problem(space: Space) -> str:
    (problem,) = space.problems()
    return problem


def _refused(changes: Mapping[str, Value], space: Space = SPACE) -> list[str]:
    with pytest.raises(UserError) as caught:
        space.with_values(changes)
    return caught.value.problems


# Drawing


def test_draws_stay_in_their_ranges_and_reach_across_them() -> None:
    draws = [SPACE.draw(RandomChooser(seed)) for seed in range(300)]
    for name, low, high in (("learning_rate", 1e-4, 1e-2), ("penultimate_width", 16, 64), ("batch_size", 32, 64)):
        values = [float(draw[name]) for draw in draws]  # type: ignore[arg-type]
        assert low <= min(values) < 1.2 * low
        assert high / 1.2 < max(values) <= high
    assert {draw["gamma_ramp"] for draw in draws} == {"off", "linear", "cosine"}
    assert {type(draw["penultimate_width"]) for draw in draws} == {int}


def test_a_logarithmic_range_is_drawn_evenly_in_the_logarithm() -> None:
    rates = [float(SPACE.draw(RandomChooser(seed))["learning_rate"]) for seed in range(400)]  # type: ignore[arg-type]
    assert 0.4 < sum(rate < 1e-3 for rate in rates) / 400 < 0.6


def test_a_conditional_dimension_is_drawn_only_where_it_has_an_effect() -> None:
    for seed in range(60):
        draw = SPACE.draw(RandomChooser(seed))
        assert ("gamma_end" in draw) is (draw["gamma_ramp"] != "off")


def test_a_condition_may_refer_to_a_setting() -> None:
    space = _space({"momentum": Float(0.1, 0.9, when={"optimizer": ("sgd",)})}, optimizer="sgd").checked()
    assert "momentum" in space.draw(RandomChooser(0))


def test_the_same_seed_draws_the_same_values() -> None:
    assert SPACE.draw(RandomChooser(3)) == SPACE.draw(RandomChooser(3))
    assert SPACE.draw(RandomChooser(3)) != SPACE.draw(RandomChooser(4))


def test_a_trial_has_the_settings_and_what_was_drawn() -> None:
    drawn = SPACE.draw(RandomChooser(1))
    spec = SPACE.trial(drawn)
    assert isinstance(spec, TrialSpec)
    assert (spec.optimizer, spec.epochs) == ("sgd", 20)
    assert {name: getattr(spec, name) for name in drawn} == drawn


# Checking

CONDITION = {"topological_weight_schedule": ("constant",)}


def test_a_right_space_has_no_problems() -> None:
    assert SPACE.problems() == []
    assert SPACE.checked() is SPACE


@pytest.mark.parametrize(
    ("name", "dimension", "told"),
    [
        ("learning_rat", Float(1, 2), "'learning_rat' is not a setting; did you mean 'learning_rate'?"),
        ("epochs", Int(1, 5), "epochs can't be searched: trials that differ in it can't be compared"),
        ("seed", Int(1, 5), "seed can't be searched"),
        ("activation", Choice([]), "activation has no options"),
        ("activation", Choice("silu"), "activation has 'silu' for its options"),
        ("activation", Choice(3), "activation has 3 for its options"),  # type: ignore[arg-type]
        ("activation", Choice(["silu", "tanh"]), "activation is 'tanh', but must be one of silu, relu, leaky_relu"),
        ("activation", Float(0, 1), "activation takes names and can't be searched as Float; use Choice"),
        ("batch_size", Float(32, 64), "batch_size takes whole numbers and can't be searched as Float; use Int"),
        ("weight_decay", Int(0, 1), "weight_decay takes numbers and can't be searched as Int; use Float or Choice"),
        ("batch_size", Int(32.0, 64), "batch_size runs from 32.0 to 64, but Int takes whole numbers"),  # type: ignore[arg-type]
        ("weight_decay", Float("a", 1), "weight_decay runs from 'a' to 1"),  # type: ignore[arg-type]
        ("weight_decay", Float(1e-2, 1e-2), "weight_decay has an empty range: low is 0.01, but must be below high"),
        ("weight_decay", Float(0, 1e-2, log=True), "weight_decay is logarithmic, so low is 0, but must be above 0"),
        ("weight_decay", Float(-1, 1), "weight_decay is -1, but must be a number, 0 or more"),
        ("weight_decay", Float(0, float("inf")), "weight_decay is inf, but must be"),
        ("weight_decay", Float(0, 1, when={"optimiser": ("sgd",)}), "on 'optimiser', which does not exist; did you"),
        ("weight_decay", Float(0, 1, when={"head": ("none",)}), "never holds: head is never one of ('none',)"),
        ("weight_decay", Float(0, 1, when={"head": "linear"}), "on head with 'linear', but it takes a list"),
        ("weight_decay", Float(0, 1, when=[]), "weight_decay has when=[], but when takes names"),  # type: ignore[arg-type]
        ("weight_decay", Float(0, 1, log="no"), "weight_decay has log='no', but log must be"),  # type: ignore[arg-type]
        ("weight_decay", Float(0, 10**400), "weight_decay is about 10^400, but must be a number, 0 or more"),
        ("batch_size", Int(2, 10**400), "batch_size is about 10^400, but must be a whole number from 2 to 1000000000"),
        ("batch_size", Choice([32, 64, 32]), "batch_size has the option 32 more than once; keep one"),
        ("weight_decay", Choice([1, 1.0]), "weight_decay has the option 1.0 more than once; keep one"),
        ("optimizer", Choice(["sgd", "sgd", "sgd"]), "optimizer has the option 'sgd' more than once; keep one"),
        ("weight_decay", Float(0, 1, prior=2), "the prior of weight_decay is 2, but must be from 0 to 1"),
        ("weight_decay", Float(0, 1, prior="a"), "the prior of weight_decay is 'a', but must be"),  # type: ignore[arg-type]
        ("batch_size", Int(8, 64, prior=16.0), "the prior of batch_size is 16.0, but must be"),  # type: ignore[arg-type]
        ("batch_size", Int(8, 64, prior=True), "the prior of batch_size is True, but must be from 8 to 64"),
        (
            "optimizer",
            Choice(["sgd", "adamw"], prior="sdg"),
            "prior of optimizer is 'sdg', but must be one of sgd",
        ),
        ("optimizer", ["sgd"], "optimizer must be a Float, Int or Choice, but is ['sgd']"),  # type: ignore[arg-type]
        (3, Float(0, 1), "3 is not a setting"),  # type: ignore[arg-type]
        (None, Float(0, 1), "none is not a setting"),  # type: ignore[arg-type]
        ("weight_decay", Float(0, 1, when={3: ("x",)}), "condition on 3, which does not"),  # type: ignore[dict-item]
        ("weight_decay", Float(0, 1, when={None: ("x",)}), "on none, which does not"),  # type: ignore[dict-item]
        ("beta", Float(0.1, 1), "beta is searched, but has no effect when topological_weight_schedule is 'off'; take"),
    ],
)
def test_a_broken_rule_of_a_dimension_is_named(name: str, dimension: Dimension, told: str) -> None:
    assert told in _problem(_space({name: dimension}))


def test_a_condition_must_refer_to_what_stands_above() -> None:
    ramp, end = Choice(["off", "linear"]), Float(1, 2, when={"gamma_ramp": ("linear",)})
    assert _space({"gamma_ramp": ramp, "gamma_end": end}).problems() == []
    told = "gamma_end has a condition on gamma_ramp, which must stand above it in the table"
    assert _problem(_space({"gamma_end": end, "gamma_ramp": ramp})) == told


def test_a_name_is_a_setting_or_a_dimension_but_not_both() -> None:
    told = "weight_decay is both a setting and a dimension; keep one"
    assert _problem(_space({"weight_decay": Float(0, 1)}, weight_decay=0.1)) == told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trials": 0}, "trials is 0, but must be a whole number from 1 to 1000000"),
        ({"trials": True}, "trials is True, but must be a whole number from 1 to 1000000"),
        ({"reduction_factor": 1}, "reduction_factor is 1, but must be a whole number from 2 to 1000000"),
        ({"trials": 10**400}, "trials is about 10^400, but must be a whole number from 1 to 1000000"),
        ({"reduction_factor": 2**63}, "reduction_factor is 9223372036854775808, but must be a whole number from 2 to"),
        ({"first_rung": 10**400}, "first_rung is about 10^400, but must be a whole number from 1 to 1000000"),
        ({"name": 3}, "name is 3, but must be a plain word of letters, digits, _ and -"),
        ({"name": None}, "name is none, but must be a plain word"),
        ({"name": ""}, "name is '', but must be a plain word"),
        ({"name": "../../etc"}, "name is '../../etc', but must be a plain word"),
        ({"name": "a/b"}, "name is 'a/b', but must be a plain word"),
        ({"name": "\n"}, "name is '\\n', but must be a plain word"),
        ({"name": "two\n"}, "name is 'two\\n', but must be a plain word"),
        ({"about": None}, "about is none, but must be a text"),
        ({"dimensions": None}, "dimensions is none, but must be a dict"),
        ({"dimensions": [Float(0, 1)]}, "dimensions is [Float("),
        ({"dimensions": "learning_rate"}, "dimensions is 'learning_rate', but must be a dict"),
        ({"dimensions": {"learning_rate"}}, "dimensions is {'learning_rate'}, but must be a dict"),
        ({"settings": None}, "settings is none, but must be a dict"),
        ({"settings": ["epochs"]}, "settings is ['epochs'], but must be a dict"),
        ({"settings": {3: 4}}, "3 is not a setting"),
        ({"settings": {None: 4}}, "none is not a setting"),
        ({"first": None}, "first is none, but must be a list of configs"),
        ({"reduction_factor": "3"}, "reduction_factor is '3', but must be a whole number"),
        ({"first_rung": 2.5}, "first_rung is 2.5, but must be a whole number"),
        ({"first_rung": 21}, "first_rung is 21, but must be from 1 to epochs (20)"),
    ],
)
def test_a_broken_rule_of_the_search_is_named(changes: dict[str, Any], told: str) -> None:
    assert _problem(dataclasses.replace(SPACE, **changes)).startswith(told)


@pytest.mark.parametrize("name", ["digits", "my-space_2", "größe"])
def test_a_plain_word_names_a_space(name: str) -> None:
    assert dataclasses.replace(SPACE, name=name).problems() == []


def test_a_wrong_name_is_quoted_where_it_introduces_a_problem() -> None:
    with pytest.raises(UserError) as caught:
        dataclasses.replace(SPACE, name="\n").checked()
    assert caught.value.problems[0].startswith("space '\\n': name is '\\n'")


def test_settings_that_contradict_each_other_in_some_trial_are_found() -> None:
    weight = Choice(["off", "constant"])
    assert "the topological loss needs" in _problem(
        _space({"topological_weight_schedule": weight}, batching="shuffled")
    )
    # Only few draws have the two the wrong way round.
    overlap = _space({"gamma_start": Float(1e-3, 1e1), "gamma_end": Float(1e0, 1e3)}, gamma_ramp="linear")
    assert _problem(overlap) == "gamma_end is 1, but must be above gamma_start (10)"


def test_every_problem_of_a_space_is_told_at_once() -> None:
    space = Space(
        "wrong",
        "",
        trials=0,
        reduction_factor=0,
        settings={"epochs": "ten", "optimizer": "lion"},
        dimensions={
            "weight_decay": Float(2, 1),
            "learning_rat": Float(1, 2),
            "beta": Float(0.1, 1, when={"gama": ("x",)}),
        },
    )
    told = space.problems()
    for name in ("epochs", "optimizer", "weight_decay", "'learning_rat'", "'gama'", "trials", "reduction_factor"):
        assert any(name in problem for problem in told), name
    with pytest.raises(UserError) as caught:
        space.checked()
    assert caught.value.problems == [f"space wrong: {problem}" for problem in told]


# Changing


def test_a_changed_setting_is_in_every_trial() -> None:
    changed = SPACE.with_values({"momentum": 0.5, "epochs": 7})
    assert changed.trial(changed.draw(RandomChooser(0))).momentum == 0.5
    assert changed.epochs == 7
    assert SPACE.epochs == 20


def test_a_dimension_that_is_named_becomes_fixed() -> None:
    changed = SPACE.with_values({"learning_rate": 5e-3})
    assert "learning_rate" not in changed.dimensions
    assert {changed.trial(changed.draw(RandomChooser(seed))).learning_rate for seed in range(5)} == {5e-3}


def test_dimensions_that_lose_their_effect_are_dropped() -> None:
    changed = SPACE.with_values({"gamma_ramp": "off"})
    assert list(changed.dimensions) == ["learning_rate", "penultimate_width", "batch_size"]


def test_dimensions_that_keep_their_effect_stay() -> None:
    assert "gamma_end" in SPACE.with_values({"gamma_ramp": "cosine"}).dimensions


def test_trials_and_rungs_can_be_changed() -> None:
    changed = SPACE.with_values({"trials": 3, "first_rung": 2, "reduction_factor": 4})
    assert (changed.trials, changed.first_rung, changed.reduction_factor) == (3, 2, 4)
    assert changed.fidelity.rungs() == [2, 8]
    assert changed.with_values({"first_rung": None}).first_rung is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("learning_rate", 1.0, "learning_rate is 1.0, but must be from 0.0001 to 0.01 in space small"),
        ("gamma_ramp", "exponential", "gamma_ramp is 'exponential', but must be one of off, linear, cosine"),
        ("penultimate_width", None, "penultimate_width is none, but must be from 16 to 64"),
        ("penultimate_width", 20.5, "penultimate_width is 20.5, but must be a whole number"),
        ("momentum", 2.0, "momentum is 2.0, but must be a number from 0 to 1"),
        ("batch_size", 10**400, "batch_size is about 10^400, but must be a whole number from 2 to 1000000000"),
        ("batch_size", 12345678, "batch_size is 12345678, but must be from 32 to 64 in space small"),
        ("trials", 10**6 + 1, "trials is 1000001, but must be a whole number from 1 to 1000000"),
        ("momentum", "high", "momentum is 'high', but must be a number from 0 to 1"),
        ("momentum", None, "space small: momentum is none, but must be a number from 0 to 1 when optimizer is 'sgd'"),
        ("momentun", 0.5, "'momentun' is not a setting of space small; did you mean 'momentum'?"),
        ("trial", 5, "'trial' is not a setting of space small; did you mean 'trials'?"),
        ("trials", 0, "trials is 0, but must be a whole number from 1 to 1000000"),
        ("trials", -1, "trials is -1, but must be a whole number from 1 to 1000000"),
        ("trials", None, "trials is none, but must be a whole number from 1 to 1000000"),
        ("first_rung", 30, "space small: first_rung is 30, but must be from 1 to epochs (20)"),
        ("batching", "grouped_", "batching is 'grouped_', but must be one of auto, shuffled, grouped; did you mean"),
    ],
)
def test_a_change_that_is_not_possible_is_refused(name: str, value: Value, told: str) -> None:
    (problem,) = _refused({name: value})
    assert problem.startswith(told)


def test_every_change_that_is_not_possible_is_told_at_once() -> None:
    assert len(_refused({"learning_rate": 1.0, "momentun": 0.5, "epochs": 0, "trials": 0})) == 4


def test_a_change_that_contradicts_the_space_is_refused() -> None:
    (problem,) = _refused({"nesterov": True, "momentum": 0.0})
    assert problem == "space small: nesterov is true, but needs momentum above 0"


def test_texts_become_changes() -> None:
    texts = ["learning_rate=1e-3", "epochs = 3", "head=none", "train_size=none", "trials=4", "first_rung=none", "new=x"]
    assert SPACE.parse_changes(texts) == {
        "learning_rate": 1e-3,
        "epochs": 3,
        "head": "none",
        "train_size": None,
        "trials": 4,
        "first_rung": None,
        "new": "x",
    }


def test_every_text_without_a_value_is_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        SPACE.parse_changes(["learning_rate", "=3", "epochs=3"])
    assert caught.value.problems == [
        "--set takes NAME=VALUE, but got 'learning_rate'",
        "--set takes NAME=VALUE, but got '=3'",
    ]


def test_a_text_of_the_wrong_type_is_refused_as_a_change() -> None:
    assert len(_refused(SPACE.parse_changes(["epochs=many", "trials=few", "momentum=nan"]))) == 3


# Configs to begin with

PLAIN: dict[str, Value] = {"learning_rate": 1e-3, "penultimate_width": 32, "batch_size": 64, "gamma_ramp": "off"}
RAMPED: dict[str, Value] = {**PLAIN, "gamma_ramp": "linear", "gamma_end": 10.0, "gamma_ramp_length": 0.5}
WITH_FIRST = dataclasses.replace(SPACE, first=[PLAIN, RAMPED])


def test_configs_to_begin_with_that_fit_are_no_problem() -> None:
    assert WITH_FIRST.problems() == []


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({**PLAIN, "learning_rate": 1.0}, "learning_rate is 1.0, but must be from 0.0001 to 0.01"),
        ({**PLAIN, "batch_size": 40.5}, "batch_size is 40.5, but must be from 32 to 64"),
        ({**PLAIN, "gamma_ramp": "cosin"}, "gamma_ramp is 'cosin', but must be one of off, linear, cosine"),
        ({**PLAIN, "gamma_end": 10.0}, "'gamma_end' has no place in it"),
        ({**PLAIN, "momentum": 0.5}, "'momentum' has no place in it"),
        ({n: v for n, v in PLAIN.items() if n != "batch_size"}, "batch_size is none, but must be from 32 to 64"),
        ({**PLAIN, "\n": 1}, "'\\n' has no place in it"),
        ({**PLAIN, "batch_size": 10**400}, "batch_size is about 10^400, but must be from 32 to 64"),
        ({**RAMPED, "gamma_ramp_length": True}, "gamma_ramp_length is True, but must be from 0.2 to 0.8"),
    ],
)
def test_a_config_to_begin_with_must_be_complete_and_inside_the_space(config: dict[str, Value], told: str) -> None:
    assert _problem(dataclasses.replace(SPACE, first=[PLAIN, config])) == f"config 2 of first: {told}"


def test_a_fixed_name_leaves_the_configs_to_begin_with() -> None:
    first = WITH_FIRST.with_values({"learning_rate": 5e-3}).first
    assert first == [{n: v for n, v in config.items() if n != "learning_rate"} for config in (PLAIN, RAMPED)]


def test_configs_to_begin_with_that_say_too_little_or_the_same_after_a_change_are_dropped() -> None:
    on = WITH_FIRST.with_values({"gamma_ramp": "cosine"}).first
    assert on == [{n: v for n, v in RAMPED.items() if n != "gamma_ramp"}]
    off = WITH_FIRST.with_values({"gamma_ramp": "off"}).first
    assert off == [{n: v for n, v in PLAIN.items() if n != "gamma_ramp"}]
