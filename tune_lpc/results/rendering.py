"""A comparison as people write it into papers: rows of text, Markdown, LaTeX, and tables of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from tune_lpc.results.comparison import ACCURACY, Comparison, Difference
from tune_lpc.results.confirmed import MEASURE
from tune_lpc.results.statistics import Summary

SIGNIFICANT = 0.05


def table_of_searches(comparison: Comparison) -> pd.DataFrame:
    """A row a search, in words: the papers' table."""
    rows = []
    for search in comparison.searches:
        row = {"method": search.name}
        for measure in comparison.measures:
            row[_title(measure)] = _told(search.values[measure], percent=measure == ACCURACY)
        row["announced, %"] = f"{100 * search.announced:.2f}"
        between = "" if search.low is None else f" ({100 * search.low:+.2f} to {100 * (search.high or 0.0):+.2f})"
        row["optimism, points"] = "none" if search.optimism is None else f"{100 * search.optimism:+.2f}{between}"
        row["networks"] = str(search.values[ACCURACY].number)
        spent = search.spent
        row["searched"] = f"{spent.trials} trials, {spent.epochs:,} epochs, {spent.hours:.2f} h"
        rows.append(row)
    return pd.DataFrame(rows)


def table_of_ties(comparison: Comparison) -> pd.DataFrame:
    """A row a config that was confirmed beside the named one of its search; empty without any."""
    rows = []
    for search in comparison.searches:
        for rank, networks in search.ties.items():
            tested = networks[ACCURACY].dropna()
            accuracy = "not tested" if tested.empty else f"{100 * tested.mean():.2f}"
            if len(tested) > 1:
                accuracy += f" ± {100 * tested.std():.2f}"
            rows.append({"method": search.name, "rank": str(rank), _title(ACCURACY): accuracy})
    return pd.DataFrame(rows, columns=["method", "rank", _title(ACCURACY)])


def table_of_tests(comparison: Comparison) -> pd.DataFrame:
    """A row a paired test, in words."""
    rows = []
    for difference in comparison.differences:
        test, percent = difference.test, difference.measure == ACCURACY
        unit = 100 if percent else 1
        told = "none" if test.difference is None else f"{unit * test.difference:+.4g}"
        if test.low is not None and test.high is not None:
            told += f" ({unit * test.low:+.4g} to {unit * test.high:+.4g})"
        rows.append(
            {
                "measure": _title(difference.measure) if percent else difference.measure.removeprefix(MEASURE),
                "of": f"{difference.one} less {difference.other}",
                "difference": told + (", log10" if test.is_log else ""),
                "pairs": str(test.pairs),
                "p": _p(test.p),
                "p, Holm": _p(difference.corrected),
                "effect": "none" if test.effect is None else f"{test.effect:+.2f}",
                "says": test.reason or _says(difference),
            }
        )
    return pd.DataFrame(rows)


def markdown(comparison: Comparison) -> str:
    """The whole comparison as Markdown."""
    parts = ["# Comparison on test images", *_explained(comparison), _markdown_table(table_of_searches(comparison))]
    if not (ties := table_of_ties(comparison)).empty:
        parts += ["Configs that the search could not tell from the named one:", _markdown_table(ties)]
    parts += ["## Paired tests", _TESTS, _markdown_table(table_of_tests(comparison))]
    return "\n\n".join(parts) + "\n"


def latex(comparison: Comparison) -> str:
    """The table of methods and that of tests as LaTeX; they need the package booktabs."""
    parts = ["% needs \\usepackage{booktabs}"]
    parts += [f"% {line}" for line in _explained(comparison)]
    for table in (table_of_searches(comparison), table_of_ties(comparison), table_of_tests(comparison)):
        if not table.empty:
            parts.append(_latex_table(table))
    return "\n".join(parts) + "\n"


def numbers_of_searches(comparison: Comparison) -> pa.Table:
    """A row a search and measure, as numbers."""
    rows = [
        {
            "method": search.name,
            "directory": str(search.directory),
            "measure": measure,
            "networks": values.number,
            "mean": values.mean,
            "median": values.median,
            "deviation": values.deviation,
            "low": values.low,
            "high": values.high,
            "announced": search.announced if measure == ACCURACY else None,
            "optimism": search.optimism if measure == ACCURACY else None,
            "trials": search.spent.trials,
            "epochs_trained": search.spent.epochs,
            "hours": search.spent.hours,
        }
        for search in comparison.searches
        for measure, values in search.values.items()
    ]
    return pa.Table.from_pylist(rows)


def numbers_of_tests(comparison: Comparison) -> pa.Table:
    """A row a paired test, as numbers."""
    kinds = {"measure": pa.string(), "one": pa.string(), "other": pa.string(), "pairs": pa.int64()}
    kinds |= dict.fromkeys(("difference", "low", "high", "t", "p", "p_holm", "effect"), pa.float64())
    kinds |= {"is_log": pa.bool_(), "reason": pa.string()}
    rows = [
        {
            "measure": difference.measure,
            "one": difference.one,
            "other": difference.other,
            **{name: getattr(difference.test, name) for name in difference.test.__dataclass_fields__},
            "p_holm": difference.corrected,
        }
        for difference in comparison.differences
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))


_TESTS = (
    "Student's paired t-test over the networks of the same seed and split, two-sided; Holm's correction among the "
    "tests of a measure; effect: mean over standard deviation of the differences, with Hedges' correction."
)


def _explained(comparison: Comparison) -> list[str]:
    images = comparison.searches[0].networks["test_images"].dropna()
    lines = [
        "Mean ± standard deviation over the networks of the config that each search named, with the 95 % interval of "
        f"the mean; {int(images.iloc[0]):,} test images, opened once a network. Optimism: what the search announced "
        "less what was confirmed."
    ]
    return [*lines, *(f"Note: {note}." for note in comparison.notes)]


def _says(difference: Difference) -> str:
    if difference.corrected is None:
        return "nothing"
    return "differ" if difference.corrected < SIGNIFICANT else "can't be told apart"


def _p(value: float | None) -> str:
    return "none" if value is None else "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _title(measure: str) -> str:
    return "test accuracy, %" if measure == ACCURACY else measure.removeprefix(MEASURE)


def _told(values: Summary, *, percent: bool) -> str:
    if values.mean is None:
        return "none"

    def number(value: float) -> str:
        return f"{100 * value:.2f}" if percent else f"{value:.3g}"

    text = number(values.mean)
    if values.deviation is not None and values.low is not None and values.high is not None:
        text += f" ± {number(values.deviation)} ({number(values.low)} to {number(values.high)})"
    return text


def _markdown_table(table: pd.DataFrame) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    rows = [line(list(table.columns)), "|" + "---|" * len(table.columns)]
    return "\n".join(rows + [line([str(cell) for cell in row]) for row in table.itertuples(index=False)])


def _latex_table(table: pd.DataFrame) -> str:
    text: str = table.to_latex(index=False, escape=True, column_format="l" * len(table.columns))
    return text.replace("±", "$\\pm$").replace(" -", " $-$").replace("(-", "($-$")
