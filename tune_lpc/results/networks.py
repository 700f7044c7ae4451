"""The networks that were trained to confirm a search, read back from its confirm.parquet."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tune_lpc.plan.errors import UserError, shown
from tune_lpc.results.confirmed import ALL, MEASURE, TRAIN
from tune_lpc.results.loading import load_table

ACCURACY, LOSS = "test_accuracy", "test_loss"
REASON = ".reason"
"""What the columns end with that say why a measure is null."""

_COLUMNS = {
    "method": pa.string(),
    "space": pa.string(),
    "rank": pa.int64(),
    "trial_id": pa.string(),
    "seed": pa.int64(),
    "split": pa.int64(),
    "train_on": pa.string(),
    "announced": pa.float64(),
    "announced_low": pa.float64(),
    "announced_high": pa.float64(),
    "opened_before": pa.int64(),
    "test_images": pa.int64(),
    ACCURACY: pa.float64(),
    LOSS: pa.float64(),
    "status": pa.string(),
    "reason": pa.string(),
}
"""What is read beside the measures."""
_NEVER_NULL = ("method", "space", "rank", "trial_id", "seed", "split", "train_on", "status")
_OF_THE_SEARCH = ("method", "space")
_SHARES = (ACCURACY, "announced", "announced_low", "announced_high")
_MEND = "take the file as confirm wrote it"


@dataclass(frozen=True)
class Network:
    """A network that was trained to confirm a config: a row of confirm.parquet.

    method, space, rank, trial_id: of the config. split, seed: by which networks of different searches are paired.
    train_on: train, or all, which takes the validation images too. announced: the score of the search, with its 95 %
    interval, 0 to 1. opened_before: how often test images had been opened for its search before. test_images: on how
    many it was tested, None where it was not. values: by column, test_accuracy, test_loss and test.<measure>, finite
    ones alone; reasons: why one has none. status, reason: how its training ended.
    """

    method: str
    space: str
    rank: int
    trial_id: str
    split: int
    seed: int
    train_on: str
    announced: float | None
    announced_low: float | None
    announced_high: float | None
    opened_before: int | None
    test_images: int | None
    values: dict[str, float]
    reasons: dict[str, str]
    status: str
    reason: str | None

    @property
    def pair(self) -> tuple[int, int]:
        """Split and seed."""
        return self.split, self.seed


def load_networks(path: Path) -> tuple[list[str], list[Network]]:
    """The columns of values in confirm.parquet, accuracy and loss first, and the networks, at least one.

    Raises UserError where the file is not as confirm writes it.
    """
    table = load_table(path)
    values = [ACCURACY, LOSS, *_checked_measures(path, table)]
    reasons = [name + REASON for name in values if name + REASON in table.schema.names]
    rows = table.select(dict.fromkeys([*_COLUMNS, *values, *reasons])).to_pylist()
    if not rows:
        raise UserError(f"{path} holds no network; run python -m tune_lpc.confirm {path.parent} again")
    if problems := _row_problems(rows):
        raise UserError([f"{path} is damaged: in {problem}; {_MEND}" for problem in problems])
    return values, [_network(row, values) for row in rows]


def _checked_measures(path: Path, table: pa.Table) -> list[str]:
    """The columns of measures. Raises UserError where any column is missing or of another type."""
    names = table.schema.names
    measures = [name for name in names if name.startswith(MEASURE) and not name.endswith(REASON)]
    wanted = {**_COLUMNS, **dict.fromkeys(measures, pa.float64())}
    lacking = [name for name in wanted if name not in names]
    found = {name: table.schema.field(name).type for name in wanted if name in names}
    told = [f"it lacks the columns {', '.join(lacking)}"] if lacking else []
    told += [f"{name} is of type {kind}, not {wanted[name]}" for name, kind in found.items() if kind != wanted[name]]
    if told:
        raise UserError(f"{path} is damaged: {'; '.join(told)}; {_MEND}")
    return measures


def _row_problems(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line a row that holds what no network can have, or that is there twice."""
    key = ("rank", "train_on", "split", "seed")
    counts = Counter(tuple(row[name] for name in key) for row in rows)
    problems = []
    for number, row in enumerate(rows, start=1):
        wrong = [f"{name} is null" for name in _NEVER_NULL if row[name] is None]
        wrong += [f"{name} is {shown(row[name])}, another" for name in _OF_THE_SEARCH if row[name] != rows[0][name]]
        if row["train_on"] not in (TRAIN, ALL):
            wrong.append(f"train_on is {shown(row['train_on'])}, not {TRAIN} or {ALL}")
        for name in _SHARES:
            if row[name] is not None and not 0 <= row[name] <= 1:
                wrong.append(f"{name} is {shown(row[name])}, not from 0 to 1")
        if counts[tuple(row[name] for name in key)] > 1:
            wrong.append("is a network that another row has")
        if wrong:
            problems.append(f"row {number} {'; '.join(wrong)}")
    return problems


def _network(row: dict[str, Any], columns: Sequence[str]) -> Network:
    values = {name: row[name] for name in columns if row[name] is not None and math.isfinite(row[name])}
    untold = {None: "no reason is given", math.inf: "it is infinite", -math.inf: "it is infinite"}
    reasons = {
        name: row.get(name + REASON) or untold.get(row[name], "it is not a number")
        for name in columns
        if name not in values
    }
    own = {name: row[name] for name in _COLUMNS if name not in (ACCURACY, LOSS)}
    return Network(**own, values=values, reasons=reasons)
