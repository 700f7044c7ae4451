"""A comparison in words: its tables as text, for the terminal, Markdown, LaTeX and pages alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tune_lpc.results.comparison import NAMED, Comparison, Figure, Optimism, PairTest
from tune_lpc.results.confirmed import MEASURE
from tune_lpc.results.networks import ACCURACY, LOSS
from tune_lpc.results.statistics import Estimate

TIMES = "\N{MULTIPLICATION SIGN}"
NONE = "none"
"""What a cell says where there is no figure; the notes say why."""
GEOMETRIC = " (geometric)"
_GEOMETRIC = (
    f" Geometric: of measures that differ by a factor of 10 or more, the geometric mean {TIMES}/÷ the factor of one "
    "standard deviation."
)


@dataclass(frozen=True)
class Cell:
    """A figure, and its 95 % interval, '' where it has none."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class TextTable:
    """title: what it shows. header: a name a column. rows: as many cells each. legend: how it is read.

    keys: how many columns, from the first on, tell what a row is of.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    legend: str
    keys: int = 1


def tables(comparison: Comparison) -> list[TextTable]:
    """The tables of a comparison, those without a row left out."""
    found = [
        _figures(comparison),
        _tests(comparison),
        _optimism(comparison),
        _budgets(comparison),
        _further_configs(comparison),
    ]
    return [table for table in found if table.rows]


def verdicts(comparison: Comparison) -> list[str]:
    """What the tests say of the test accuracy, a sentence each."""
    return [_verdict(test) for test in comparison.tests if test.measure == ACCURACY]


def shown_measure(measure: str) -> str:
    """A column of confirm.parquet as tables name it."""
    return {ACCURACY: "test accuracy, %", LOSS: "test loss"}.get(measure, measure.removeprefix(MEASURE))


def _verdict(test: PairTest) -> str:
    result, between = test.result, f"{test.label} against {test.against}"
    if result.difference is None or result.p is None:
        return f"{between}: no test, {result.reason}"
    difference = _difference(test)
    told = "differ" if test.differs else "cannot be told apart"
    at = "at equal budget" if test.unequal is None else f"not at equal budget: {test.unequal}"
    return (
        f"{between}: test accuracy {difference.text} points {difference.interval}, p {_p(result.p)}, "
        f"corrected {_p(test.p_holm)}: they {told} ({result.pairs} pairs, {at})"
    )


def _figures(comparison: Comparison) -> TextTable:
    """Methods by measures; the longer side makes the rows, so that the table stays narrow."""
    labels = [search.label for search in comparison.searches]
    cells: dict[str, dict[str, Cell]] = {}
    for measure in comparison.measures:
        figures = {label: comparison.figure(label, measure) for label in labels}
        name = shown_measure(measure)
        name += GEOMETRIC if any(figure.estimate.logarithmic for figure in figures.values()) else ""
        cells[name] = {label: estimate_cell(figure.estimate, _factor(measure)) for label, figure in figures.items()}
    accuracies = {label: comparison.figure(label, ACCURACY) for label in labels}
    cells["networks"] = {label: Cell(_networks(figure)) for label, figure in accuracies.items()}
    names = list(cells)
    if len(names) > len(labels):
        header, rows = ["", *labels], [[Cell(name), *cells[name].values()] for name in names]
    else:
        header, rows = ["", *names], [[Cell(label), *(cells[name][label] for name in names)] for label in labels]
    images = next((network.test_images for search in comparison.searches for network in search.networks), None)
    return TextTable(
        f"Test data{'' if images is None else f' ({images:,} images)'}, the named config of each method",
        header,
        rows,
        "Mean ± standard deviation over seeds [95 % interval of the mean, Student's t]."
        + (_GEOMETRIC if any(name.endswith(GEOMETRIC) for name in names) else ""),
    )


def _tests(comparison: Comparison) -> TextTable:
    """A row a test; what is the same for all stands in the title."""
    tests = comparison.tests
    columns = {
        "measure": [Cell(shown_measure(test.measure)) for test in tests],
        "method": [Cell(test.label) for test in tests],
        "against": [Cell(test.against) for test in tests],
        "difference": [_difference(test) for test in tests],
        "p": [Cell(_p(test.result.p)) for test in tests],
        "Holm": [Cell(_p(test.p_holm) + (" *" if test.differs else "")) for test in tests],
        "g": [Cell(NONE if test.result.hedges_g is None else f"{test.result.hedges_g:.2f}") for test in tests],
        "pairs": [Cell(str(test.result.pairs)) for test in tests],
        "budget": [Cell("equal" if test.unequal is None else "unequal") for test in tests],
    }
    alike = {"against": "against {}", "pairs": "{} pairs each", "budget": "at {} budget"}
    told = []
    for name, text in alike.items():
        if len(set(columns[name])) == 1:
            told.append(text.format(columns.pop(name)[0].text))
    return TextTable(
        "Paired tests" + (f" ({', '.join(told)})" if told else ""),
        list(columns),
        list(zip(*columns.values(), strict=True)),
        "Student's t on pairs of the same seed and split, two-sided. Difference: method minus the other, or where the "
        f"measure is geometric {TIMES} their ratio [95 % interval, not corrected]. Holm: p corrected, for the tests of "
        "the test accuracy as one family, for all others as another; *: below 0.05. g: Hedges' g, the mean of the "
        "differences over their standard deviation, without bias. Budgets are equal where the trials and epochs of the "
        "searches, or their hours where these were the limit, differ by no more than 5 %.",
        keys=3 if "against" in columns else 2,
    )


def _optimism(comparison: Comparison) -> TextTable:
    rows = [
        [Cell(each.label), _announced(each), estimate_cell(each.confirmed, 100), estimate_cell(each.excess, 100)]
        for each in comparison.optimism
        if each.rank == NAMED
    ]
    return TextTable(
        "Optimism",
        ["", "announced, %", "confirmed, %", "optimism, points"],
        rows,
        "Announced: validation accuracy of the named config in its search [its interval]; confirmed: test accuracy; "
        "optimism: announced minus confirmed [95 % interval, from the luck of the confirming seeds].",
    )


def _budgets(comparison: Comparison) -> TextTable:
    rows = []
    for search in comparison.searches:
        budget = search.budget
        hours = f"{budget.hours:,.1f}" if budget.hours >= 10 else f"{budget.hours:.2g}"
        amounts = (f"{budget.trials:,}", f"{budget.further_seeds:,}", f"{budget.epochs:,}", hours)
        rows.append([Cell(search.label), *map(Cell, amounts)])
    return TextTable(
        "Budget of each search",
        ["", "trials", "further seeds", "epochs trained", "hours"],
        rows,
        "Hours: wall time of all epochs added up; trials side by side count each.",
    )


def _further_configs(comparison: Comparison) -> TextTable:
    rows = []
    for each in comparison.optimism:
        if each.rank == NAMED:
            continue
        networks = _networks(comparison.figure(each.label, ACCURACY, each.rank))
        accuracy, excess = estimate_cell(each.confirmed, 100), estimate_cell(each.excess, 100)
        rows.append([Cell(each.label), Cell(str(each.rank)), Cell(networks), _announced(each), accuracy, excess])
    return TextTable(
        "Further configs that were confirmed",
        ["", "rank", "networks", "announced, %", "confirmed, %", "optimism, points"],
        rows,
        "Not tested: choosing among them by these figures would be choosing by test data.",
    )


def estimate_cell(estimate: Estimate, factor: float = 1.0) -> Cell:
    """The middle with its spread and interval. factor: what values are shown in, 100 for per cent."""
    if estimate.middle is None:
        return Cell(NONE)
    known = estimate.spread is not None and not estimate.logarithmic
    show = _spelling(estimate.spread if known else None, estimate.middle, factor)
    between = _between(estimate.low, estimate.high, show)
    if estimate.spread is None:
        return Cell(show(estimate.middle), between)
    if estimate.logarithmic:
        return Cell(f"{show(estimate.middle)} {TIMES}/÷ {estimate.spread:.2f}", between)
    return Cell(f"{show(estimate.middle)} ± {show(estimate.spread)}", between)


def _difference(test: PairTest) -> Cell:
    result, factor = test.result, _factor(test.measure)
    if result.difference is None:
        return Cell(NONE)
    if result.logarithmic:
        show = _spelling(None, result.difference, factor)
        return Cell(f"{TIMES} {show(result.difference)}", _between(result.low, result.high, show))
    half = None if result.low is None or result.high is None else (result.high - result.low) / 2
    show = _spelling(half, result.difference, factor, sign="+")
    return Cell(show(result.difference), _between(result.low, result.high, show))


def _between(low: float | None, high: float | None, show: Callable[[float], str]) -> str:
    return "" if low is None or high is None else f"[{show(low)}, {show(high)}]"


def _spelling(spread: float | None, middle: float, factor: float, sign: str = "") -> Callable[[float], str]:
    """How the numbers of a cell are spelled: to two digits of the spread, or to so many of their own."""
    if spread is not None and spread * factor >= 1e-5 and abs(middle * factor) < 1e5:
        decimals = max(0, 1 - math.floor(math.log10(spread * factor)))
        # z: no minus before what is rounded to 0.
        return lambda value: f"{value * factor:{sign}z.{decimals}f}"
    return lambda value: f"{value * factor:{sign}.{4 if factor != 1 else 3}g}"


def _announced(optimism: Optimism) -> Cell:
    if optimism.announced is None:
        return Cell(NONE)
    low, high = optimism.low, optimism.high
    between = "" if low is None or high is None else f"[{100 * low:.2f}, {100 * high:.2f}]"
    return Cell(f"{100 * optimism.announced:.2f}", between)


def _networks(figure: Figure) -> str:
    tested = figure.estimate.count
    return str(tested) if tested == figure.networks else f"{tested} of {figure.networks}"


def _factor(measure: str) -> float:
    return 100.0 if measure == ACCURACY else 1.0


def _p(p: float | None) -> str:
    if p is None:
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}"
