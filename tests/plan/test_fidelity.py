from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_lpc.plan import MODES, Fidelity

fidelities = st.builds(
    Fidelity, st.integers(1, 2000), st.sampled_from(MODES), st.integers(2, 10), st.none() | st.integers(1, 100)
).filter(lambda fidelity: not fidelity.problems())


def truncated(epochs: int, reduction_factor: int = 3, first_rung: int | None = None) -> Fidelity:
    return Fidelity(epochs, "truncated", reduction_factor, first_rung)


# Rungs and runs


def test_three_looks_are_placed_the_last_at_a_third_of_the_budget() -> None:
    assert Fidelity(90).rungs() == truncated(90).rungs() == [4, 10, 30]
    assert Fidelity(200).rungs() == [8, 23, 67]
    assert Fidelity(1000, reduction_factor=4).rungs() == [16, 63, 250]
    assert Fidelity(200, most_rungs=2).rungs() == [23, 67]


def test_a_first_rung_is_multiplied_by_the_factor_up_to_the_budget() -> None:
    assert truncated(1000, 4, 10).rungs() == [10, 40, 160, 640]
    assert truncated(1000, 4, 272).rungs() == [272]


def test_no_rung_stands_at_the_full_budget() -> None:
    assert truncated(90, 3, 10).rungs() == [10, 30]
    assert truncated(5, 3, 5).rungs() == []


def test_no_rung_stands_before_the_third_epoch_unless_asked_for() -> None:
    assert [Fidelity(epochs).rungs() for epochs in (1, 2, 6, 7, 18, 19)] == [[], [], [], [3], [6], [3, 7]]
    assert truncated(3, 3, 1).rungs() == [1]


def test_full_has_no_rungs() -> None:
    assert Fidelity(36, "full").rungs() == Fidelity(36, "full", first_rung=4).rungs() == []


def test_only_a_compressed_climb_is_of_several_runs() -> None:
    assert Fidelity(36, "compressed").runs() == [4, 12, 36]
    assert truncated(36).runs() == Fidelity(36, "full").runs() == [36]


@settings(max_examples=60)
@given(fidelities)
def test_rungs_rise_and_stay_below_the_budget(fidelity: Fidelity) -> None:
    rungs = fidelity.rungs()
    assert rungs == sorted(set(rungs))
    assert all(1 <= rung < fidelity.epochs for rung in rungs)


# Where a trial stands


def test_a_compressed_run_counts_at_its_rung_with_its_last_epoch() -> None:
    fidelity = Fidelity(36, "compressed")
    assert [fidelity.rung_at(*at) for at in ((4, 4), (12, 12), (36, 36))] == [4, 12, None]
    # The epochs of a longer run that happen to have the number of a rung are no rungs.
    assert [fidelity.rung_at(*at) for at in ((4, 3), (12, 4), (36, 4), (36, 12))] == [None] * 4


def test_a_truncated_run_counts_at_each_rung_on_its_way() -> None:
    fidelity = truncated(36)
    assert [epoch for epoch in range(1, 37) if fidelity.rung_at(36, epoch)] == [4, 12]
    assert (fidelity.rung_at(36, 12), fidelity.rung_at(12, 12)) == (12, None)


def test_what_a_climb_has_trained_includes_its_earlier_runs() -> None:
    climb = Fidelity(36, "compressed")
    assert [climb.trained(*at) for at in ((4, 1), (4, 4), (12, 1), (36, 1), (36, 36))] == [1, 4, 5, 17, 52]
    assert truncated(36).trained(36, 12) == 12
    assert (climb.climb_epochs, truncated(36).climb_epochs, Fidelity(36, "full").climb_epochs) == (52, 36, 36)


@settings(max_examples=100)
@given(fidelities.filter(lambda fidelity: fidelity.epochs <= 300))
def test_walking_through_a_whole_climb_counts_the_same(fidelity: Fidelity) -> None:
    walked, rungs = 0, []
    for budget in fidelity.runs():
        for epoch in range(1, budget + 1):
            walked += 1
            assert fidelity.trained(budget, epoch) == walked
            rung = fidelity.rung_at(budget, epoch)
            if rung is not None:
                assert epoch == rung
                rungs.append(rung)
    assert walked == fidelity.climb_epochs
    assert rungs == fidelity.rungs()
    assert fidelity.runs()[-1] == fidelity.epochs


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_climb_of_many_rungs_costs_about_eta_over_eta_less_one_of_its_last_run(factor: int) -> None:
    fidelity = Fidelity(factor**6, "compressed", factor, 1)
    assert fidelity.climb_epochs / fidelity.epochs == pytest.approx(factor / (factor - 1), rel=0.02)


# Cost


@settings(max_examples=60)
@given(fidelities, st.integers(1, 200), st.data())
def test_a_search_costs_at_most_all_climbs_and_at_least_one_whole_climb_and_the_first_looks(
    fidelity: Fidelity, trials: int, data: st.DataObject
) -> None:
    control = data.draw(st.integers(0, trials))
    first = fidelity.rungs()[0] if fidelity.rungs() else fidelity.epochs
    whole = max(1, control)
    expected = fidelity.expected_epochs(trials, control)
    assert whole * fidelity.climb_epochs + (trials - whole) * first <= expected <= trials * fidelity.climb_epochs


