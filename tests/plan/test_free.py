"""A schedule of free shape in a space: chosen by --set, searched, and no difference to the spaces of before."""

from __future__ import annotations

from typing import Any

import pytest

from tune_lpc.plan import Choice, Float, Int, Space, TrialSpec, UserError, load_space
from tune_lpc.plan.choosers import Corner, RandomChooser
from tune_lpc.plan.ramps import ramps_are_up
from tune_lpc.plan.searches import spaces_of_methods

HASHES = {
    ("digits", "lpc_topological"): "f5e98e8a203ab2a3d6e10672e9b9f76c41c2e07fd2cb65042f8cadb852f00c87",
    ("digits", "lpc"): "aab536934acced01b8d30dc6ee3df0a6ae7e899d95cea1f8c1d9741e04298598",
    ("cifar10", "lpc"): "e2d7a59462f5d06aee304acc59f1b9c34ab21212cc0a0aadda8023b26e4de0f4",
}
"""Of searches without a spline, written before there were any."""


def chosen(method: str = "lpc_topological", **changes: Any) -> Space:
    (space,) = spaces_of_methods(load_space("digits"), [method], changes)
    return space


def problems(**changes: Any) -> list[str]:
    with pytest.raises(UserError) as caught:
        chosen(**changes)
    return caught.value.problems


@pytest.mark.parametrize("searched", HASHES)
def test_searches_without_a_spline_are_what_they_were(searched: tuple[str, str]) -> None:
    name, method = searched
    space = load_space(name)
    space = space if method == "lpc_topological" else space.for_method(method)
    assert space.hash() == HASHES[searched]
    assert not any("knot" in name or name == "beta_end_share" for name in space.as_dict()["settings"])  # type: ignore[attr-defined]


def test_a_condition_reads_as_before_where_no_spline_can_be_drawn() -> None:
    ramps, end = Choice(["off", "exponential"]), Float(0.1, 1e3, log=True)
    space = Space("mine", "", {"gamma_ramp": ramps, "gamma_end": end}, {"dataset": "digits"})
    assert space.hash() == "11ccbd00231159ff4081600da924844a4370942941c2bf9be9354e56dbc21381"


def test_a_spline_that_is_chosen_adds_its_knots_and_says_so() -> None:
    space = chosen(gamma_ramp="spline", beta_schedule="spline", gamma_knots=5, gamma_knot_2=0.25)
    added = ["gamma_knot_1", "gamma_knot_3", "beta_knot_1", "beta_knot_2", "beta_end_share"]
    assert list(space.dimensions)[-5:] == added
    assert space.fixed("gamma_knot_2") == 0.25
    assert space.notes[-1].startswith("a spline adds to the search: gamma_knot_1 -1 to 1; prior 0.0; gamma_knot_3")
    assert all(config["gamma_knot_1"] == 0.0 for config in space.first)
    assert "two_regime" not in str(space.first)


@pytest.mark.parametrize("method", ["lpc", "lpc_no_penultimate", "lpc_supcon"])
def test_it_may_be_chosen_under_every_method_with_a_ramp(method: str) -> None:
    space = chosen(method, gamma_ramp="spline")
    assert {"gamma_end", "gamma_knot_1", "gamma_knot_2"} <= set(space.dimensions)


def test_a_method_that_fixes_its_schedule_keeps_it() -> None:
    (problem,) = problems(method="sliding", beta_schedule="spline")
    assert problem == "beta_schedule is 'spline', but method sliding has it 'sliding'"


def test_what_is_wrong_is_told() -> None:
    assert problems(gamma_ramp="spline", gamma_knots=9, gamma_knot_1=2.0) == [
        "gamma_knots is 9, but must be a whole number from 3 to 5",
        "gamma_knot_1 is 2.0, but must be a number from -1 to 1",
    ]
    assert problems(gamma_ramp="spline", gamma_knot_3=0.5) == [
        "space digits: gamma_knot_3 is 0.5, but has no effect when gamma_knots is 4; take it out"
    ]
    (problem,) = problems(gamma_knot_1=0.5)
    assert problem.startswith("space digits: gamma_knot_1 is 0.5, but has no effect when gamma_ramp is 'off' or ")


def test_knots_are_drawn_where_they_have_an_effect() -> None:
    knots = {f"gamma_knot_{position}": Float(-1.0, 1.0) for position in (1, 2, 3)}
    ramps = {"gamma_ramp": Choice(["off", "linear", "spline"]), "gamma_knots": Int(3, 5)}
    space = Space("mine", "", {**knots, **ramps}, {"gamma_end": 10.0}).checked()
    counts = set()
    for seed in range(200):
        drawn = space.draw(RandomChooser(seed))
        there = sum(name in drawn for name in knots)
        assert there == (drawn["gamma_knots"] - 2 if drawn["gamma_ramp"] == "spline" else 0)  # type: ignore[operator]
        counts.add(there)
        space.trial(drawn)
    assert counts == {0, 1, 2, 3}
    assert "gamma_knots is above 4" in space.describe("gamma_knot_3")


def test_the_first_rung_waits_for_the_slowest_spline() -> None:
    changes = {"fidelity_mode": "truncated", "first_rung": None, "first_rung_after": 0.9, "epochs": 200}
    space = chosen(gamma_ramp="spline", gamma_ramp_length=0.5, **changes)
    rung = space.fidelity.rungs()[0]
    trials = [space.trial(space.draw(kind(seed))) for seed in range(100) for kind in (Corner, RandomChooser)]
    assert all(ramps_are_up(trial, rung, 0.9) for trial in trials)


def test_a_trial_of_before_is_built_again() -> None:
    recorded = TrialSpec.build({"gamma_ramp": "linear"}).as_dict()
    old = {name: value for name, value in recorded.items() if "knot" not in name and name != "beta_end_share"}
    assert TrialSpec.build({name: value for name, value in old.items() if value is not None}).as_dict() == recorded
