"""A comparison as Markdown and as LaTeX; what comes from outside, such as the name of a folder, is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tune_lpc.results.comparison import Comparison
from tune_lpc.results.comparison_text import TIMES, TextTable, tables, verdicts

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # at the beginning of a row it would be read as an option of the line break before it
    "±": r"$\pm$",
    TIMES: r"$\times$",
    "÷": r"$\div$",
}
_LAST_LETTER = "\u017f"
"""pdfLaTeX has no sign for most of what comes behind it."""
_EXPONENT = re.compile(r"(?<=\d)e([+-])0*(\d+)")


def markdown(comparison: Comparison) -> str:
    """The tables as Markdown, what the tests say above them, what has to be known of them below."""
    parts = ["# Comparison of methods on test data", _bullets(verdicts(comparison))]
    for table in tables(comparison):
        parts += [f"## {table.title}", _markdown_table(table), _markdown_text(table.legend)]
    parts += ["## Notes", _bullets(comparison.notes)] if comparison.notes else []
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(comparison: Comparison) -> str:
    """The same tables as LaTeX to be included, each a table of its own, with the rules of the package booktabs."""
    parts = [
        r"% Made by python -m tune_lpc.compare, to be included. Needs \usepackage{booktabs}.",
        *("% " + _latex_text(line) for line in comparison.notes),
        *map(_latex_table, tables(comparison)),
    ]
    return "\n".join(parts) + "\n"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_markdown_text(line)}" for line in lines)


def _markdown_table(table: TextTable) -> str:
    rows = [[_markdown_text(name) for name in table.header], ["---"] * len(table.header)]
    rows += [[_markdown_text(f"{cell.text} {cell.interval}".strip()) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_<>|]|(?<=\])\()", r"\\\1", text)


def _latex_table(table: TextTable) -> str:
    """A row a config, and where any has an interval a second one for these, in smaller print."""
    lines = [
        r"\begin{table}[htbp]",
        r"\centering\footnotesize",
        rf"\caption{{{_latex_text(table.title)}. {_latex_text(table.legend)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
        r"\toprule",
        _latex_row(table.header),
        r"\midrule",
    ]
    for row in table.rows:
        lines.append(_latex_row([cell.text for cell in row]))
        if any(cell.interval for cell in row):
            lines.append(_latex_row([cell.interval for cell in row], small=True))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _latex_row(cells: Sequence[str], *, small: bool = False) -> str:
    shown = [rf"{{\scriptsize {_latex_text(cell)}}}" if cell and small else _latex_text(cell) for cell in cells]
    return " & ".join(shown) + r" \\"


def _latex_text(text: str) -> str:
    """Text with what LaTeX would take as a command escaped, and numbers set as such."""
    found = "".join(_LATEX.get(each, each if each <= _LAST_LETTER else "?") for each in text)
    found = re.sub(r"(?<![\w.])-(?=\d)", "$-$", found)
    return _EXPONENT.sub(lambda match: rf"$\times10^{{{match[1].strip('+')}{match[2]}}}$", found)
