"""The page of all columns, made from the schemas: `python -m tune_lpc.results.columns > docs/columns.md`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import pyarrow as pa

from tune_lpc.results.ranking import ranked
from tune_lpc.results.schema import (
    best_schema,
    comparison_schema,
    comparison_tests_schema,
    confirm_schema,
    epochs_schema,
    fidelity_schema,
    front_schema,
    placements_schema,
    rungs_schema,
    trials_schema,
)
from tune_lpc.results.tables import fidelity_table

_HEADING = """# Columns of the files

Made from the schemas by `python -m tune_lpc.results.columns > docs/columns.md`; a test compares. In Python the same
stands in the metadata of each file: `pyarrow.parquet.read_schema("best.parquet").field("score").metadata`."""
_TYPES = {"int64": "integer", "double": "number", "bool": "true or false", "string": "text"}
_RECORD = "each column of `epochs.parquet` from `train_loss` on, at the {} epoch"
_CONFIG = "each setting of the trial, see below"
_OBJECTIVE = ("`objective.<name>`", "each objective of a search with several, under its name")
_MEASURES = [
    ("`measure.<name>`", "each measure that `--measure` asked for, on the validation images, at the end of the budget"),
    ("`measure.<name>.reason`", "why that measure is null; null where it is not"),
]
_TESTED = [
    ("`test.<name>`", "each measure that `--measure` of the confirmation asked for, on the test images"),
    ("`test.<name>.reason`", "why that measure is null; null where it is not"),
]


def columns_markdown() -> str:
    """The page in Markdown: the columns of the files with types, units and meaning, and the rule of the ranking.

    The columns of an epoch and the settings are listed once; `best.<name>`, `last.<name>` and `config.<name>` refer
    to them.
    """
    trials, epochs, best = trials_schema(), epochs_schema(), best_schema()
    record = [("`best.<name>`", _RECORD.format("best")), ("`last.<name>`", _RECORD.format("last"))]
    config = ("`config.<name>`", _CONFIG)
    own = [column for column in trials if "." not in column.name]
    ranking = [column for column in best if not column.name.startswith("config.")]
    tested = [column for column in confirm_schema() if not column.name.startswith("config.")]
    settings = [column for column in trials if column.name.startswith("config.")]
    return "\n\n".join(
        [
            _HEADING,
            "## trials.parquet",
            "A row a trial, in order of number.",
            _table(own, [*record, *_MEASURES, config]),
            "## epochs.parquet",
            "A row an epoch of a run of a trial, in order of number, then budget, then epoch.",
            _table(epochs, []),
            "## best.parquet",
            "A row a ranked config.",
            _table(ranking, [_OBJECTIVE, config]),
            inspect.cleandoc(ranked.__doc__ or ""),
            "## rungs.parquet",
            "A row a decision, in order: one when a trial comes to a rung, and one more when it is promoted later.",
            _table(rungs_schema(), [_OBJECTIVE]),
            "## front.parquet",
            "A row a trial that trained its full budget, in that order; only in a search with several objectives.",
            _table(front_schema(), []),
            "## placements.parquet",
            "A row a stay of a trial on a worker, in order of number.",
            _table(placements_schema(), []),
            "## fidelity.parquet",
            "A row a rung.",
            _table(fidelity_schema(), []),
            inspect.cleandoc(fidelity_table.__doc__ or ""),
            "## confirm.parquet",
            "A row a network that `python -m tune_lpc.confirm` asked for, those of a config together; not part of the "
            "search (docs/confirm.md).",
            _table(tested, [*_TESTED, config]),
            "## comparison.parquet",
            "A row a config that was confirmed and measure, by `compare`: see [compare.md](compare.md).",
            _table(comparison_schema(), []),
            "## comparison_tests.parquet",
            "A row a measure and pair of named configs.",
            _table(comparison_tests_schema(), []),
            "## Settings",
            "`config.<name>`, in `trials.parquet` and `best.parquet`. The names without `config.` are those that a "
            "search space and `--set` take.",
            _table(settings, []),
        ]
    )


def _table(columns: Iterable[pa.Field], families: Iterable[tuple[str, str]]) -> str:
    """A Markdown table of columns; a family is a name and a meaning that stand for many columns."""
    rows = ["| Column | Type | Unit | Meaning |", "|---|---|---|---|"]
    for column in columns:
        metadata = {key.decode(): text.decode() for key, text in column.metadata.items()}
        kind = _TYPES[str(column.type)]
        rows.append(f"| `{column.name}` | {kind} | {metadata['unit']} | {metadata['description']} |")
    rows += [f"| {name} | | | {meaning} |" for name, meaning in families]
    return "\n".join(rows)


if __name__ == "__main__":
    print(columns_markdown())