def test_the_cost_is_that_of_a_quarter_of_the_trials_at_each_rung() -> None:
    assert truncated(1000, 4, 10).expected_epochs(256) == 256 * 10 + 64 * 30 + 16 * 120 + 4 * 480 + 1 * 360
    compressed = Fidelity(1000, "compressed", 4, 10)
    assert compressed.expected_epochs(256) == 256 * 10 + 64 * 40 + 16 * 160 + 4 * 640 + 1 * 1000
    assert 256 * 1000 / truncated(1000, 4, 272).expected_epochs(256) == pytest.approx(2.2, abs=0.05)


def test_as_many_train_in_full_as_the_last_rung_lets_through() -> None:
    fidelity = truncated(90, 3, 10)
    assert [fidelity.expected_trained(trials) for trials in (1, 5, 27, 81, 100)] == [1, 1, 3, 9, 12]
    assert fidelity.expected_trained(30, 3) == 3 + fidelity.expected_trained(27)
    assert Fidelity(36, "full").expected_trained(5) == 5


def test_the_stages_of_a_trial_end_where_it_has_trained_so_much_in_all() -> None:
    assert Fidelity(90, "truncated").stage_ends() == [4, 10, 30, 90]
    assert Fidelity(90, "compressed").stage_ends() == [4, 14, 44, 134]
    assert Fidelity(90, "full").stage_ends() == [90]


def test_control_trials_climb_to_the_end_and_the_others_as_without_them() -> None:
    climb = Fidelity(36, "compressed")
    assert climb.expected_epochs(12, 3) == 3 * 52 + climb.expected_epochs(9)
    assert climb.expected_epochs(5, 5) == 5 * 52
    assert Fidelity(36, "full").expected_epochs(5, 2) == 5 * 36


@pytest.mark.parametrize("mode", ["compressed", "truncated"])
def test_trials_that_arrive_in_random_order_cost_about_what_is_expected(mode: str) -> None:
    fidelity, trials, costs = Fidelity(81, mode, 3, 9), 300, []
    for seed in range(20):
        draw = random.Random(seed)
        seen: dict[int, list[float]] = {rung: [] for rung in fidelity.rungs()}
        cost = 0
        for _ in range(trials):
            score, going = draw.random(), True
            for budget in fidelity.runs():
                for epoch in range(1, budget + 1):
                    cost += going
                    rung = fidelity.rung_at(budget, epoch)
                    if going and rung is not None:
                        seen[rung].append(score)
                        going = sorted(seen[rung], reverse=True).index(score) < math.ceil(len(seen[rung]) / 3)
        costs.append(cost)
    assert sum(costs) / len(costs) == pytest.approx(fidelity.expected_epochs(trials), rel=0.15)


def test_a_single_trial_runs_to_its_end() -> None:
    assert truncated(1000, 4, 10).expected_epochs(1) == 1000
    assert Fidelity(36, "compressed").expected_epochs(1) == 52


# Rules


@pytest.mark.parametrize(
    ("fidelity", "problem"),
    [
        (truncated(10, 1), "reduction_factor is 1, but must be 2 or more"),
        (truncated(10, 3, 0), "first_rung is 0, but must be from 1 to epochs (10)"),
        (truncated(10, 3, 11), "first_rung is 11, but must be from 1 to epochs (10)"),
        (
            Fidelity(10, "compresed"),
            "mode is 'compresed', but must be one of compressed, truncated, full; did you mean 'compressed'?",
        ),
    ],
)
def test_a_broken_rule_is_named(fidelity: Fidelity, problem: str) -> None:
    assert fidelity.problems() == [problem]


def test_all_broken_rules_are_named_at_once() -> None:
    assert len(Fidelity(10, "half", 0, 20).problems()) == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("first", [None, 1, 5, 30])
@pytest.mark.parametrize("epochs", [30, 36, 310])
def test_the_rungs_of_a_run_are_read_again_from_what_it_wrote(
    mode: str, factor: int, first: int | None, epochs: int
) -> None:
    fidelity = Fidelity(epochs, mode, factor, first)
    space = {"settings": {"epochs": epochs}, "fidelity_mode": mode, "reduction_factor": factor, "most_rungs": 3}
    found = Fidelity.of_run({"space": space, "rungs": fidelity.rungs()})
    assert found is not None
    assert (found.rungs(), found.runs()) == (fidelity.rungs(), fidelity.runs())


def test_a_run_of_before_the_rungs_could_be_counted_had_two() -> None:
    space = {"settings": {"epochs": 90}, "fidelity_mode": "truncated", "reduction_factor": 3}
    assert Fidelity.of_run({"space": space, "rungs": [10, 30]}) == Fidelity(90, most_rungs=2)


@pytest.mark.parametrize("run", [{}, {"rungs": [3]}, {"space": {"settings": {}}, "rungs": []}])
def test_a_run_that_says_nothing_of_its_rungs_has_none_to_read(run: dict[str, Any]) -> None:
    assert Fidelity.of_run(run) is None


def test_after_each_epoch_comes_the_next_of_its_run_or_the_first_of_the_next_run() -> None:
    climb = [(budget, epoch) for budget in (3, 9) for epoch in range(1, budget + 1)]
    compressed = Fidelity(epochs=9, mode="compressed", first_rung=3)
    assert [compressed.after(place) for place in [None, *climb[:-1]]] == climb
    assert compressed.after((9, 9)) == (9, 9), "there is no other"
    truncated = Fidelity(epochs=9, mode="truncated", first_rung=3)
    assert (truncated.after(None), truncated.after((9, 3)), truncated.after((9, 9))) == ((9, 1), (9, 4), (9, 9))
