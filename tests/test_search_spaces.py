"""The spaces that come with the package."""

from __future__ import annotations

import dataclasses

import pytest

from tune_lpc.plan import Float, TrialSpec, load_space, shipped_names
from tune_lpc.plan.choosers import RandomChooser

NAMES = ("cifar10", "cifar100", "cifar10_1000", "digits", "mnist250", "svhn250")


def test_all_spaces_are_there() -> None:
    assert set(shipped_names()) >= set(NAMES)


@pytest.mark.parametrize("name", shipped_names())
def test_it_loads_under_its_own_name_and_is_right(name: str) -> None:
    space = load_space(name)
    assert space.name == name
    assert space.problems() == []
    assert space.about


@pytest.mark.parametrize("name", shipped_names())
def test_it_searches_both_regularisers_and_the_optimiser(name: str) -> None:
    dimensions = load_space(name).dimensions
    for wanted in ("learning_rate", "weight_decay", "gamma_ramp", "gamma_start", "gamma_end", "gamma_ramp_length"):
        assert wanted in dimensions
    for wanted in ("topological_weight_schedule", "topological_weight", "beta", "beta_schedule"):
        assert wanted in dimensions


@pytest.mark.parametrize("name", shipped_names())
def test_every_random_draw_is_a_valid_trial_with_and_without_each_regulariser(name: str) -> None:
    space = load_space(name)
    seen = set()
    for seed in range(200):
        drawn = space.draw(RandomChooser(seed))
        spec = space.trial(drawn)
        assert isinstance(spec, TrialSpec)
        assert ("gamma_end" in drawn) is (spec.gamma_ramp != "off")
        assert ("beta" in drawn) is spec.topological
        assert all(getattr(spec, parameter) == value for parameter, value in drawn.items())
        seen.add((spec.gamma_ramp != "off", spec.topological))
    assert len(seen) == 4


@pytest.mark.parametrize("name", shipped_names())
def test_its_hash_does_not_depend_on_order_about_or_seed(name: str) -> None:
    space = load_space(name)
    turned = dataclasses.replace(space, settings=dict(reversed(list(space.settings.items()))), about="other words")
    assert turned.hash() == space.hash() == load_space(name).hash()
    assert space.with_values({"seed": 7}).hash() == space.hash()


@pytest.mark.parametrize("name", shipped_names())
def test_its_hash_changes_with_a_range_or_a_setting(name: str) -> None:
    space = load_space(name)
    rate = space.dimensions["learning_rate"]
    assert isinstance(rate, Float)
    wider = {**space.dimensions, "learning_rate": dataclasses.replace(rate, high=2 * rate.high)}
    assert dataclasses.replace(space, dimensions=wider).hash() != space.hash()
    assert space.with_values({"epochs": space.epochs + 1}).hash() != space.hash()


@pytest.mark.parametrize("name", shipped_names())
def test_it_begins_with_a_baseline_without_regulariser_and_the_configs_of_its_paper(name: str) -> None:
    space = load_space(name)
    baseline, *of_the_paper = [space.trial(config) for config in space.first]
    assert (baseline.gamma_ramp, baseline.topological) == ("off", False)
    assert of_the_paper
    assert all(spec.gamma_ramp != "off" or spec.topological for spec in of_the_paper)


def test_all_hashes_differ() -> None:
    assert len({load_space(name).hash() for name in shipped_names()}) == len(shipped_names())


@pytest.mark.parametrize(
    ("name", "dataset", "network", "train_size"),
    [
        ("digits", "digits", "mlp", None),
        ("mnist250", "mnist", "small_cnn", 250),
        ("svhn250", "svhn", "cnn13", 250),
        ("cifar10_1000", "cifar10", "cnn13", 1000),
        ("cifar10", "cifar10", "resnet18", None),
        ("cifar100", "cifar100", "resnet18", None),
    ],
)
def test_it_trains_the_network_of_its_paper_on_its_data(
    name: str, dataset: str, network: str, train_size: int | None
) -> None:
    space = load_space(name)
    assert (space.dataset, space.fixed("network"), space.fixed("train_size")) == (dataset, network, train_size)


@pytest.mark.parametrize("name", shipped_names())
def test_it_looks_at_trials_before_their_end(name: str) -> None:
    space = load_space(name)
    assert space.fidelity.rungs()
    assert space.fidelity.expected_epochs(space.trials) < 0.7 * space.trials * space.epochs
