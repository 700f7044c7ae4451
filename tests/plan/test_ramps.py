"""When the ramps of a trial and of a whole space are up, and the first rung that is placed there."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.plan.test_space import RAMPED, SPACE, WITH_FIRST
from tune_lpc.plan import Choice, Float, Space, TrialSpec, UserError, load_space, shipped_names
from tune_lpc.plan.choosers import Corner, RandomChooser
from tune_lpc.plan.ramps import epoch_with_ramps_up, ramps_are_up
from tune_lpc.plan.strengths import Strengths


def spec(**settings: Any) -> TrialSpec:
    return TrialSpec.build({"epochs": 100, "gamma_start": 1.0, "gamma_end": 1e4, "gamma_ramp_length": 0.4, **settings})


def ramping(dimensions: dict[str, Any], *, share: float = 0.9, **settings: Any) -> Space:
    settings = {"epochs": 200, **settings}
    space = Space("x", "", dimensions, settings, fidelity_mode="truncated", first_rung_after=share)
    return space.checked()


# One trial


@pytest.mark.parametrize(
    ("settings", "share", "epoch"),
    [
        ({}, 1.0, 1),
        ({"gamma_ramp": "linear"}, 1.0, 41),
        ({"gamma_ramp": "linear"}, 0.5, 21),
        ({"gamma_ramp": "exponential"}, 0.1, 31),
        ({"gamma_ramp": "exponential", "gamma_ramp_begin": 0.3}, 0.1, 61),
        ({"gamma_ramp": "linear", "gamma_ramp_length": 1.0}, 1.0, None),
        ({"topological_weight_schedule": "constant"}, 1.0, 1),
        ({"topological_weight_schedule": "rising"}, 1.0, 100),
        ({"topological_weight_schedule": "rising"}, 0.5, 51),
        ({"topological_weight_schedule": "rising", "gamma_ramp": "linear"}, 0.1, 11),
    ],
)
def test_a_ramp_is_up_from_the_epoch_at_which_it_has_reached_its_share(
    settings: dict[str, Any], share: float, epoch: int | None
) -> None:
    assert epoch_with_ramps_up([spec(**settings)], share) == epoch


@pytest.mark.parametrize("kind", ["two_regime", "exponential", "linear", "cosine"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 1.0])
def test_it_is_the_first_such_epoch_of_any_kind_of_ramp(kind: str, share: float) -> None:
    trial = spec(gamma_ramp=kind, topological_weight_schedule="rising")
    end = Strengths.at(trial, 0.999).topological_weight
    one_by_one = [
        epoch
        for epoch in range(1, 101)
        for now in [Strengths.at(trial, (10 * epoch - 1) / 1000)]  # the last thousandth of the epoch
        if now.gamma >= share * 1e4 * (1 - 1e-12) and now.topological_weight >= share * end * (1 - 1e-12)
    ]
    assert epoch_with_ramps_up([trial], share) == one_by_one[0]


def test_of_several_trials_the_last_one_decides() -> None:
    trials = [spec(gamma_ramp="linear", gamma_ramp_length=length) for length in (0.2, 0.6, 0.4)]
    assert epoch_with_ramps_up(trials, 1.0) == 61
    assert epoch_with_ramps_up([*trials, spec(gamma_ramp="linear", gamma_ramp_length=1.0)], 1.0) is None


# All trials of a space


@pytest.mark.parametrize("name", shipped_names())
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_at_the_first_rung_the_ramps_of_every_trial_that_is_drawn_are_up(name: str, share: float) -> None:
    space = load_space(name).with_values({"fidelity_mode": "truncated", "first_rung": None, "first_rung_after": share})
    rung = space.fidelity.rungs()[0]
    trials = [
        space.trial(space.draw(chooser(seed))) for seed in range(1000, 1150) for chooser in (Corner, RandomChooser)
    ]
    assert all(ramps_are_up(trial, rung, share) for trial in trials)
    slowest = [space.trial(config) for config in space.first] + trials
    assert not all(ramps_are_up(trial, rung - 1, share) for trial in slowest)


def test_the_longest_ramp_decides_wherever_it_stands_among_the_options() -> None:
    lengths = [round(0.01 * step, 2) for step in range(10, 80)]
    rare = {
        "gamma_ramp": Choice(["off", "linear", "cosine", "exponential", "two_regime"]),
        "gamma_ramp_length": Choice(lengths, when={"gamma_ramp": ("linear", "cosine", "exponential", "two_regime")}),
    }
    # 0.79 of 200 epochs is the end of the longest ramp.
    assert ramping(rare, share=1.0).fidelity.rungs() == [159]


def test_a_ramp_that_another_dimension_turns_on_counts() -> None:
    length = Float(0.1, 0.6, when={"gamma_ramp": ("linear",), "optimizer": ("sgd",)})
    searched = {"optimizer": Choice(["adamw", "sgd"]), "gamma_ramp": Choice(["off", "linear"])}
    assert ramping({**searched, "gamma_ramp_length": length}, share=1.0).fidelity.rungs() == [121]


def test_later_rungs_follow_by_the_factor() -> None:
    space = ramping({"gamma_ramp_length": Float(0.1, 0.25)}, share=1.0, gamma_ramp="linear")
    assert space.fidelity.rungs() == [51, 153]
    assert dataclasses.replace(space, reduction_factor=5).fidelity.rungs() == [51]


def test_the_first_rung_is_no_earlier_than_without_the_option() -> None:
    usual = Space("x", "", {"weight_decay": Float(0, 1)}, {"epochs": 200}).fidelity.rungs()[0]
    assert ramping({"weight_decay": Float(0, 1)}).fidelity.rungs()[0] == usual == 8
    assert ramping({"weight_decay": Float(0, 1)}, epochs=5).fidelity.rungs() == [3]


def test_there_are_no_rungs_where_the_ramps_are_up_only_with_the_end() -> None:
    assert ramping({"beta": Float(0, 1)}, share=1.0, topological_weight_schedule="rising").fidelity.rungs() == []
    space = ramping({"gamma_ramp_length": Float(0.5, 1.0)}, share=1.0, gamma_ramp="linear")
    assert space.epoch_with_ramps_up(1.0) is None
    assert space.fidelity.rungs() == []


def test_a_changed_space_places_its_rung_anew() -> None:
    space = dataclasses.replace(WITH_FIRST, fidelity_mode="truncated", first_rung_after=1.0).checked()
    assert space.fidelity.rungs() == [17]
    assert space.with_values({"gamma_ramp_length": RAMPED["gamma_ramp_length"]}).fidelity.rungs() == [11]
    assert space.with_values({"epochs": 200}).fidelity.rungs() == [161]


def test_a_space_that_is_wrong_elsewhere_is_told_so_and_not_drawn_from() -> None:
    wrong = dataclasses.replace(
        SPACE, fidelity_mode="truncated", first_rung_after=0.5, settings={"epochs": 20, "gamma_start": 1e9}
    )
    with pytest.raises(UserError, match=r"gamma_end is .*, but must be above gamma_start"):
        wrong.checked()
