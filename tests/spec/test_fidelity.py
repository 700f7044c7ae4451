from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_lpc.spec import Fidelity

fidelities = st.builds(Fidelity, st.integers(1, 2000), st.integers(2, 10), st.none() | st.integers(1, 100)).filter(
    lambda fidelity: not fidelity.problems()
)


def test_two_looks_are_placed_at_a_ninth_and_a_third_of_the_budget() -> None:
    assert Fidelity(36).rungs() == [4, 12]
    assert Fidelity(200).rungs() == [23, 67]
    assert Fidelity(1000, 4).rungs() == [63, 250]


def test_a_first_rung_is_multiplied_by_the_factor_up_to_the_budget() -> None:
    assert Fidelity(1000, 4, 10).rungs() == [10, 40, 160, 640]
    assert Fidelity(1000, 4, 272).rungs() == [272]


def test_no_rung_stands_at_the_full_budget() -> None:
    assert Fidelity(90, 3, 10).rungs() == [10, 30]
    assert Fidelity(5, 3, 5).rungs() == []


def test_no_rung_stands_before_the_third_epoch_unless_asked_for() -> None:
    assert [Fidelity(epochs).rungs() for epochs in (1, 2, 6, 7, 18, 19)] == [[], [], [], [3], [6], [3, 7]]
    assert Fidelity(3, 3, 1).rungs() == [1]


@settings(max_examples=60)
@given(fidelities)
def test_rungs_rise_and_stay_below_the_budget(fidelity: Fidelity) -> None:
    rungs = fidelity.rungs()
    assert rungs == sorted(set(rungs))
    assert all(1 <= rung < fidelity.epochs for rung in rungs)


@settings(max_examples=60)
@given(fidelities, st.integers(1, 200))
def test_a_search_costs_at_most_all_epochs_and_at_least_one_whole_trial_and_the_first_looks(
    fidelity: Fidelity, trials: int
) -> None:
    first = fidelity.rungs()[0] if fidelity.rungs() else fidelity.epochs
    expected = fidelity.expected_epochs(trials)
    assert fidelity.epochs + (trials - 1) * first <= expected <= trials * fidelity.epochs


def test_the_cost_is_that_of_a_quarter_of_the_trials_at_each_rung() -> None:
    assert Fidelity(1000, 4, 10).expected_epochs(256) == 256 * 10 + 64 * 30 + 16 * 120 + 4 * 480 + 1 * 360
    assert 256 * 1000 / Fidelity(1000, 4, 272).expected_epochs(256) == pytest.approx(2.2, abs=0.05)


def test_a_single_trial_runs_to_its_end() -> None:
    assert Fidelity(1000, 4, 10).expected_epochs(1) == 1000


@pytest.mark.parametrize(
    ("fidelity", "problem"),
    [
        (Fidelity(10, 1), "reduction_factor is 1, but must be 2 or more"),
        (Fidelity(10, 3, 0), "first_rung is 0, but must be from 1 to epochs (10)"),
        (Fidelity(10, 3, 11), "first_rung is 11, but must be from 1 to epochs (10)"),
    ],
)
def test_a_broken_rule_is_named(fidelity: Fidelity, problem: str) -> None:
    assert fidelity.problems() == [problem]


def test_all_broken_rules_are_named_at_once() -> None:
    assert len(Fidelity(10, 0, 20).problems()) == 2
