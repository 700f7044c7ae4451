"""A comparison of methods: figures, tests, families of tests, optimism, and what is told beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.results.confirmations import change_rows, change_run, confirmed, network, networks, three, write_confirm
from tune_lpc.plan import UserError
from tune_lpc.results.comparison import Comparison, PairTest, compare
from tune_lpc.results.networks import load_networks
from tune_lpc.results.statistics import Paired


def values(folder: Path, measure: str) -> np.ndarray:
    return np.array([each.values[measure] for each in load_networks(folder / "confirm.parquet")[1]])


def the_test(comparison: Comparison, label: str, measure: str = "test_accuracy") -> PairTest:
    (found,) = (test for test in comparison.tests if (test.label, test.measure) == (label, measure))
    return found


# Figures


def test_a_figure_a_method_and_measure(tmp_path: Path) -> None:
    comparison = compare([three(tmp_path)])
    assert comparison.measures == ["test_accuracy", "test_loss", "test.nc1"]
    assert len(comparison.figures) == 9
    figure, accuracies = comparison.figure("lpc", "test_accuracy"), values(tmp_path / "lpc", "test_accuracy")
    assert (figure.networks, figure.estimate.count) == (5, 5)
    assert figure.estimate.mean == pytest.approx(accuracies.mean())
    assert figure.estimate.deviation == pytest.approx(accuracies.std(ddof=1))
    interval = stats.t.interval(0.95, 4, accuracies.mean(), accuracies.std(ddof=1) / math.sqrt(5))
    assert (figure.estimate.low, figure.estimate.high) == pytest.approx(interval)


def test_a_measure_of_several_orders_is_on_logarithms_for_all_methods(tmp_path: Path) -> None:
    comparison = compare([three(tmp_path)])
    for label in ("vanilla", "lpc", "sliding"):
        assert comparison.figure(label, "test.nc1").estimate.logarithmic
        assert not comparison.figure(label, "test_loss").estimate.logarithmic
    test = the_test(comparison, "lpc", "test.nc1")
    logs = [np.log(values(tmp_path / name, "test.nc1")) for name in ("lpc", "vanilla")]
    assert test.result.p == pytest.approx(stats.ttest_rel(*logs).pvalue)
    assert test.result.difference == pytest.approx(math.exp((logs[0] - logs[1]).mean()))


def test_whether_logarithms_are_taken_goes_by_the_named_configs(tmp_path: Path) -> None:
    tied = [
        {**row, "rank": rank, "test.nc1": value} for rank, value in ((2, 9.0), (3, 0.0)) for row in networks([0.9, 0.8])
    ]
    confirmed(tmp_path / "a", [*networks([0.9, 0.95], [0.1, 0.2]), *tied])
    assert not compare([tmp_path / "a"]).figure("vanilla", "test.nc1").estimate.logarithmic
    confirmed(tmp_path / "b", networks([0.9, 0.95], [2.0, 1.5], method="lpc"))
    both = compare([tmp_path])
    assert both.figure("vanilla", "test.nc1").estimate.logarithmic
    assert both.figure("vanilla", "test.nc1", rank=2).estimate.middle == pytest.approx(9.0)
    assert not both.figure("vanilla", "test.nc1", rank=3).estimate.logarithmic, "0 has none"


def test_an_accuracy_is_never_on_logarithms_and_its_interval_ends_at_1(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.05, 0.06, 0.06]))
    confirmed(tmp_path / "b", networks([0.9, 1.0, 1.0], method="lpc"))
    estimate = compare([tmp_path]).figure("lpc", "test_accuracy").estimate
    assert not estimate.logarithmic
    assert estimate.high == 1.0


def test_what_only_one_method_measured_has_no_test(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.9, 0.91, 0.95]))
    confirmed(tmp_path / "b", networks([0.9, 0.92, 0.93], [0.1, 0.2, 0.3], method="lpc"))
    comparison = compare([tmp_path])
    assert comparison.figure("vanilla", "test.nc1").estimate.reason == "no seed has a value"
    test = the_test(comparison, "lpc", "test.nc1")
    assert (test.result.p, test.p_holm, test.differs) == (None, None, False)
    assert test.result.reason == "no seed has a value of both"


# Tests


def test_each_method_is_tested_against_vanilla_wherever_it_stands(tmp_path: Path) -> None:
    three(tmp_path)
    comparison = compare([tmp_path / name for name in ("lpc", "vanilla", "sliding")])
    assert comparison.against == "vanilla"
    assert {(test.label, test.against) for test in comparison.tests} == {("lpc", "vanilla"), ("sliding", "vanilla")}
    without = compare([tmp_path / name for name in ("sliding", "lpc")])
    assert {(test.label, test.against) for test in without.tests} == {("lpc", "sliding")}


def test_another_may_be_named_or_each_against_each(tmp_path: Path) -> None:
    three(tmp_path)
    named = compare([tmp_path], against="lpc")
    assert {(test.label, test.against) for test in named.tests} == {("vanilla", "lpc"), ("sliding", "lpc")}
    each = compare([tmp_path], against="all")
    assert each.against is None
    pairs = {(test.label, test.against) for test in each.tests}
    assert pairs == {("lpc", "vanilla"), ("sliding", "vanilla"), ("sliding", "lpc")}
    with pytest.raises(UserError, match=r"--against lcp is none of those compared; .*; did you mean 'lpc'"):
        compare([tmp_path], against="lcp")


def test_a_method_that_several_searches_have_is_named_by_its_label(tmp_path: Path) -> None:
    for name in ("one", "two"):
        confirmed(tmp_path / name, networks([0.9, 0.95, 0.93]))
    assert compare([tmp_path], against="vanilla (two)").against == "vanilla (two)"
    with pytest.raises(UserError, match="--against vanilla is several of those compared"):
        compare([tmp_path], against="vanilla")


def test_the_accuracy_is_a_family_of_its_own_and_all_other_measures_are_one(tmp_path: Path) -> None:
    comparison = compare([three(tmp_path)], against="all")
    for of_accuracy, tests in ((True, 3), (False, 6)):
        family = [test for test in comparison.tests if (test.measure == "test_accuracy") is of_accuracy]
        assert {test.tests for test in family} == {tests} == {len(family)}
        expected = multipletests([test.result.p for test in family], method="holm")[1].tolist()
        assert [test.p_holm for test in family] == pytest.approx(expected)
    assert the_test(compare([tmp_path]), "lpc").differs
    assert not the_test(compare([tmp_path]), "sliding").differs


def test_pairs_are_by_split_and_seed_not_by_place(tmp_path: Path) -> None:
    three(tmp_path)
    before = the_test(compare([tmp_path]), "lpc").result
    path = tmp_path / "lpc"
    found = load_networks(path / "confirm.parquet")[1]
    rows = networks([each.values["test_accuracy"] for each in found], method="lpc")
    write_confirm(path, rows[::-1])
    after = the_test(compare([tmp_path]), "lpc").result
    assert (after.pairs, after.p) == (before.pairs, pytest.approx(before.p))


def test_with_other_seeds_those_in_common_are_compared_and_told(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.9, 0.92, 0.94, 0.93]))
    rows = networks([0.91, 0.94, 0.95, 0.97, 0.98], method="lpc")
    confirmed(tmp_path / "b", rows[1:])
    comparison = compare([tmp_path])
    result = the_test(comparison, "lpc").result
    assert result.pairs == 3
    assert result.difference == pytest.approx(np.mean([0.94 - 0.92, 0.95 - 0.94, 0.97 - 0.93]))
    assert comparison.notes == ["lpc and vanilla: tested on the 3 seeds that both have, of 4 and 4"]
    confirmed(tmp_path / "c", [network(0.9, 9, method="sliding"), network(0.8, 8, method="sliding")])
    none = the_test(compare([tmp_path]), "sliding")
    assert (none.result.pairs, none.p_holm) == (0, None)


def test_one_seed_has_no_interval_and_no_test_and_it_is_said_why(tmp_path: Path) -> None:
    comparison = compare([three(tmp_path, seeds=1)])
    assert comparison.figure("lpc", "test_accuracy").estimate.low is None
    assert {test.result.p for test in comparison.tests} == {None}
    assert comparison.notes == ["one seed tells nothing of luck: no intervals, no tests; confirm with --seeds 5"]


def test_one_method_has_figures_and_no_tests(tmp_path: Path) -> None:
    comparison = compare([three(tmp_path) / "lpc"])
    assert (comparison.tests, comparison.against, comparison.notes) == ([], "lpc", [])
    assert comparison.figure("lpc", "test_accuracy").estimate.low is not None


# What is left out is told


def test_networks_that_diverged_or_failed_are_told_and_not_counted(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.9, 0.92, 0.94, 0.93]))
    rows = networks([0.91, None, 0.95, 0.97], method="lpc")
    rows[3] |= {"test_accuracy": None, "test_loss": None, "status": "failed", "reason": "worker\nlost"}
    confirmed(tmp_path / "b", rows)
    comparison = compare([tmp_path])
    figure = comparison.figure("lpc", "test_accuracy")
    assert (figure.networks, figure.estimate.count, figure.estimate.mean) == (4, 2, pytest.approx(0.93))
    assert comparison.notes == [
        "lpc: 2 of 4 networks left out of its figures: split 1, seed 1001 diverged (training loss is nan); "
        "split 3, seed 1003 failed (worker lost)",
        "lpc and vanilla: tested on the 2 seeds that both have, of 2 and 4",
    ]


def test_a_measure_that_a_tested_network_lacks_is_told(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.9, 0.92, 0.94], [0.1, None, math.inf]))
    comparison = compare([tmp_path / "a"])
    assert comparison.figure("vanilla", "test.nc1").estimate.count == 1
    assert comparison.notes == [
        "vanilla: 2 of 3 tested networks have no test.nc1: a class is empty; it is infinite",
    ]


def test_a_method_of_which_no_network_trained_has_nothing(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.9, 0.92, 0.94]))
    confirmed(tmp_path / "b", networks([None] * 3, method="lpc"))
    comparison = compare([tmp_path])
    assert comparison.figure("lpc", "test_accuracy").estimate.mean is None
    assert the_test(comparison, "lpc").result.reason == "no seed has a value of both"
    (optimism,) = (each for each in comparison.optimism if each.label == "lpc")
    assert (optimism.announced, optimism.excess.mean) == (0.97, None)


def test_a_search_whose_named_config_was_not_confirmed_is_refused(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "a", networks([0.9], rank=2))
    with pytest.raises(UserError, match=rf"{folder} has no network of rank 1, .* run python -m tune_lpc\.confirm"):
        compare([folder])


def test_test_images_that_were_opened_before_are_told(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "a", networks([0.9, 0.92, 0.94], opened_before=15))
    (note,) = compare([folder]).notes
    assert note.startswith("vanilla: test images had been opened 15 times for its search before; if anything was")


# Ties, optimism and budgets


def test_ties_have_figures_of_their_own_and_no_tests(tmp_path: Path) -> None:
    three(tmp_path)
    rows = [network(0.93, 0, rank=1), network(0.95, 1), network(0.99, 0, rank=2), network(0.99, 1, rank=2)]
    confirmed(tmp_path / "tied", rows)
    comparison = compare([tmp_path / "tied", tmp_path / "lpc"])
    assert comparison.configs == [("vanilla", 1), ("lpc", 1), ("vanilla", 2)]
    assert comparison.figure("vanilla", "test_accuracy").estimate.mean == pytest.approx(0.94)
    assert comparison.figure("vanilla", "test_accuracy", rank=2).estimate.mean == pytest.approx(0.99)
    accuracies = values(tmp_path / "lpc", "test_accuracy")[:2]
    assert the_test(comparison, "lpc").result.difference == pytest.approx(accuracies.mean() - 0.94)


def test_the_optimism_is_announced_minus_confirmed_with_an_interval(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.9, 0.92, 0.94], announced=0.96))
    (optimism,) = compare([tmp_path / "a"]).optimism
    assert (optimism.announced, optimism.low, optimism.high) == (0.96, 0.95, 0.98)
    assert optimism.excess.mean == pytest.approx(0.04)
    half = stats.t.ppf(0.975, 2) * 0.02 / math.sqrt(3)
    assert (optimism.excess.low, optimism.excess.high) == pytest.approx((0.04 - half, 0.04 + half))
    change_rows(tmp_path / "a", announced=None)
    (untold,) = compare([tmp_path / "a"]).optimism
    assert (untold.announced, untold.excess.mean) == (None, None)


def test_tests_at_unequal_budget_are_labelled(tmp_path: Path) -> None:
    rows = networks([0.9, 0.92, 0.94])
    confirmed(tmp_path / "a", rows, trials=4)
    confirmed(tmp_path / "b", [{**row, "method": "lpc"} for row in rows], trials=4, further_seeds=1)
    confirmed(tmp_path / "c", [{**row, "method": "sliding"} for row in rows], trials=4)
    comparison = compare([tmp_path])
    assert the_test(comparison, "lpc").unequal == "25 % more epochs"
    assert the_test(comparison, "sliding").unequal is None
    assert comparison.notes == ["lpc against vanilla is not at equal budget: its search had 25 % more epochs"]


def test_what_differs_between_the_searches_stands_in_the_notes(tmp_path: Path) -> None:
    three(tmp_path)
    change_run(tmp_path / "lpc", precision="bfloat16")
    assert compare([tmp_path]).notes == ["precision differs: vanilla float32, lpc bfloat16, sliding float32"]


def test_a_p_of_5_percent_is_not_below_it() -> None:
    test = PairTest("a", "b", "test_accuracy", Paired(5, False), 1, 0.05, None)
    assert not test.differs
    assert replace(test, p_holm=0.0499).differs
