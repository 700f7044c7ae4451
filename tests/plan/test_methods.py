"""What a method makes of a search space."""

from __future__ import annotations

import dataclasses
import functools

import pytest

from tune_lpc.plan import Choice, Float, Int, Space, TrialSpec, UserError, gamma, load_space, shipped_names
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.methods import METHODS
from tune_lpc.plan.trial import setting_default


@functools.cache
def of(space: str, method: str) -> Space:
    """A shipped space under a method."""
    return load_space(space).for_method(method)


def trials_of(space: Space, count: int = 20) -> list[TrialSpec]:
    return [space.trial(space.draw(RandomChooser(seed))) for seed in range(count)]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("space", shipped_names())
def test_each_method_draws_valid_trials_from_each_shipped_space(space: str, name: str) -> None:
    found = of(space, name)
    for trial in trials_of(found):
        assert trial.method == name
        for setting, value in METHODS[name].settings.items():
            assert getattr(trial, setting) == value
        for parameter in METHODS[name].dimensions:
            assert getattr(trial, parameter) not in (None, "off")


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("lpc") and name != "lpc_topological"])
def test_latent_point_collapse_is_on_in_every_trial_of_its_methods(name: str) -> None:
    assert all(trial.gamma_ramp != "off" and not trial.topological for trial in trials_of(of("digits", name)))


def test_the_paper_widths() -> None:
    widths = {}
    for name in ("lpc", "lpc_wide", "lpc_narrow", "lpc_no_penultimate"):
        (trial,) = trials_of(of("cifar10", name), 1)
        widths[name] = (trial.head, trial.penultimate_width)
    assert widths == {
        "lpc": ("linear", 64),
        "lpc_wide": ("linear", 128),
        "lpc_narrow": ("linear", 32),
        "lpc_no_penultimate": ("none", None),
    }


def test_sliding_slides_both_and_topological_neither() -> None:
    for name, expected in (("sliding", ("rising", "sliding")), ("topological", ("constant", "constant"))):
        for trial in trials_of(of("mnist250", name)):
            assert (trial.topological_weight_schedule, trial.beta_schedule) == expected
            assert trial.gamma_ramp == "off"


def test_the_default_method_is_the_space_itself_but_for_the_name() -> None:
    space = load_space("digits")
    found = space.for_method("lpc_topological")
    assert found.dimensions == space.dimensions
    assert found.first == space.first
    assert found.settings == {**space.settings, "method": "lpc_topological"}


def test_ranges_of_the_space_go_before_those_of_the_method() -> None:
    space = Space("own", "", {"gamma_end": Float(3.0, 4.0, when={"gamma_ramp": ["linear"]})}, {"gamma_ramp": "linear"})
    found = space.for_method("lpc")
    assert found.dimensions["gamma_end"] == space.dimensions["gamma_end"]
    assert found.settings["gamma_ramp"] == "linear"


def test_a_space_without_regularisers_gets_the_ranges_of_the_method() -> None:
    found = Space("own", "", {"learning_rate": Float(1e-3, 1e-2, log=True)}).for_method("sliding")
    assert {"learning_rate", "topological_weight", "beta", "distance"} == set(found.dimensions)


def test_the_option_off_is_taken_away_where_the_method_needs_it_on() -> None:
    ramp = load_space("digits").for_method("lpc").dimensions["gamma_ramp"]
    assert isinstance(ramp, Choice)
    assert set(ramp.options) == {"two_regime", "exponential", "linear", "cosine"}


def test_off_as_the_only_option_counts_as_off_and_the_methods_own_range_is_added_and_told() -> None:
    space = Space(
        "own",
        "",
        {"learning_rate": Float(1e-3, 1e-2, log=True), "gamma_ramp": Choice(["off"])},
        first=[{"learning_rate": 2e-3, "gamma_ramp": "off"}],
    ).checked()
    found = space.for_method("lpc")
    assert found.dimensions["gamma_ramp"] == gamma.RANGES["gamma_ramp"]
    assert found.first[0]["gamma_ramp"] == "two_regime"
    assert any("adds to the search" in note and "gamma_ramp one of" in note for note in found.notes)
    assert "gamma_ramp" not in space.for_method("vanilla").dimensions


