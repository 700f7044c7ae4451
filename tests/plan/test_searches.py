"""The searches of several methods with the same changes."""

from __future__ import annotations

import pytest

from tune_lpc.plan import UserError, load_space
from tune_lpc.plan.searches import spaces_of_methods

DIGITS = load_space("digits")


def test_a_change_is_made_where_it_can_have_an_effect_and_told_where_it_cannot() -> None:
    vanilla, lpc = spaces_of_methods(DIGITS, ["vanilla", "lpc"], {"gamma_end": 50.0, "epochs": 9})
    assert (vanilla.epochs, lpc.epochs) == (9, 9)
    assert lpc.settings["gamma_end"] == 50.0
    assert "gamma_end" not in vanilla.settings
    assert vanilla.notes[-1] == "gamma_end=50.0 is left out: it has no effect when gamma_ramp is 'off'"
    assert not [note for note in lpc.notes if "gamma_end" in note]


@pytest.mark.parametrize("methods", [["vanilla"], ["vanilla", "arcface"]])
def test_a_change_without_effect_under_any_method_is_refused(methods: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        spaces_of_methods(DIGITS, methods, {"gamma_end": 50.0})
    assert caught.value.problems == [
        "space digits: gamma_end is 50.0, but has no effect when gamma_ramp is 'off'; take it out"
    ]


def test_the_problems_of_all_methods_are_told_once() -> None:
    with pytest.raises(UserError) as caught:
        spaces_of_methods(DIGITS, ["lpc", "slidin", "sliding"], {"beta": 9.0, "epoch": 3})
    told = caught.value.problems
    assert len(told) == 3
    for part in ("there is no method 'slidin'", "beta is 9.0, but must be from 0.1 to 2", "'epoch' is not a setting"):
        assert sum(part in problem for problem in told) == 1
