"""From the ledger of a search to the rows of its tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from tune_lpc.plan.record import SCORE
from tune_lpc.results.agreement import agreement
from tune_lpc.results.events import Status
from tune_lpc.results.ledger import Ledger, TrainingRun, Trial
from tune_lpc.results.schema import (
    best_schema,
    epochs_schema,
    fidelity_schema,
    placements_schema,
    rungs_schema,
    trials_schema,
)

Row = dict[str, Any]
ROWS_AT_ONCE = 1000
EPOCHS_AT_ONCE = 50_000
"""Rows of a row group of epochs.parquet, about."""


def trials_table(ledger: Ledger) -> pa.Table:
    """A row a trial, in order of number."""
    measures = ledger.run.get("measures", {})
    rows = (_trial_row(trial, measures) for trial in ledger.in_order())
    return _table(rows, trials_schema(ledger.run))


def epoch_batches(ledger: Ledger) -> Iterator[pa.RecordBatch]:
    """A row an epoch of a run of a trial, in order of number, then budget, then epoch; many trials a batch.

    A batch at a time, as a long search has millions of rows.
    """
    schema = epochs_schema(ledger.run)
    parts: list[tuple[Trial, dict[str, np.ndarray]]] = []
    rows = 0
    for trial in ledger.in_order():
        for budget in sorted(trial.runs):
            parts.append((trial, trial.runs[budget].columns()))
            rows += len(parts[-1][1]["epoch"])
        if rows >= EPOCHS_AT_ONCE:
            yield _epoch_batch(parts, schema)
            parts, rows = [], 0
    if parts:
        yield _epoch_batch(parts, schema)


def _epoch_batch(parts: list[tuple[Trial, dict[str, np.ndarray]]], schema: pa.Schema) -> pa.RecordBatch:
    lengths = [len(columns["epoch"]) for _, columns in parts]
    own = {
        "trial_id": np.repeat(np.array([trial.trial_id for trial, _ in parts], dtype=object), lengths),
        "number": np.repeat([trial.number for trial, _ in parts], lengths),
    }
    columns = []
    for field in schema:
        values = own[field.name] if field.name in own else np.concatenate([part[field.name] for _, part in parts])
        columns.append(pa.array(values, type=field.type, from_pandas=True))  # NaN becomes null
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def best_table(ledger: Ledger) -> pa.Table:
    """A row a ranked trial, the best first; see `ranked`."""
    rows = (
        {
            "rank": rank,
            "score": run.score(run.epochs),
            "trial_id": trial.trial_id,
            "number": trial.number,
            "status": trial.status,
            "budget": run.budget,
            "epochs": run.epochs,
            "best_epoch": run.best_epoch,
            f"best.{SCORE}": run.best[SCORE],
            **_named("config", trial.config),
        }
        for rank, (trial, run) in enumerate(ranked(ledger.trials.values()), start=1)
    )
    return _table(rows, best_schema(ledger.run))


def rungs_table(ledger: Ledger) -> pa.Table:
    """A row a trial and rung, in the order in which they were decided."""
    rows = (
        {
            "trial_id": look.trial_id,
            "number": ledger.trials[look.trial_id].number,
            "rung": look.rung,
            "score": look.score,
            "rank": look.rank,
            "of": look.of,
            "goes_on": look.goes_on,
            "control": look.control,
        }
        for look in ledger.looks
    )
    return _table(rows, rungs_schema(ledger.run))


def placements_table(ledger: Ledger) -> pa.Table:
    """A row a stay of a trial on a worker, in order of number, then of time."""
    rows = (
        {
            "trial_id": trial.trial_id,
            "number": trial.number,
            "session": placement.session,
            "host": placement.host,
            "pid": placement.pid,
            "from_budget": placement.continued_from[0] if placement.continued_from else None,
            "from_epoch": placement.continued_from[1] if placement.continued_from else None,
        }
        for trial in ledger.in_order()
        for placement in trial.placements
    )
    return _table(rows, placements_schema(ledger.run))


def fidelity_table(ledger: Ledger) -> pa.Table:
    """A row a rung that control trials reached, rising: how well its scores foretell the final ones.

    Only control trials are compared, since of the others the rung itself has chosen who reached the end. One counts
    when it had a score at the rung and went on to its end: the full budget, or divergence, which is worse than any
    score. The table is empty when the reduction factor is not known, since the start entry of the run was lost.
    """
    factor = ledger.run.get("space", {}).get("reduction_factor")
    controls = {trial.trial_id: trial for trial in ledger.trials.values() if trial.control}
    final = {name: _final_score(trial) for name, trial in controls.items() if trial.has_diverged or trial.is_trained}
    at_rung: dict[int, dict[str, float]] = {}
    for look in ledger.looks:
        if look.trial_id in controls and look.score is not None:
            at_rung.setdefault(look.rung, {})[look.trial_id] = look.score
    rows = []
    for rung, scores in sorted(at_rung.items()) if factor is not None else ():
        compared = [trial_id for trial_id in scores if trial_id in final]
        found = agreement([scores[name] for name in compared], [final[name] for name in compared], factor)
        figures = {"trials": found.trials, "spearman": found.spearman, "kept": found.kept, "regret": found.regret}
        rows.append({"rung": rung, **figures})
    return _table(rows, fidelity_schema(ledger.run))


def ranked(trials: Iterable[Trial]) -> list[tuple[Trial, TrainingRun]]:
    """The trials, best first, each with the run that it is judged by.

    The run: the longest one that was trained to its end, since a score in the middle of a run is not that of a finished
    ramp; without one, the run of the full budget as far as it came. The order, by that run:

    1. Trials that reached the full budget (config.epochs) come before those that did not.
    2. Of those with fewer epochs, more epochs come first: a score early in the ramps says little about the end.
    3. A higher score, the validation accuracy of the last epoch, comes first.
    4. Equal scores: the lower validation loss of the last epoch, then the lower number.

    Diverged and failed trials are not ranked, nor those without such a run or whose last epoch has no score.
    """
    judged = (
        (trial, trial.judged)
        for trial in trials
        if not trial.has_diverged and trial.status is not Status.FAILED and trial.judged is not None
    )
    found = [(trial, run) for trial, run in judged if run is not None and run.score(run.epochs) is not None]
    return sorted(found, key=lambda pair: _place(*pair))


def _table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """The rows as a table, made a block at a time: as dicts all rows at once would take ten times the memory."""
    source, blocks = iter(rows), list[pa.RecordBatch]()
    while block := list(islice(source, ROWS_AT_ONCE)):
        blocks.append(pa.RecordBatch.from_pylist(block, schema=schema))
    return pa.Table.from_batches(blocks, schema=schema).combine_chunks()


def _place(trial: Trial, run: TrainingRun) -> tuple[bool, int, float, float, int]:
    """What `ranked` sorts by: lower is better."""
    last = run.last
    loss = last["validation_loss"]
    is_short = run.epochs < trial.full_budget
    epochs_first = -run.epochs if is_short else 0
    return is_short, epochs_first, -last[SCORE], math.inf if loss is None else loss, trial.number


def _final_score(trial: Trial) -> float | None:
    return None if trial.has_diverged else trial.runs[trial.full_budget].score(trial.full_budget)


def _trial_row(trial: Trial, measures: Iterable[str]) -> Row:
    run = trial.longest
    row: Row = {
        "trial_id": trial.trial_id,
        "number": trial.number,
        "status": trial.status,
        "reason": trial.reason,
        "control": trial.control,
        "budget": run.budget if run else None,
        "epochs": run.epochs if run else 0,
        "epochs_trained": trial.epochs_trained,
        "epochs_repeated": trial.epochs_repeated,
        "restarts": trial.restarts,
        "seconds": trial.seconds,
        "best_epoch": run.best_epoch if run else None,
        **_named("best", run.best if run else {}),
        **_named("last", run.last if run else {}),
        **_named("config", trial.config),
    }
    for name in measures:
        value, reason = _measure(trial, name)
        row |= {f"measure.{name}": value, f"measure.{name}.reason": reason}
    return row


def _measure(trial: Trial, name: str) -> tuple[float | None, str | None]:
    """A measure's value, or why there is none."""
    if not trial.is_trained:
        # Measures come before the last epoch: alone they are those of a network that the row does not tell of.
        untold = "its last epoch is not recorded" if trial.measures else "the trial did not train its full budget"
        return None, untold
    value = trial.measures.get(name)
    return value, None if value is not None else trial.measure_reasons.get(name, "not taken")


def _named(prefix: str, values: Mapping[str, Any]) -> Row:
    return {f"{prefix}.{name}": value for name, value in values.items()}
