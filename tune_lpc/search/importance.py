"""Which searched setting matters: Optuna's PED-ANOVA (Watanabe et al., IJCAI 2023, arXiv 2304.10255) into a table.

Conditions are respected (arXiv 2601.20800): a setting is judged where it has an effect, and weighs as much as the best
trials lie there. Trials that were stopped are told apart: they are worse than all that came further.
"""

from __future__ import annotations

import math
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

from tune_lpc.plan.dimensions import Choice, Dimension, Float, Int, is_on_step
from tune_lpc.plan.errors import UserError
from tune_lpc.results.export import TRIALS_FILE, as_pandas, note_files, write_files
from tune_lpc.results.loading import load_run
from tune_lpc.search.sampler import distribution_of

IMPORTANCE_FILE = "importance.parquet"
FEWEST = 8
"""Trials from which on an importance is told."""
BEST_SHARE, FEWEST_BEST = 0.1, 5
"""What sets the best tenth apart is asked, but of no fewer than these (as Optuna's documentation advises)."""
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
            metadata={
                "description": "its share of the importance of all; null with fewer than 8, or one value",
                "unit": "0 to 1",
            },
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
        chosen = firsts[firsts["status"].isin(statuses)].sort_values(["epochs", score, "number"])
        settings = [_drawn(row, dimensions) for row in chosen.to_dict("records")]
        counts = {name: sum(name in drawn for drawn in settings) for name in dimensions}
        judged = [name for name in dimensions if counts[name] >= FEWEST and _varies(name, settings)]
        found = _divergences(settings, dimensions, judged) if judged else {}
        total = math.fsum(found.values())
        for name in dimensions:
            importance = found[name] / total if name in found and total > 0 else None
            rows.append({"parameter": name, "trials": kind, "count": counts[name], "importance": importance})
    return rows


def _drawn(row: Mapping[Any, Any], dimensions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The searched settings of a trial that have an effect, as far as they lie in the space."""
    values = {name: row[f"config.{name}"] for name in dimensions}
    return {name: value for name, value in values.items() if not pd.isna(value) and _holds(dimensions[name], value)}


def _varies(name: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a setting has several values: of one alone the method tells how many trials have it, not what it does."""
    return len({drawn[name] for drawn in settings if name in drawn}) > 1


def _holds(told: Mapping[str, Any], value: Any) -> bool:
    if told["type"] == "choice":
        return value in told["options"]
    return bool(told["low"] <= value <= told["high"]) and is_on_step(value, told["low"], told.get("step"))


def _divergences(
    settings: Sequence[Mapping[str, Any]], dimensions: Mapping[str, Mapping[str, Any]], judged: list[str]
) -> dict[str, float]:
    """How far the values of the better trials are from those of all, by setting. settings: of the trials, worst first.

    Only the order of trials matters to the method, so they are numbered.
    """
    distributions = {name: distribution_of(_dimension(told)) for name, told in dimensions.items()}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(BEST_SHARE, FEWEST_BEST / len(settings))))
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it tells of each study
    try:
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            create_trial(
                params=dict(drawn), distributions={name: distributions[name] for name in drawn}, value=float(place)
            )
            for place, drawn in enumerate(settings)
        )
        with warnings.catch_warnings():
            # It warns where a setting has an effect in a single trial; such are left without an importance here.
            warnings.simplefilter("ignore")
            return optuna.importance.get_param_importances(study, evaluator=evaluator, params=judged, normalize=False)
    finally:
        optuna.logging.set_verbosity(before)


def _dimension(told: Mapping[str, Any]) -> Dimension:
    """A dimension as run.json tells it."""
    if told["type"] == "choice":
        return Choice(told["options"])
    kind, step = (Float if told["type"] == "float" else Int), {"step": told["step"]} if told.get("step") else {}
    return kind(told["low"], told["high"], log=bool(told["log"]), **step)