def test_searches_of_different_methods_have_different_hashes_and_begin_with_the_papers_values() -> None:
    assert len({of("cifar10", name).hash() for name in METHODS}) == len(METHODS)
    first = of("cifar10", "arcface").first
    assert [(config["margin"], config["scale"], config["learning_rate"]) for config in first] == [
        (0.5, 64.0, 8e-4),
        (0.5, 64.0, 4e-4),
    ]


def test_an_unknown_method_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'sliding'"):
        load_space("digits").for_method("slidin")


def test_a_method_switches_off_what_a_space_has_besides() -> None:
    settings = {"dropout": 0.5, "contrastive": "supervised", "classification": "arcface"}
    for name in ("vanilla", "lpc", "linear_penultimate", "topological", "sliding"):
        (trial,) = trials_of(Space("own", "", {"learning_rate": Float(1e-3, 1e-2)}, settings).for_method(name), 1)
        assert (trial.dropout, trial.contrastive, trial.classification) == (0.0, "off", "cross_entropy")


# What a method makes of a space is told


@pytest.mark.parametrize("name", METHODS)
def test_a_method_adds_its_own_parameters_alone_and_says_which(name: str) -> None:
    space = Space("own", "", {"learning_rate": Float(1e-3, 1e-2)})
    found = space.for_method(name)
    added = set(found.dimensions) - set(space.dimensions)
    assert added == set(METHODS[name].dimensions)
    told = "\n".join(found.notes)
    for parameter in added:
        assert f"{parameter} {found.describe(parameter)}" in told
    assert bool(told) is bool(added)


def test_a_note_names_the_ranges_that_are_added() -> None:
    space = Space("own", "", {"learning_rate": Float(1e-3, 1e-2)}, {"scale": 32.0, "classification": "arcface"})
    assert space.for_method("arcface").notes == ("method arcface adds to the search: margin 0.1 to 0.8",)
    fixed = Space("own", "", {"learning_rate": Float(1e-3, 1e-2)}, {"head": "linear"})
    assert fixed.for_method("vanilla").notes == ("method vanilla sets head=none in place of 'linear'",)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("vanilla", "penultimate_width, gamma_ramp, gamma_end"),
        ("sliding", "penultimate_width, gamma_ramp, gamma_end"),
        ("lpc", "penultimate_width"),
        ("lpc_topological", None),
    ],
)
def test_what_a_method_takes_out_of_the_search_is_told(name: str, taken: str | None) -> None:
    ranges = {
        "learning_rate": Float(1e-3, 1e-2),
        "penultimate_width": Int(16, 128),
        "gamma_ramp": Choice(["off", "linear"]),
        "gamma_end": Float(1.0, 10.0),
    }
    told = [note for note in Space("own", "", ranges).for_method(name).notes if "takes out" in note]
    assert told == ([f"method {name} takes out of the search: {taken}"] if taken else [])


def test_ranges_of_a_method_that_do_not_fit_those_of_the_space_are_named() -> None:
    ranges = {"gamma_ramp": Choice(["off", "linear"]), "gamma_end": Float(1e-2, 1e-1)}
    with pytest.raises(UserError) as caught:
        Space("own", "", ranges).checked().for_method("lpc")
    assert caught.value.problems == [
        "space own: gamma_end is 0.01, but must be above gamma_start (0.01)",
        "method lpc adds to the search: gamma_start 1e-05 to 0.01, logarithmic; gamma_ramp_length 0.1 to 0.8; "
        "give the space ranges that fit",
    ]


def test_notes_are_no_part_of_what_is_searched() -> None:
    found = load_space("digits").for_method("arcface")
    silent = dataclasses.replace(found, notes=())
    assert found.notes
    assert found == silent
    assert found.hash() == silent.hash()


