"""A comparison in words: its tables as text, for the terminal, Markdown, LaTeX and pages alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tune_lpc.results.comparison import NAMED, Comparison, Figure, Optimism, PairTest
from tune_lpc.results.networks import ACCURACY, LOSS, MEASURE
from tune_lpc.results.statistics import Estimate

NONE = "none"
"""What a cell says where there is no figure; the notes say why."""


@dataclass(frozen=True)
class Cell:
    """A figure, and its 95 % interval, '' where it has none."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class TextTable:
    """title: what it shows. header: a name a column. rows: as many cells each. legend: how it is read."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    legend: str


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
        name += " (geometric)" if any(figure.estimate.logarithmic for figure in figures.values()) else ""
        cells[name] = {label: estimate_cell(figure.estimate, _factor(measure)) for label, figure in figures.items()}
    accuracies = {label: comparison.figure(label, ACCURACY) for label in labels}
    cells["networks"] = {label: Cell(_networks(figure)) for label, figure in accuracies.items()}
    names = list(cells)
    if len(names) > len(labels):
        header, rows = ["", *labels], [[Cell(name), *cells[name].values()] for name in names]
    else:
        header, rows = ["", *names], [[Cell(label), *(cells[name][label] for name in names)] for label in labels]
    return TextTable(
        "Test data, the named config of each method",
        header,
        rows,
        "Mean ± standard deviation over seeds [95 % interval of the mean, Student's t]. Geometric: measures that differ "
        "by a factor of 10 or more, geometric mean ×/÷ the factor of one standard deviation of the logarithms.",
    )


def _tests(comparison: Comparison) -> TextTable:
    rows = [
        [
            Cell(shown_measure(test.measure)),
            Cell(test.label),
            Cell(test.against),
            _difference(test),
            Cell(_p(test.result.p)),
            Cell(_p(test.p_holm)),
            Cell(NONE if test.result.hedges_g is None else f"{test.result.hedges_g:.2f}"),
            Cell(str(test.result.pairs)),
            Cell("yes" if test.differs else "no" if test.p_holm is not None else NONE),
            Cell("equal" if test.unequal is None else test.unequal),
        ]
        for test in comparison.tests
    ]
    return TextTable(
        "Paired tests",
        ["measure", "method", "against", "difference", "p", "Holm", "g", "pairs", "differ", "budget"],
        rows,
        "Student's t on pairs of the same seed and split, two-sided. Difference: method minus against, or × their ratio "
        "where the measure is geometric [95 % interval, not corrected]. Holm: p corrected, for the tests of the test "
        "accuracy as one family, for all others as another. g: Hedges' g, the mean of the differences over their "
        "standard deviation, without bias. Budget: what the method's search had more or less.",
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
        amounts = (f"{budget.trials:,}", f"{budget.further_seeds:,}", f"{budget.epochs:,}", f"{budget.hours:.2f}")
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
    show = _notation(estimate, factor)
    between = "" if estimate.low is None or estimate.high is None else f"[{show(estimate.low)}, {show(estimate.high)}]"
    if estimate.spread is None:
        return Cell(show(estimate.middle), between)
    if estimate.logarithmic:
        return Cell(f"{show(estimate.middle)} ×/÷ {estimate.spread:.2f}", between)
    return Cell(f"{show(estimate.middle)} ± {show(estimate.spread)}", between)


def _difference(test: PairTest) -> Cell:
    result, factor = test.result, _factor(test.measure)
    if result.difference is None:
        return Cell(NONE)

    def show(value: float) -> str:
        return f"{value:.3g}" if result.logarithmic else _signed(value * factor)

    between = "" if result.low is None or result.high is None else f"[{show(result.low)}, {show(result.high)}]"
    return Cell(("× " if result.logarithmic else "") + show(result.difference), between)


def _signed(value: float) -> str:
    return f"{value:+.2f}" if 0.1 <= abs(value) < 1e4 else f"{value:+.3g}"


def _notation(estimate: Estimate, factor: float) -> Callable[[float], str]:
    """How all numbers of a cell are spelled: two digits of the spread, or three digits where that would be unwieldy."""
    spread = None if estimate.logarithmic or not estimate.spread else estimate.spread * factor
    middle = abs((estimate.middle or 0.0) * factor)
    if spread is not None and 1e-3 <= spread and middle < 1e5:
        decimals = max(0, 1 - math.floor(math.log10(spread)))
        return lambda value: f"{value * factor:.{decimals}f}"
    return lambda value: f"{value * factor:.{4 if factor != 1 else 3}g}"


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
