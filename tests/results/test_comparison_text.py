"""The tables of a comparison as text: what their cells say, and that nothing is rounded to a lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results.confirmations import confirmed, network, networks, three
from tune_lpc.results.comparison import compare
from tune_lpc.results.comparison_text import Cell, TextTable, estimate_cell, shown_measure, tables, verdicts
from tune_lpc.results.statistics import estimate

TIMES = "\N{MULTIPLICATION SIGN}"


def titled(found: list[TextTable], title: str) -> TextTable:
    (table,) = (table for table in found if table.title.startswith(title))
    return table


@pytest.mark.parametrize(
    ("values", "factor", "text", "interval"),
    [
        ([0.94, 0.95, 0.96], 100, "95.0 ± 1.0", "[92.5, 97.5]"),
        ([0.9412, 0.9431, 0.9424], 100, "94.223 ± 0.096", "[93.985, 94.462]"),
        ([0.95], 100, "95", ""),
        ([0.9444444], 100, "94.44", ""),
        ([2.0, 2.0], 1, "2 ± 0", ""),
        ([123.0, 150.0, 131.0], 1, "135 ± 14", "[100, 169]"),
        ([1e-9, 2e-9, 2.5e-9], 1, "1.83e-09 ± 7.64e-10", "[-6.4e-11, 3.73e-09]"),
        ([3e7, 4e7, 4.5e7], 1, "3.83e+07 ± 7.64e+06", "[1.94e+07, 5.73e+07]"),
        ([], 1, "none", ""),
    ],
)
def test_a_mean_is_spelled_to_two_digits_of_its_spread(
    values: list[float], factor: float, text: str, interval: str
) -> None:
    assert estimate_cell(estimate(values), factor) == Cell(text, interval)


def test_a_geometric_mean_has_a_factor() -> None:
    cell = estimate_cell(estimate([0.001, 0.01, 0.1], logarithmic=True))
    assert cell == Cell(f"0.01 {TIMES}/÷ 10.00", "[3.28e-05, 3.05]")


def test_columns_are_told_by_the_names_of_the_measures() -> None:
    assert [shown_measure(name) for name in ("test_accuracy", "test_loss", "test.nc1")] == [
        "test accuracy, %",
        "test loss",
        "nc1",
    ]


def test_the_longer_side_makes_the_rows(tmp_path: Path) -> None:
    three(tmp_path)
    by_measure = titled(tables(compare([tmp_path])), "Test data (360 images), the named config")
    assert by_measure.header == ["", "vanilla", "lpc", "sliding"]
    assert [row[0].text for row in by_measure.rows] == ["test accuracy, %", "test loss", "nc1 (geometric)", "networks"]
    for name in ("supcon", "arcface"):
        confirmed(tmp_path / name, networks([0.9, 0.91], [0.1, 0.2], method=name))
    by_method = titled(tables(compare([tmp_path])), "Test data")
    assert by_method.header == ["", "test accuracy, %", "test loss", "nc1 (geometric)", "networks"]
    assert [row[0].text for row in by_method.rows] == ["vanilla", "lpc", "supcon", "arcface", "sliding"]
    lpc = [row[2] for row in by_measure.rows]
    assert list(by_method.rows[1][1:]) == lpc, "the same figures"


def test_the_legend_tells_of_geometric_means_where_there_are_any(tmp_path: Path) -> None:
    legends = [titled(tables(compare([folder])), "Test data").legend for folder in (three(tmp_path), tmp_path / "lpc")]
    assert ["Geometric" in legend for legend in legends] == [True, False]


def test_how_many_networks_are_behind_a_figure(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "a", networks([0.9, None, 0.92]))
    table = titled(tables(compare([folder])), "Test data")
    assert table.rows[-1] == [Cell("networks"), Cell("2 of 3")]


def test_what_is_the_same_for_all_tests_stands_in_the_title(tmp_path: Path) -> None:
    three(tmp_path)
    table = titled(tables(compare([tmp_path])), "Paired tests")
    assert table.title == "Paired tests (against vanilla, 5 pairs each, at equal budget)"
    assert (table.header, table.keys) == (["measure", "method", "difference", "p", "Holm", "g"], 2)
    assert len(table.rows) == 6
    confirmed(tmp_path / "supcon", networks([0.9] * 3 + [None], [0.3, 0.2, 0.3], method="supcon"), trials=7)
    table = titled(tables(compare([tmp_path], against="all")), "Paired tests")
    assert table.title == "Paired tests"
    assert (table.header[:3], table.header[-2:], table.keys) == (
        ["measure", "method", "against"],
        ["pairs", "budget"],
        3,
    )
    assert {row[-1].text for row in table.rows} == {"equal", "unequal"}


def test_a_difference_has_a_sign_or_is_a_ratio(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.90, 0.92, 0.94], [0.2, 0.3, 0.25]))
    confirmed(tmp_path / "b", networks([0.88, 0.91, 0.92], [0.02, 0.03, 0.025], method="lpc"))
    table = titled(tables(compare([tmp_path])), "Paired tests")
    cells = {row[0].text: row[2:] for row in table.rows}
    assert cells["test accuracy, %"][0] == Cell("-1.7", "[-3.1, -0.2]")
    assert cells["test accuracy, %"][1:] == (Cell("0.038"), Cell("0.038 *"), Cell("-1.63"))
    assert cells["nc1"][0] == Cell(f"{TIMES} 0.1"), "all the same"
    assert cells["nc1"][1:] == (Cell("none"), Cell("none"), Cell("none"))


def test_a_difference_of_nothing_but_rounding_is_shown_as_none(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.3, 0.5, 0.4]))
    confirmed(tmp_path / "b", networks([0.1 + 0.2, 0.4, 0.5], method="lpc"))
    table = titled(tables(compare([tmp_path])), "Paired tests")
    assert table.rows[0][2] == Cell("+0", "[-25, +25]")


def test_verdicts_are_sentences_of_the_accuracy(tmp_path: Path) -> None:
    three(tmp_path)
    lines = verdicts(compare([tmp_path]))
    assert len(lines) == 2
    assert lines[0].startswith("lpc against vanilla: test accuracy +1.86 points [+1.50, +2.21], p <0.001, corrected <0")
    assert lines[0].endswith("they differ (5 pairs, at equal budget)")
    assert lines[1].endswith("they cannot be told apart (5 pairs, at equal budget)")


def test_a_verdict_says_why_there_is_none_and_that_budgets_differ(tmp_path: Path) -> None:
    confirmed(tmp_path / "a", networks([0.9, 0.92, 0.94]))
    confirmed(tmp_path / "b", networks([0.91, None, None], method="lpc"))
    confirmed(tmp_path / "c", networks([0.91, 0.94, 0.95], method="sliding"), trials=6)
    one, other = verdicts(compare([tmp_path]))
    assert one == (
        "lpc against vanilla: no test, one seed has a difference, so that the luck between seeds is not known"
    )
    assert other.endswith("(3 pairs, not at equal budget: 100 % more trials and 100 % more epochs)")


def test_optimism_budget_and_further_configs_are_tables(tmp_path: Path) -> None:
    rows = [*networks([0.95, 0.94, 0.96]), *(network(0.95, seed, rank=2, announced=0.99) for seed in range(2))]
    rows[-1]["announced"] = 0.99
    found = tables(compare([confirmed(tmp_path / "a", rows, trials=2, further_seeds=1)]))
    optimism = titled(found, "Optimism")
    assert list(optimism.rows[0]) == [
        Cell("vanilla"),
        Cell("97.00", "[95.00, 98.00]"),
        Cell("95.0 ± 1.0", "[92.5, 97.5]"),
        Cell("2.0 ± 1.0", "[-0.5, 4.5]"),
    ]
    budget = titled(found, "Budget")
    assert [cell.text for cell in budget.rows[0]] == ["vanilla", "2", "1", "12", "0.0067"]
    further = titled(found, "Further configs")
    assert [cell.text for cell in further.rows[0][:4]] == ["vanilla", "2", "2", "99.00"]
    assert [table.title for table in found if table.title.startswith("Paired")] == [], "one method has no tests"


def test_nothing_announced_is_none(tmp_path: Path) -> None:
    rows = networks([0.95, 0.94], announced=None, announced_low=None, announced_high=None)
    optimism = titled(tables(compare([confirmed(tmp_path / "a", rows)])), "Optimism")
    assert [cell.text for cell in optimism.rows[0]] == ["vanilla", "none", "94.50 ± 0.71", "none"]
