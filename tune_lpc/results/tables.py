"""From the ledger of a search to the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from tune_lpc.plan.methods import regularisers_on
from tune_lpc.plan.record import SCORE
from tune_lpc.results.agreement import agreement
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.pareto import mean_values
from tune_lpc.results.ranking import ranked
from tune_lpc.results.schema import (
    OBJECTIVE,
    best_schema,
    epochs_schema,
    fidelity_schema,
    front_schema,
    placements_schema,
    rungs_schema,
    trials_schema,
)
from tune_lpc.results.trial import Trial

Row = dict[str, Any]
ROWS_AT_ONCE = 1000
EPOCHS_AT_ONCE = 10_000
"""Rows of a row group of epochs.parquet, about: a reader of one trial reads no more than one or two groups."""


def trials_table(ledger: Ledger) -> pa.Table:
    """A row a trial, in order of number."""
    measures = ledger.run.get("measures", {})
    rows = (_trial_row(trial, measures) for trial in ledger.in_order())
    return made_table(rows, trials_schema(ledger.about))


def epoch_batches(ledger: Ledger) -> Iterator[pa.RecordBatch]:
    """A row an epoch of a run of a trial, in order of number, then budget, then epoch; many trials a batch.

    A batch at a time, as a long search has millions of rows.
    """
    schema = epochs_schema(ledger.about)
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
    """A row a ranked config, the best first; see `ranking.ranked`."""
    rows = (
        {
            "rank": rank,
            "score": config.score,
            "low": config.low,
            "high": config.high,
            "seeds": len(config.scores),
            "diverged_seeds": config.without_score,
            "tied": None if ledger.objectives else config.tied,
            "front": config.front,
            **_objectives(ledger, mean_values(config.values) if config.values else ()),
            "regularisers": regularisers_on(config.trial.config),
            "trial_id": config.trial.trial_id,
            "number": config.trial.number,
            "status": config.trial.status,
            "budget": config.run.budget,
            "epochs": config.run.epochs,
            "best_epoch": config.run.best_epoch,
            f"best.{SCORE}": config.run.best[SCORE],
            **named("config", config.trial.config),
        }
        for rank, config in enumerate(ranked(ledger), start=1)
    )
    return made_table(rows, best_schema(ledger.about))


def front_table(ledger: Ledger) -> pa.Table:
    """A row a trial that has trained its full budget, in their order: what it made of the Pareto front."""
    rows = (
        {
            "trial_id": found.trial_id,
            "number": ledger.trials[found.trial_id].number,
            "epochs": found.epochs,
            "configs": found.configs,
            "on_front": len(found.front),
            "hypervolume": found.hypervolume,
        }
        for found in ledger.fronts.values()
        if found.trial_id in ledger.trials  # not where its start was lost
    )
    return made_table(rows, front_schema(ledger.about))


def rungs_table(ledger: Ledger) -> pa.Table:
    """A row a decision of a rung, in their order: one when a trial comes, and one more when it is promoted later."""
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
            "promoted": look.promoted,
            **{OBJECTIVE + each.name: look.objectives.get(each.name) for each in ledger.objectives},
        }
        for look in ledger.looks
    )
    return made_table(rows, rungs_schema(ledger.about))


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
            "processes": placement.processes,
        }
        for trial in ledger.in_order()
        for placement in trial.placements
    )
    return made_table(rows, placements_schema(ledger.about))


def fidelity_table(ledger: Ledger) -> pa.Table:
    """A row a rung that control trials reached, rising: how well its scores foretell the final ones.

    Only control trials are compared, since of the others the rung itself has chosen who reached the end. One counts
    when it had a score at the rung and went on to its end: the full budget, or divergence, which is worse than any
    score. The table is empty when the reduction factor is not known, since the start entry of the run was lost.
    Of several objectives only the validation accuracy is compared.
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
    return made_table(rows, fidelity_schema(ledger.about))


def made_table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """The rows as a table, made a block at a time: as dicts all rows at once would take ten times the memory."""
    source, blocks = iter(rows), list[pa.RecordBatch]()
    while block := list(islice(source, ROWS_AT_ONCE)):
        blocks.append(pa.RecordBatch.from_pylist(block, schema=schema))
    return pa.Table.from_batches(blocks, schema=schema).combine_chunks()


def _objectives(ledger: Ledger, values: Sequence[float]) -> Row:
    """The values of the objectives, where there are several; None for a config that has none."""
    known = dict(zip(ledger.objectives, values, strict=False))
    return {OBJECTIVE + each.name: known.get(each) for each in ledger.objectives}


def _final_score(trial: Trial) -> float | None:
    return None if trial.has_diverged else trial.final_score


def _trial_row(trial: Trial, measures: Iterable[str]) -> Row:
    run = trial.longest
    best_epoch = run.best_epoch if run else None
    row: Row = {
        "trial_id": trial.trial_id,
        "number": trial.number,
        "status": trial.status,
        "reason": trial.reason,
        "control": trial.control,
        "repeat_of": trial.repeat_of,
        "budget": run.budget if run else None,
        "epochs": run.epochs if run else 0,
        "epochs_trained": trial.epochs_trained,
        "epochs_repeated": trial.epochs_repeated,
        "restarts": trial.restarts,
        "seconds": trial.seconds,
        "best_epoch": best_epoch,
        **named("best", run.record(best_epoch) if run and best_epoch else {}),
        **named("last", run.last if run else {}),
        **named("config", trial.config),
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


def named(prefix: str, values: Mapping[str, Any]) -> Row:
    """The values as `<prefix>.<name>`."""
    return dict(zip(_names(prefix, tuple(values)), values.values(), strict=True))


@cache
def _names(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Made once, as all trials of a search have the same."""
    return tuple(f"{prefix}.{name}" for name in names)