def test_the_output_layer_keeps_its_rate_under_latent_point_collapse_and_in_its_papers_spaces() -> None:
    for name in ("lpc", "lpc_wide", "lpc_narrow", "lpc_no_penultimate", "lpc_supcon"):
        for space in shipped_names():
            (trial,) = trials_of(of(space, name), 1)
            assert trial.output_learning_rate == "constant"
    for space in ("cifar10", "cifar100"):
        assert load_space(space).fixed("output_learning_rate") == "constant"


# Configs to begin with


@pytest.mark.parametrize("space", shipped_names())
def test_every_method_begins_with_as_many_configs_in_each_shipped_space(space: str) -> None:
    begun = {name: of(space, name) for name in METHODS}
    assert {name: len(found.first) for name, found in begun.items()} == dict.fromkeys(METHODS, 2)
    assert not [note for found in begun.values() for note in found.notes if "left out" in note]


ONE = {"learning_rate": 5e-3}
OWN = Space("own", "", {"learning_rate": Float(1e-3, 1e-2)}, first=[ONE])


@pytest.mark.parametrize("name", METHODS)
def test_a_config_takes_what_a_method_adds_from_the_methods_start_or_the_defaults(name: str) -> None:
    method, found = METHODS[name], OWN.for_method(name)
    own = {parameter: method.start.get(parameter, setting_default(parameter)) for parameter in method.dimensions}
    assert found.first == [{**own, **ONE}]
    assert not [note for note in found.notes if "left out" in note]


def test_the_start_of_a_space_goes_before_that_of_the_method() -> None:
    space = dataclasses.replace(OWN, start={"gamma_end": 3e2, "margin": 0.2})
    (first,) = space.for_method("lpc").first
    assert (first["gamma_end"], first["gamma_ramp"], first["gamma_start"]) == (3e2, "two_regime", 1e-4)
    (first,) = space.for_method("cosface").first
    assert (first["margin"], first["scale"]) == (0.2, 64.0)
    assert space.for_method("vanilla").first == [ONE]


def test_a_prior_goes_before_the_start_of_the_method_and_behind_that_of_the_space() -> None:
    ranges = {"gamma_ramp": Choice(["off", "linear"], prior="off"), "gamma_end": Float(1.0, 100.0, prior=20.0)}
    space = dataclasses.replace(OWN, dimensions={**ranges, **OWN.dimensions}, first=[{**ONE, "gamma_ramp": "off"}])
    space = dataclasses.replace(space, start={"gamma_ramp": "linear"}).checked()
    found = space.for_method("lpc")
    assert found.dimensions["gamma_ramp"] == Choice(["linear"]), "the method has no 'off', so that is no prior"
    assert [config["gamma_end"] for config in found.first] == [20.0]
    other = dataclasses.replace(space, start={"gamma_ramp": "linear", "gamma_end": 30.0}).for_method("lpc")
    assert [config["gamma_end"] for config in other.first] == [30.0]


def test_a_config_that_cannot_hold_under_a_method_is_left_out_with_the_reason() -> None:
    ranges = {
        "gamma_ramp": Choice(["off", "linear"]),
        "gamma_end": Float(1.0, 10.0),
        "learning_rate": Float(1e-3, 1e-2),
    }
    space = Space("own", "", ranges, first=[{**ONE, "gamma_ramp": "off"}]).checked()
    found = space.for_method("lpc")
    assert found.first == []
    (note,) = [note for note in found.notes if "left out" in note]
    assert note.startswith("config 1 of first is left out: ")
    assert "gamma_ramp is 'two_regime', but must be one of linear" in note
    assert "gamma_end is 10000.0, but must be from 1 to 10" in note
    mended = dataclasses.replace(space, start={"gamma_ramp": "linear", "gamma_end": 5.0})
    assert len(mended.for_method("lpc").first) == 1


def test_a_wrong_start_is_named() -> None:
    (problem,) = dataclasses.replace(OWN, start={"margin": 9.0}).problems()
    assert problem == "start: margin is 9.0, but must be a number from 0 to 1.5"
    (problem,) = dataclasses.replace(OWN, start=[1]).problems()  # type: ignore[arg-type]
    assert problem == "start is [1], but must be a dict"
