"""Markdown and LaTeX of a comparison: whole tables, and nothing from outside that is taken for markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.results.confirmations import confirmed, networks, three
from tune_lpc.results.comparison import compare
from tune_lpc.results.comparison_markup import latex, markdown

ODD = r"50%_&#$^~{x}\y|<b>*`é漢[z](u)"
"""A folder's name may hold any of these."""


def odd_searches(folder: Path) -> Path:
    confirmed(folder / "plain", networks([0.9, 0.92, 0.95]))
    confirmed(folder / ODD, networks([0.9, 0.91, 0.95]))
    return folder


def markdown_tables(text: str) -> list[list[list[str]]]:
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    return [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()] for block in blocks]


def tabulars(text: str) -> list[tuple[str, list[list[str]]]]:
    """The columns that each tabular declares, and its cells."""
    found = []
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        rows = [line.removesuffix(r" \\") for line in body.strip().splitlines() if line.endswith(r" \\")]
        assert [line for line in body.split("\n") if line and not line.endswith(r" \\")] == [
            r"\toprule",
            r"\midrule",
            r"\bottomrule",
        ]
        found.append((columns, [re.split(r"(?<!\\)&", row) for row in rows]))
    return found


def test_the_markdown_has_every_table_whole(tmp_path: Path) -> None:
    text = markdown(compare([three(tmp_path)]))
    assert re.findall(r"^#+ .*$", text, re.MULTILINE) == [
        "# Comparison of methods on test data",
        "## Test data (360 images), the named config of each method",
        "## Paired tests (against vanilla, 5 pairs each, at equal budget)",
        "## Optimism",
        "## Budget of each search",
    ]
    found = markdown_tables(text)
    assert len(found) == 4
    for table in found:
        assert len({len(row) for row in table}) == 1
        assert {cell.strip() for cell in table[1]} == {"---"}
    assert "| test accuracy, % | 94.87 ± 0.27 [94.53, 95.20] |" in text
    assert text.startswith("# Comparison of methods on test data\n\n- lpc against vanilla: test accuracy +1.86 points")


def test_notes_stand_below(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "a", networks([0.9, None]))
    text = markdown(compare([folder]))
    assert text.endswith(
        "## Notes\n\n"
        "- vanilla: 1 of 2 networks left out of its figures: split 1, seed 1001 diverged (training loss is nan)\n"
        "- one seed tells nothing of luck: no intervals, no tests; confirm with --seeds 5\n"
    )


def test_a_folders_name_is_no_markdown(tmp_path: Path) -> None:
    text = markdown(compare([odd_searches(tmp_path)]))
    assert r"vanilla (50%\_&#$^~{x}\\y\|\<b\>\*\`é漢[z]\(u))" in text
    assert {len(row) for row in markdown_tables(text)[0]} == {3}


def test_the_latex_has_every_table_whole(tmp_path: Path) -> None:
    text = latex(compare([three(tmp_path)]))
    found = tabulars(text)
    assert len(found) == 4 == text.count(r"\begin{table}") == text.count(r"\caption{")
    for columns, rows in found:
        assert set(columns) <= set("lr")
        assert {len(row) for row in rows} == {len(columns)}
    assert [cell.strip() for cell in found[0][1][1]][:2] == [r"test accuracy, \%", r"94.87 $\pm$ 0.27"]
    assert found[0][1][2][1].strip() == r"{\scriptsize {[}94.53, 95.20]}"


@pytest.mark.parametrize("make", [three, odd_searches])
def test_the_latex_is_in_order(make: type, tmp_path: Path) -> None:
    text = latex(compare([make(tmp_path)]))
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    bare = re.sub(r"\\([\\{}$&#%_])", "", body)
    assert bare.count("{") == bare.count("}")
    assert {line.count("$") % 2 for line in bare.splitlines()} == {0}, "each formula ends on its line"
    assert not set('#%_^~<>|"') & set(re.sub(r"\$\\times10\^\{-?\d+\}\$", "", bare))
    assert not re.search(r"\\\\\s*\[", body), "no row begins with what a line break takes for its option"
    assert set(re.findall(r"\\begin\{(\w+)\}", body)) == set(re.findall(r"\\end\{(\w+)\}", body))


def test_a_folders_name_is_no_latex(tmp_path: Path) -> None:
    text = latex(compare([odd_searches(tmp_path)]))
    assert (
        r"vanilla (50\%\_\&\#\$\textasciicircum{}\textasciitilde{}\{x\}\textbackslash{}y\textbar{}"
        r"\textless{}b\textgreater{}*`é?{[}z](u))"
    ) in text


def test_numbers_are_set_as_numbers(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "a", networks([0.9, 0.95], [-1e-9, -3e-9]))
    assert r"$-$2$\times10^{-9}$ $\pm$ 1.41$\times10^{-9}$" in latex(compare([folder]))


def test_notes_are_comments(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "a", networks([0.9, 0.95, None], reason="one\ntwo"))
    lines = latex(compare([folder])).splitlines()
    assert lines[0] == r"% Made by python -m tune_lpc.compare, to be included. Needs \usepackage{booktabs}."
    assert lines[1].startswith("% vanilla: 1 of 3 networks left out of its figures: split 2, seed 1002 diverged")
    assert "one two" in lines[1]
    assert lines[2] == r"\begin{table}[htbp]"
