"""From the history of a search to the rows of its three tables."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from tune_lpc.results.history import History, TrialHistory
from tune_lpc.results.schema import best_schema, epochs_schema, trials_schema
from tune_lpc.spec.record import SCORE

Row = dict[str, Any]


def trials_table(history: History) -> pa.Table:
    """A row a trial, in order of number."""
    measures = history.run.get("measures", {})
    rows = [_trial_row(trial, measures) for trial in history.trials]
    return pa.Table.from_pylist(rows, schema=trials_schema(history.run))


def epochs_table(history: History) -> pa.Table:
    """A row an epoch of a trial, in order of number, then epoch."""
    rows = [
        {"trial_id": trial.trial_id, "number": trial.number, **trial.records[epoch]}
        for trial in history.trials
        for epoch in sorted(trial.records)
    ]
    return pa.Table.from_pylist(rows, schema=epochs_schema(history.run))


def best_table(history: History) -> pa.Table:
    """A row a ranked trial, the best first; see `ranked`."""
    rows = [
        {"rank": rank, "score": trial.last[SCORE], **_trial_row(trial)}
        for rank, trial in enumerate(ranked(history.trials), start=1)
    ]
    return pa.Table.from_pylist(rows, schema=best_schema(history.run))


def ranked(trials: list[TrialHistory]) -> list[TrialHistory]:
    """The trials, best first, by this rule.

    1. Trials that reached the full budget (config.epochs) come before those that did not.
    2. Of those with fewer epochs, more epochs come first: a score early in the ramps says little about the end.
    3. A higher score, the validation accuracy of the last epoch, comes first.
    4. Equal scores: the lower validation loss of the last epoch, then the lower number.

    Diverged and failed trials, and those whose last epoch has no score, are not ranked.
    """
    return sorted((trial for trial in trials if _is_ranked(trial)), key=_place)


def _is_ranked(trial: TrialHistory) -> bool:
    # A killed search may have recorded the diverged epoch, but no longer the end of its trial.
    diverged = trial.status == "diverged" or trial.last.get("diverged") is not None
    return not diverged and trial.status != "failed" and trial.last.get(SCORE) is not None


def _place(trial: TrialHistory) -> tuple[bool, int, float, float, int]:
    """What `ranked` sorts by: lower is better."""
    budget, loss = trial.config["epochs"], trial.last.get("validation_loss")
    is_short = trial.epochs < budget
    epochs_first = -trial.epochs if is_short else 0
    return is_short, epochs_first, -trial.last[SCORE], math.inf if loss is None else loss, trial.number


def _trial_row(trial: TrialHistory, measures: Iterable[str] = ()) -> Row:
    row: Row = {
        "trial_id": trial.trial_id,
        "number": trial.number,
        "status": trial.status,
        "reason": trial.reason,
        "epochs": trial.epochs,
        "seconds": trial.seconds,
        "best_epoch": trial.best.get("epoch"),
    }
    untaken = "the trial did not train its full budget" if trial.epochs < trial.config["epochs"] else "not taken"
    for name in measures:
        row[f"measure.{name}"] = trial.measures.get(name)
        if row[f"measure.{name}"] is None:
            row[f"measure.{name}.reason"] = trial.measure_reasons.get(name, untaken)
    for prefix, values in (("best", trial.best), ("last", trial.last), ("config", trial.config)):
        row.update({f"{prefix}.{name}": value for name, value in values.items()})
    return row
