"""Which searched setting matters: Optuna's PED-ANOVA (Watanabe et al., IJCAI 2023, arXiv 2304.10255) into a table.

Conditions are respected: a setting is judged among the trials where it has an effect, as Optuna itself compares trials
that all have the same parameters. Trials that were stopped are told apart: their scores are those of a rung.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from tune_lpc.plan.dimensions import Choice, Dimension, Float, Int
from tune_lpc.plan.errors import UserError
from tune_lpc.results.export import TRIALS_FILE, as_pandas, note_files, write_files
from tune_lpc.results.loading import load_run
from tune_lpc.search.sampler import distribution_of

IMPORTANCE_FILE = "importance.parquet"
FEWEST = 8
"""Trials from which on an importance is told."""
KINDS = {"completed": ("completed",), "completed and stopped": ("completed", "stopped")}
_SCHEMA = pa.schema(
    [
        pa.field("parameter", pa.string(), metadata={"description": "name of the searched setting", "unit": ""}),
        pa.field(
            "trials",
            pa.string(),
            metadata={"description": "which trials: completed, or completed and stopped", "unit": ""},
        ),
        pa.field("count", pa.int64(), metadata={"description": "how many, where it has an effect", "unit": ""}),
        pa.field(
            "importance",
            pa.float64(),
            metadata={"description": "its share of the importance of all; null with fewer than 8", "unit": "0 to 1"},
        ),
    ]
)


def write_importance(directory: Path) -> pd.DataFrame:
    """Write importance.parquet of the run in a folder, a row a searched setting and kind of trials; the table.

    Raises UserError where run.json or trials.parquet are missing or damaged, OSError when it can't be written.
    """
    run = load_run(directory, {"space.dimensions": (dict,)})
    path = directory / TRIALS_FILE
    try:
        trials = as_pandas(pq.read_table(path))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} can't be read: {str(error).splitlines()[0]}") from error
    table = pa.Table.from_pylist(importances(trials, run["space"]["dimensions"]), schema=_SCHEMA)
    write_files({}, {directory / IMPORTANCE_FILE: table})
    note_files(directory, [IMPORTANCE_FILE])
    return as_pandas(table)


def importances(trials: pd.DataFrame, dimensions: Mapping[str, Mapping[str, Any]]) -> list[dict[str, object]]:
    """The rows of importance.parquet. trials: trials.parquet. dimensions: of the space, as run.json has them."""
    score = "last.validation_accuracy"
    firsts = trials[trials["repeat_of"].isna()].dropna(subset=[score])
    rows: list[dict[str, object]] = []
    for kind, statuses in KINDS.items():
        chosen = firsts[firsts["status"].isin(statuses)]
        found: dict[str, tuple[int, float | None]] = {}
        for name, dimension in dimensions.items():
            known = chosen.dropna(subset=[f"config.{name}"])
            value = _divergence(known[f"config.{name}"].tolist(), known[score].tolist(), name, dimension)
            # Of those where it has no effect it explains nothing.
            share = len(known) / len(chosen) if len(chosen) else 0.0
            found[name] = len(known), None if value is None else value * share
        total = sum(value for _, value in found.values() if value is not None)
        for name, (count, value) in found.items():
            importance = None if value is None or total <= 0 else value / total
            rows.append({"parameter": name, "trials": kind, "count": count, "importance": importance})
    return rows


def _divergence(
    values: Sequence[object], scores: Sequence[float], name: str, dimension: Mapping[str, Any]
) -> float | None:
    """How far the values of the better trials are from those of all; None with too few trials or one value alone."""
    if len(values) < FEWEST or len(set(values)) < 2:
        return None
    distribution = distribution_of(_dimension(dimension))
    before = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells of each study
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            [
                create_trial(params={name: value}, distributions={name: distribution}, value=float(score))
                for value, score in zip(values, scores, strict=True)
            ]
        )
        found = optuna.importance.get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(), params=[name], normalize=False
        )
    optuna.logging.set_verbosity(before)
    return float(found[name])


def _dimension(told: Mapping[str, Any]) -> Dimension:
    """A dimension as run.json tells it."""
    if told["type"] == "choice":
        return Choice(told["options"])
    kind = Float if told["type"] == "float" else Int
    return kind(told["low"], told["high"], log=bool(told["log"]))
