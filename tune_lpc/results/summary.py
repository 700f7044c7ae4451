"""The figures that a search ends with, taken from its tables; printing them is the terminal's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from tune_lpc.results.export import Tables
from tune_lpc.results.history import STATUSES
from tune_lpc.spec.record import SCORE
from tune_lpc.spec.trial import Value


@dataclass(frozen=True)
class RankedConfig:
    """A row of the ranking.

    score: validation accuracy of the last epoch (0 to 1); best_score: that of `best_epoch`.
    config: the searched settings; None where one has no effect.
    """

    rank: int
    trial_id: str
    number: int
    status: str
    score: float
    epochs: int
    best_epoch: int
    best_score: float
    config: dict[str, Value]


@dataclass(frozen=True)
class Summary:
    """A search in figures.

    trials: how many; counts: how many ended in each status, every status named.
    epochs_spent: epochs reached by all trials; those done again after a failure count once.
    epochs_without_stopping: what they would have been, had each stopped trial gone on to its full budget. Diverged,
        failed and interrupted trials count as they are: it is not early stopping that ended them.
    share_saved: 1 - epochs_spent / epochs_without_stopping, from 0 to 1.
    seconds: wall time of all epochs added up; trials that ran side by side count each.
    best: the first rows of the ranking.
    """

    trials: int
    counts: dict[str, int]
    epochs_spent: int
    epochs_without_stopping: int
    share_saved: float
    seconds: float
    best: list[RankedConfig]


def summarise(tables: Tables, *, searched: list[str], top: int = 5) -> Summary:
    """The figures of a search, with its `top` best configs and their values of the `searched` settings."""
    trials = tables.trials
    stopped = trials[trials["status"] == "stopped"]
    spent = int(trials["epochs"].sum())
    without_stopping = spent + int((stopped["config.epochs"] - stopped["epochs"]).sum())
    return Summary(
        trials=len(trials),
        counts={status: int((trials["status"] == status).sum()) for status in STATUSES},
        epochs_spent=spent,
        epochs_without_stopping=without_stopping,
        share_saved=1 - spent / without_stopping if without_stopping else 0.0,
        seconds=float(trials["seconds"].sum()),
        best=[_ranked_config(row, searched) for row in tables.best.head(top).to_dict("records")],
    )


def _ranked_config(row: dict[Any, Any], searched: list[str]) -> RankedConfig:
    return RankedConfig(
        rank=row["rank"],
        trial_id=row["trial_id"],
        number=row["number"],
        status=row["status"],
        score=row["score"],
        epochs=row["epochs"],
        best_epoch=row["best_epoch"],
        best_score=row[f"best.{SCORE}"],
        config={name: None if pd.isna(row[f"config.{name}"]) else row[f"config.{name}"] for name in searched},
    )
