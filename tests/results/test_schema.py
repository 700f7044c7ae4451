from __future__ import annotations

import pyarrow as pa
import pytest

from tune_lpc.plan.record import record_fields
from tune_lpc.plan.trial import setting_names
from tune_lpc.results.schema import (
    best_schema,
    epochs_schema,
    fidelity_schema,
    placements_schema,
    rungs_schema,
    trials_schema,
)

RECORD = [field.name for field in record_fields()]
CONFIG = [f"config.{name}" for name in setting_names()]


def test_names_and_order_of_the_columns() -> None:
    start = ["trial_id", "number", "status", "reason", "control", "repeat_of", "budget", "epochs"]
    start += ["epochs_trained", "epochs_repeated", "restarts", "seconds", "best_epoch"]
    records = [f"{prefix}.{name}" for prefix in ("best", "last") for name in RECORD[2:]]
    assert trials_schema().names == [*start, *records, *CONFIG]
    assert epochs_schema().names == ["trial_id", "number", *RECORD]
    assert RECORD[:2] == ["budget", "epoch"]
    start = ["rank", "score", "low", "high", "seeds", "diverged_seeds", "tied", "front", "regularisers"]
    start += ["trial_id", "number", "status", "budget", "epochs", "best_epoch"]
    assert best_schema().names == [*start, "best.validation_accuracy", *CONFIG]
    decided = ["score", "rank", "of", "goes_on", "control", "promoted"]
    assert rungs_schema().names == ["trial_id", "number", "rung", *decided]
    assert fidelity_schema().names == ["rung", "trials", "spearman", "kept", "regret"]
    where = ["session", "host", "pid", "from_budget", "from_epoch", "processes"]
    assert placements_schema().names == ["trial_id", "number", *where]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("number", pa.int64()),
        ("control", pa.bool_()),
        ("repeat_of", pa.int64()),
        ("epochs_repeated", pa.int64()),
        ("seconds", pa.float64()),
        ("best.nc1", pa.float64()),
        ("last.diverged", pa.string()),
        ("config.train_size", pa.int64()),
        ("config.beta", pa.float64()),
        ("config.nesterov", pa.bool_()),
        ("config.network", pa.string()),
    ],
)
def test_types_follow_the_declarations(name: str, kind: pa.DataType) -> None:
    assert trials_schema().field(name).type == kind


def test_every_column_says_what_it_means_and_some_have_units() -> None:
    schemas = (trials_schema, epochs_schema, best_schema, rungs_schema, fidelity_schema, placements_schema)
    for schema in (schema() for schema in schemas):
        assert all(field.metadata[b"description"] for field in schema)
        assert all(b"unit" in field.metadata for field in schema)
    assert epochs_schema().field("seconds").metadata[b"unit"] == b"s"
    assert trials_schema().field("last.validation_accuracy").metadata[b"unit"] == b"0 to 1"
    assert b"null where it has no effect" in trials_schema().field("config.beta").metadata[b"description"]
