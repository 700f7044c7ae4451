"""From the history of a search to the rows of its tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from tune_lpc.plan.record import SCORE
from tune_lpc.results.agreement import agreement
from tune_lpc.results.history import History, TrainingRun, TrialHistory
from tune_lpc.results.schema import best_schema, epochs_schema, fidelity_schema, rungs_schema, trials_schema

Row = dict[str, Any]
ROWS_AT_ONCE = 1000


def trials_table(history: History) -> pa.Table:
    """A row a trial, in order of number."""
    measures = history.run.get("measures", {})
    rows = (_trial_row(trial, measures) for trial in history.trials)
    return _table(rows, trials_schema(history.run))


def epochs_table(history: History) -> pa.Table:
    """A row an epoch of a run of a trial, in order of number, then budget, then epoch."""
    rows = (
        {"trial_id": trial.trial_id, "number": trial.number, **trial.records[key]}
        for trial in history.trials
        for key in sorted(trial.records)
    )
    return _table(rows, epochs_schema(history.run))


def best_table(history: History) -> pa.Table:
    """A row a ranked trial, the best first; see `ranked`."""
    rows = (
        {
            "rank": rank,
            "score": run.last[SCORE],
            "trial_id": trial.trial_id,
            "number": trial.number,
            "status": trial.status,
            "budget": run.budget,
            "epochs": run.epochs,
            "best_epoch": run.best["epoch"],
            f"best.{SCORE}": run.best[SCORE],
            **_named("config", trial.config),
        }
        for rank, (trial, run) in enumerate(ranked(history.trials), start=1)
    )
    return _table(rows, best_schema(history.run))


def rungs_table(history: History) -> pa.Table:
    """A row a trial and rung, in the order in which they were decided."""
    return _table(history.rungs, rungs_schema(history.run))


def fidelity_table(history: History) -> pa.Table:
    """A row a rung that control trials reached, rising: how well its scores foretell the final ones.

    Only control trials are compared, since of the others the rung itself has chosen who reached the end. One counts
    when it had a score at the rung and went on to its end: the full budget, or divergence, which is worse than any
    score. The table is empty when the reduction factor is not known, since the start entry of the run was lost.
    """
    factor = history.run.get("space", {}).get("reduction_factor")
    final = {trial.trial_id: _final_score(trial) for trial in history.trials if trial.control and _is_at_end(trial)}
    at_rung: dict[int, dict[str, float]] = {}
    controls = {trial.trial_id for trial in history.trials if trial.control}
    for entry in history.rungs:
        if entry["trial_id"] in controls and entry["score"] is not None:
            at_rung.setdefault(entry["rung"], {})[entry["trial_id"]] = entry["score"]
    rows = []
    for rung, scores in sorted(at_rung.items()) if factor is not None else ():
        compared = [trial_id for trial_id in scores if trial_id in final]
        found = agreement([scores[name] for name in compared], [final[name] for name in compared], factor)
        figures = {"trials": found.trials, "spearman": found.spearman, "kept": found.kept, "regret": found.regret}
        rows.append({"rung": rung, **figures})
    return _table(rows, fidelity_schema(history.run))


def ranked(trials: Iterable[TrialHistory]) -> list[tuple[TrialHistory, TrainingRun]]:
    """The trials, best first, each with the run that it is judged by.

    The run: the longest one that was trained to its end, since a score in the middle of a run is not that of a finished
    ramp; without one, the run of the full budget as far as it came. The order, by that run:

    1. Trials that reached the full budget (config.epochs) come before those that did not.
    2. Of those with fewer epochs, more epochs come first: a score early in the ramps says little about the end.
    3. A higher score, the validation accuracy of the last epoch, comes first.
    4. Equal scores: the lower validation loss of the last epoch, then the lower number.

    Diverged and failed trials are not ranked, nor those without such a run or whose last epoch has no score.
    """
    judged = ((trial, trial.judged) for trial in trials if not _is_diverged(trial) and trial.status != "failed")
    found = [(trial, run) for trial, run in judged if run is not None and run.last.get(SCORE) is not None]
    return sorted(found, key=lambda pair: _place(*pair))


def _table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """The rows as a table, made a block at a time: as dicts all rows at once would take ten times the memory."""
    source, blocks = iter(rows), list[pa.RecordBatch]()
    while block := list(islice(source, ROWS_AT_ONCE)):
        blocks.append(pa.RecordBatch.from_pylist(block, schema=schema))
    return pa.Table.from_batches(blocks, schema=schema).combine_chunks()


def _place(trial: TrialHistory, run: TrainingRun) -> tuple[bool, int, float, float, int]:
    """What `ranked` sorts by: lower is better."""
    loss = run.last.get("validation_loss")
    is_short = run.epochs < trial.full_budget
    epochs_first = -run.epochs if is_short else 0
    return is_short, epochs_first, -run.last[SCORE], math.inf if loss is None else loss, trial.number


def _is_diverged(trial: TrialHistory) -> bool:
    # A killed search may have recorded the diverged epoch, but no longer the end of its trial.
    return trial.status == "diverged" or trial.last.get("diverged") is not None


def _is_at_end(trial: TrialHistory) -> bool:
    return _is_diverged(trial) or trial.is_trained


def _final_score(trial: TrialHistory) -> float | None:
    return None if _is_diverged(trial) else trial.last[SCORE]


def _trial_row(trial: TrialHistory, measures: Iterable[str]) -> Row:
    row: Row = {
        "trial_id": trial.trial_id,
        "number": trial.number,
        "status": trial.status,
        "reason": trial.reason,
        "control": trial.control,
        "budget": trial.budget,
        "epochs": trial.epochs,
        "epochs_trained": trial.epochs_trained,
        "epochs_repeated": trial.epochs_repeated,
        "restarts": trial.restarts,
        "seconds": trial.seconds,
        "best_epoch": trial.best.get("epoch"),
        **_named("best", trial.best),
        **_named("last", trial.last),
        **_named("config", trial.config),
    }
    for name in measures:
        value, reason = _measure(trial, name)
        row |= {f"measure.{name}": value, f"measure.{name}.reason": reason}
    return row


def _measure(trial: TrialHistory, name: str) -> tuple[float | None, str | None]:
    """A measure's value, or why there is none."""
    if not trial.is_trained and trial.status != "completed":
        # Measures come before the last epoch: alone they are those of a network that the row does not tell of.
        untold = "its last epoch is not recorded" if trial.measures else "the trial did not train its full budget"
        return None, untold
    value = trial.measures.get(name)
    return value, None if value is not None else trial.measure_reasons.get(name, "not taken")


def _named(prefix: str, values: Mapping[str, Any]) -> Row:
    return {f"{prefix}.{name}": value for name, value in values.items()}
