"""When the dimensions and settings of a space have an effect."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tune_lpc.plan import Choice, Float, Int, Space, TrialSpec, UserError, load_space, shipped_names
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.dimensions import Dimension
from tune_lpc.plan.settings import Value

KINDS = ("two_regime", "exponential", "linear", "cosine")
TOPOLOGICAL = ("topological_weight_schedule", ("constant", "rising"))
TOPOLOGY = Choice(["off", "constant"])
AUTO = "batching is 'auto' and topological_weight_schedule is"
WITHOUT: list[tuple[str, Value, dict[str, Value], str]] = [
    ("validation_share", 0.2, {"train_size": 100}, "train_size is 100"),
    ("validation_size", 500, {}, "train_size is none"),
    ("batch_size", 64, {"batching": "grouped"}, "batching is 'grouped'"),
    ("batch_size", 64, {"topological_weight_schedule": "rising"}, f"{AUTO} 'rising'"),
    ("groups", 4, {"batching": "shuffled"}, "batching is 'shuffled'"),
    ("group_size", 4, {}, f"{AUTO} 'off'"),
    ("epoch_unit", "anchors", {}, f"{AUTO} 'off'"),
    ("warmup_factor", 0.5, {}, "warmup_length is 0.0"),
    ("data_workers", 1, {}, "data_from is 'memory'"),
    ("momentum", 0.5, {}, "optimizer is 'adamw'"),
    ("penultimate_width", 32, {"head": "none"}, "head is 'none'"),
    ("gamma_end", 10.0, {}, "gamma_ramp is 'off'"),
    ("persistence_backend", "plain", {}, "topological_weight_schedule is 'off'"),
    ("margin", 0.2, {}, "classification is 'cross_entropy'"),
    ("contrastive_weight", 0.2, {}, "contrastive is 'off'"),
]
"""Settings, others beside which they have no effect, and the reason."""
SEARCHED: dict[str, Dimension] = {
    "batch_size": Int(32, 64),
    "groups": Int(2, 8),
    "group_size": Choice([4, 8]),
    "warmup_factor": Float(0.1, 0.5),
    "momentum": Float(0.1, 0.9),
    "penultimate_width": Int(8, 64),
    "gamma_end": Float(1, 10),
    "margin": Float(0.1, 0.4),
    "contrastive_weight": Float(0.1, 0.4),
}


def _space(dimensions: dict[str, Any] | None = None, **settings: Value) -> Space:
    return Space("x", "", {"learning_rate": Float(1e-3, 1e-2), **(dimensions or {})}, settings)


@pytest.mark.parametrize(("name", "value", "others", "why"), WITHOUT)
def test_a_setting_without_effect_is_none_in_the_trial_and_refused_in_a_space(
    name: str, value: Value, others: dict[str, Value], why: str
) -> None:
    assert getattr(TrialSpec.build({name: value, **others}), name) is None
    (problem,) = _space(None, **{name: value, **others}).problems()
    assert problem.endswith(f", but has no effect when {why}; take it out")
    assert problem.startswith(f"{name} is ")
    with pytest.raises(UserError, match=f"{name} is .*, but has no effect when"):
        _space(None, **others).checked().with_values({name: value})


@pytest.mark.parametrize(("name", "value", "others", "why"), WITHOUT)
def test_a_search_over_a_setting_without_effect_is_refused(
    name: str, value: Value, others: dict[str, Value], why: str
) -> None:
    if name in SEARCHED:
        told = f"{name} is searched, but has no effect when {why}; take it out"
        assert _space({name: SEARCHED[name]}, **others).problems() == [told]


@pytest.mark.parametrize(
    ("dimensions", "settings"),
    [
        ({"batch_size": Int(32, 64), "groups": Int(2, 4), "topological_weight_schedule": TOPOLOGY}, {}),
        ({"warmup_length": Float(0, 0.1), "warmup_factor": Float(0.1, 0.5)}, {}),
        ({"optimizer": Choice(["adamw", "sgd"]), "momentum": Float(0.1, 0.9)}, {}),
        ({"head": Choice(["none", "linear"]), "penultimate_width": Int(8, 16)}, {}),
        ({"topological_weight_schedule": TOPOLOGY}, {"batch_size": 32, "groups": 4, "group_size": 4}),
        ({"optimizer": Choice(["adamw", "sgd"])}, {"momentum": 0.3}),
    ],
)
def test_what_may_have_an_effect_is_right_and_drawn_where_it_has(
    dimensions: dict[str, Any], settings: dict[str, Value]
) -> None:
    space = _space(dimensions, **settings).checked()
    for seed in range(40):
        drawn = space.draw(RandomChooser(seed))
        trial = space.trial(drawn)
        for name in dimensions:
            assert (getattr(trial, name) is not None) is (name in drawn)
            assert getattr(trial, name) == drawn.get(name)
    for name, value in settings.items():
        found = {getattr(space.trial(space.draw(RandomChooser(seed))), name) for seed in range(40)}
        assert found == {None, value}


def test_a_dimension_is_drawn_after_what_it_needs_wherever_it_stands() -> None:
    ramp, end = Choice(["off", "linear"]), Float(1, 2)
    for table in ({"gamma_ramp": ramp, "gamma_end": end}, {"gamma_end": end, "gamma_ramp": ramp}):
        space = _space(table).checked()
        draws = [space.draw(RandomChooser(seed)) for seed in range(30)]
        assert all(("gamma_end" in draw) is (draw["gamma_ramp"] == "linear") for draw in draws)
        assert {draw["gamma_ramp"] for draw in draws} == {"off", "linear"}


def test_a_condition_of_ones_own_is_added_to_what_a_setting_needs() -> None:
    ramp = Choice(["off", "linear", "cosine"])
    space = _space({"gamma_ramp": ramp, "gamma_end": Float(1, 2, when={"gamma_ramp": ("off", "linear")})}).checked()
    for seed in range(30):
        draw = space.draw(RandomChooser(seed))
        assert ("gamma_end" in draw) is (draw["gamma_ramp"] == "linear")
    assert space.describe("gamma_end") == "1 to 2; unless gamma_ramp is off or cosine"
    other = _space({"gamma_ramp": ramp, "gamma_end": Float(1, 2, when={"network": ("mlp",)})}).checked()
    assert other.describe("gamma_end") == "1 to 2; unless gamma_ramp is off"
    never = _space({"gamma_ramp": ramp, "gamma_end": Float(1, 2, when={"gamma_ramp": ("off",)})})
    assert never.problems() == [
        "gamma_end is searched, but has no effect when gamma_ramp is 'off' or 'linear' or 'cosine'; take it out"
    ]


def test_a_condition_that_repeats_what_a_setting_needs_changes_nothing() -> None:
    on = {"gamma_ramp": ("linear",)}
    plain, repeated = (
        _space({"gamma_ramp": Choice(["off", "linear"]), "gamma_end": Float(1, 2, when=when)}) for when in ({}, on)
    )
    assert plain.as_dict() == repeated.as_dict()
    assert plain.hash() == repeated.hash()


def test_when_a_dimension_has_an_effect_in_words() -> None:
    space = _space({"batch_size": Int(32, 64), "groups": Int(2, 4), "topological_weight_schedule": TOPOLOGY})
    assert space.describe("batch_size") == "32 to 64; unless topological_weight_schedule is constant"
    assert space.describe("groups") == "2 to 4; unless topological_weight_schedule is off"
    either = _space(
        {"batching": Choice(["auto", "grouped"]), "groups": Int(2, 4), **{"topological_weight_schedule": TOPOLOGY}}
    )
    assert either.describe("groups") == (
        "2 to 4; where batching is grouped, or where batching is auto and where topological_weight_schedule is constant"
    )
    warm = _space({"warmup_length": Float(0, 0.1), "warmup_factor": Float(0.1, 0.5)})
    assert warm.describe("warmup_factor") == "0.1 to 0.5; where warmup_length is above 0"


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_spaces_say_no_condition_and_their_settings_know_all(name: str) -> None:
    space = load_space(name)
    assert all(not dimension.when for dimension in space.dimensions.values())
    assert space.describe("gamma_end").endswith("logarithmic; unless gamma_ramp is off")
    assert space.describe("beta").endswith("; unless topological_weight_schedule is off")
    conditions = space.as_dict()["dimensions"]
    assert isinstance(conditions, dict)
    assert conditions["gamma_end"]["when"] == {"gamma_ramp": ["two_regime", "exponential", "linear", "cosine"]}
    assert conditions["learning_rate"]["when"] == {}


@pytest.mark.parametrize("name", shipped_names())
def test_they_draw_what_they_would_with_every_condition_spelt_out(name: str) -> None:
    space = load_space(name)
    on = {
        "gamma": ("gamma_ramp", KINDS),
        "beta": TOPOLOGICAL,
        "topological_weight": TOPOLOGICAL,
        "distance": TOPOLOGICAL,
    }
    spelt_out = {}
    for parameter, dimension in space.dimensions.items():
        needs = on.get(parameter, on.get(parameter.partition("_")[0]))
        switch = parameter in ("gamma_ramp", "topological_weight_schedule") or needs is None
        spelt_out[parameter] = dimension if switch else dataclasses.replace(dimension, when=dict([needs]))
    same = dataclasses.replace(space, dimensions=spelt_out).checked()
    assert same.hash() == space.hash()
    for seed in range(50):
        assert list(same.draw(RandomChooser(seed)).items()) == list(space.draw(RandomChooser(seed)).items())


def test_a_setting_of_the_space_that_a_change_leaves_without_effect_goes_without_a_word() -> None:
    space = _space({"topological_weight_schedule": TOPOLOGY}, group_size=4, batch_size=32).checked()
    off = space.with_values({"topological_weight_schedule": "off"})
    assert "group_size" not in off.settings
    assert off.settings["batch_size"] == 32
    with pytest.raises(UserError, match=f"group_size is 8, but has no effect when {AUTO} 'off'"):
        space.with_values({"topological_weight_schedule": "off", "group_size": 8})


def test_none_is_right_for_what_has_no_effect() -> None:
    assert _space(None, batching="grouped", batch_size=None).problems() == []
    (problem,) = _space(None, batch_size=None).problems()
    assert problem == (
        "batch_size is none, but must be a whole number from 2 to 1000000000 "
        "when batching is 'auto' and topological_weight_schedule is 'off'"
    )


def test_a_change_that_leaves_a_config_to_begin_with_without_place_says_so() -> None:
    space = _space({"gamma_ramp": Choice(["off", "linear"]), "gamma_end": Float(1, 2)})
    first: list[dict[str, Value]] = [
        {"learning_rate": 2e-3, "gamma_ramp": "off"},
        {"learning_rate": 2e-3, "gamma_ramp": "linear", "gamma_end": 1.5},
    ]
    space = dataclasses.replace(space, first=first).checked()
    on = space.with_values({"gamma_ramp": "linear"})
    assert on.first == [{"learning_rate": 2e-3, "gamma_end": 1.5}]
    assert on.notes == ("config 1 of first is left out: gamma_end is 1000000.0, but must be from 1 to 2",)
    off = space.with_values({"gamma_ramp": "off"})
    assert off.first == [{"learning_rate": 2e-3}]
    assert off.notes == ()
