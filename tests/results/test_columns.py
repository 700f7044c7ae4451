from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tune_lpc.results import schema
from tune_lpc.results.columns import columns_markdown
from tune_lpc.results.schema import best_schema, epochs_schema, fidelity_schema, rungs_schema, trials_schema

ROOT = Path(__file__).parents[2]


def test_every_column_is_listed_itself_or_by_its_family() -> None:
    named = set(re.findall(r"^\| `([^`]+)` \|", columns_markdown(), re.MULTILINE))
    for table in (trials_schema(), epochs_schema(), best_schema(), rungs_schema(), fidelity_schema()):
        for name in table.names:
            family = name.split(".")[0] + ".<name>"
            bare = name.removeprefix("best.").removeprefix("last.")
            assert name in named or (family in named and bare in named), name


def test_every_table_has_its_part_of_the_page() -> None:
    files = {name.removesuffix("_schema") for name in vars(schema) if re.fullmatch(r"[a-z_]+_schema", name)}
    assert len(files) >= 5
    assert files == set(re.findall(r"^## (\w+)\.parquet$", columns_markdown(), re.MULTILINE))


def test_a_row_holds_type_unit_and_meaning() -> None:
    assert "| `seconds` | number | s | wall time of the epoch, validation included |" in columns_markdown()
    assert "| `config.nesterov` | true or false |  | Nesterov's momentum" in columns_markdown()


def test_every_table_row_has_four_cells() -> None:
    rows = [line for line in columns_markdown().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}


def test_the_ranking_rule_is_told() -> None:
    assert "1. Configs that reached the full budget" in columns_markdown()


def test_what_is_compared_at_a_rung_is_told() -> None:
    assert "Only control trials are compared" in columns_markdown()


def test_the_command_prints_it_and_nothing_else() -> None:
    command = [sys.executable, "-m", "tune_lpc.results.columns"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == columns_markdown() + "\n"
    assert done.stderr == ""


def test_the_page_in_docs_is_that_of_today() -> None:
    page = (ROOT / "docs" / "columns.md").read_text(encoding="utf-8")
    assert page == columns_markdown() + "\n", "run python -m tune_lpc.results.columns > docs/columns.md"
