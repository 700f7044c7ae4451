"""What a method makes of a search space."""

from __future__ import annotations

import pytest

from tune_lpc.plan import Choice, Float, Space, TrialSpec, UserError, load_space, shipped_names
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.methods import METHODS


def trials_of(space: Space, count: int = 20) -> list[TrialSpec]:
    return [space.trial(space.draw(RandomChooser(seed))) for seed in range(count)]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("space", shipped_names())
def test_each_method_draws_valid_trials_from_each_shipped_space(space: str, name: str) -> None:
    found = load_space(space).for_method(name)
    for trial in trials_of(found):
        assert trial.method == name
        for setting, value in METHODS[name].settings.items():
            assert getattr(trial, setting) == value
        for parameter in METHODS[name].dimensions:
            assert getattr(trial, parameter) not in (None, "off")
    assert "weight_decay" in found.dimensions


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("lpc") and name != "lpc_topological"])
def test_latent_point_collapse_is_on_in_every_trial_of_its_methods(name: str) -> None:
    assert all(
        trial.gamma_ramp != "off" and not trial.topological
        for trial in trials_of(load_space("digits").for_method(name))
    )


def test_the_paper_widths() -> None:
    widths = {}
    for name in ("lpc", "lpc_wide", "lpc_narrow", "lpc_no_penultimate"):
        (trial,) = trials_of(load_space("cifar10").for_method(name), 1)
        widths[name] = (trial.head, trial.penultimate_width)
    assert widths == {
        "lpc": ("linear", 64),
        "lpc_wide": ("linear", 128),
        "lpc_narrow": ("linear", 32),
        "lpc_no_penultimate": ("none", None),
    }


def test_sliding_slides_both_and_topological_neither() -> None:
    for name, expected in (("sliding", ("rising", "sliding")), ("topological", ("constant", "constant"))):
        for trial in trials_of(load_space("mnist250").for_method(name)):
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


def test_searches_of_different_methods_have_different_hashes_and_begin_with_the_papers_values() -> None:
    space = load_space("cifar10")
    assert len({space.for_method(name).hash() for name in METHODS}) == len(METHODS)
    (first,) = space.for_method("arcface").first
    assert (first["margin"], first["scale"], first["learning_rate"]) == (0.5, 64.0, 4e-4)


def test_an_unknown_method_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'sliding'"):
        load_space("digits").for_method("slidin")


def test_a_method_switches_off_what_a_space_has_besides() -> None:
    settings = {"dropout": 0.5, "contrastive": "supervised", "classification": "arcface"}
    for name in ("vanilla", "lpc", "linear_penultimate", "topological", "sliding"):
        (trial,) = trials_of(Space("own", "", {"learning_rate": Float(1e-3, 1e-2)}, settings).for_method(name), 1)
        assert (trial.dropout, trial.contrastive, trial.classification) == (0.0, "off", "cross_entropy")
