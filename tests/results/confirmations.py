"""Folders of made-up searches that were confirmed, for the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.results.runs import Search
from tune_lpc.results import export
from tune_lpc.results.confirmed import CONFIRM_FILE
from tune_lpc.results.schema import confirm_schema

FACTS: dict[str, Any] = {
    "command": "python -m tune_lpc.run digits",
    "space": {"name": "digits"},
    "space_hash": "a",
    "data": {"fingerprint": "digits"},
    "split_hash": "split",
    "precision": "float32",
    "versions": {"tune_lpc": "0.2.0", "torch": "2.14"},
    "time": {"hours": None, "gpu_hours": None},
}


def network(accuracy: float | None, seed: int, **values: Any) -> dict[str, Any]:
    """A row of confirm.parquet of the named config; without accuracy it diverged. `values` replace what is made up."""
    diverged = accuracy is None
    return {
        "method": "vanilla",
        "space": "digits",
        "rank": 1,
        "trial_id": "t000",
        "seed": 1000 + seed,
        "split": seed,
        "train_on": "train",
        "announced": 0.97,
        "announced_low": 0.95,
        "announced_high": 0.98,
        "opened_before": 0,
        "validation_accuracy": accuracy,
        "test_images": None if diverged else 360,
        "test_accuracy": accuracy,
        "test_loss": None if accuracy is None else round(1 - accuracy, 6),
        "epochs": 1 if diverged else 12,
        "seconds": 3.0,
        "status": "diverged" if diverged else "completed",
        "reason": "training loss is nan" if diverged else "full budget",
        **values,
    }


def networks(
    accuracies: Sequence[float | None], nc1: Sequence[float | None] = (), **values: Any
) -> list[dict[str, Any]]:
    """A row a seed. nc1: as many, where it was measured; None is null with a reason."""
    rows = [network(accuracy, seed, **values) for seed, accuracy in enumerate(accuracies)]
    for row, value in zip(rows, nc1, strict=False):
        row["test.nc1"], row["test.nc1.reason"] = value, "a class is empty" if value is None else None
    return rows


def write_confirm(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """confirm.parquet with these rows."""
    measures = [name for row in rows for name in row if name.startswith("test.") and not name.endswith(".reason")]
    about = {"measures": {name.removeprefix("test."): "what it is" for name in dict.fromkeys(measures)}}
    pq.write_table(pa.Table.from_pylist(list(rows), schema=confirm_schema({"confirm": about})), folder / CONFIRM_FILE)


def confirmed(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    trials: int = 3,
    epochs: int = 4,
    further_seeds: int = 0,
    **facts: Any,
) -> Path:
    """The folder of a search of so many trials of so many epochs, 2 s each, and its confirm.parquet."""
    folder.mkdir(parents=True)
    search = Search(folder)
    for _ in range(trials):
        search.trial([0.9] * epochs)
    for _ in range(further_seeds):
        search.trial([0.9] * epochs, repeat_of=0)
    search.journal.close()
    export(folder)
    (folder / "run.json").write_text(json.dumps({**FACTS, **facts}))
    write_confirm(folder, rows)
    return folder


def three(folder: Path, seeds: int = 5) -> Path:
    """vanilla, lpc and sliding in folders of their own: lpc is better, sliding as good; the NC1 of both is lower."""
    draw = np.random.default_rng(7)
    shared = draw.normal(0.95, 0.004, seeds)
    for method, gain, collapse in (("vanilla", 0.0, 1.0), ("lpc", 0.02, 0.02), ("sliding", 0.001, 0.4)):
        accuracies = shared + gain + draw.normal(0, 0.002, seeds)
        nc1 = 0.5 * collapse * np.exp(draw.normal(0, 0.3, seeds))
        rows = networks(accuracies.round(4).tolist(), nc1.round(5).tolist(), method=method)
        confirmed(folder / method, rows)
    return folder


def change_run(folder: Path, **facts: Any) -> None:
    """Change what run.json says."""
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def change_rows(folder: Path, **values: Any) -> None:
    """Change what all rows of confirm.parquet say."""
    rows = pq.read_table(folder / "confirm.parquet").to_pylist()
    write_confirm(folder, [{**row, **values} for row in rows])


def read(path: Path) -> pd.DataFrame:
    """A Parquet file with pandas' nullable types."""
    return pd.read_parquet(path, dtype_backend="numpy_nullable")
