"""The files of a run: three Parquet files made from the journal alone, and run.json."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.results.history import history_of
from tune_lpc.results.journal import JOURNAL_FILE, finite, read_journal
from tune_lpc.results.tables import best_table, epochs_table, trials_table
from tune_lpc.spec.errors import UserError
from tune_lpc.spec.trial import TrialSpec

RUN_FILE = "run.json"
TRIALS_FILE = "trials.parquet"
EPOCHS_FILE = "epochs.parquet"
BEST_FILE = "best.parquet"

_PANDAS_TYPES = {
    pa.int64(): pd.Int64Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype(),
}


@dataclass(frozen=True)
class Tables:
    """The content of the three files, with pandas' nullable types, and a line for each damaged journal entry."""

    trials: pd.DataFrame
    epochs: pd.DataFrame
    best: pd.DataFrame
    damaged: list[str]


def export(directory: Path) -> Tables:
    """Write trials.parquet, epochs.parquet and best.parquet of the run in `directory`; reads only its journal.

    Each file appears whole or not at all; when one can't be written, all three stay as they were. A run that is still
    going may be exported. Raises UserError when there is no journal, OSError when a file can't be read or written.
    """
    journal = directory / JOURNAL_FILE
    if not journal.is_file():
        raise UserError(f"{directory} holds no run: it has no {JOURNAL_FILE}")
    entries, damaged = read_journal(journal)
    history = history_of(entries)
    trials, epochs, best = trials_table(history), epochs_table(history), best_table(history)
    _replace_files(
        {
            directory / TRIALS_FILE: _as_parquet(trials),
            directory / EPOCHS_FILE: _as_parquet(epochs),
            directory / BEST_FILE: _as_parquet(best),
        }
    )
    return Tables(_as_pandas(trials), _as_pandas(epochs), _as_pandas(best), damaged + history.left_out)


def write_run(directory: Path, run: Mapping[str, Any]) -> None:
    """Write run.json, whole or not at all. Raises OSError; TypeError for a value that JSON doesn't have."""
    text = json.dumps(finite(dict(run)), indent=2, allow_nan=False) + "\n"
    _replace_files({directory / RUN_FILE: text.encode("ascii")})


def load_run(directory: Path) -> dict[str, Any]:
    """The content of run.json. Raises UserError when there is none, or when it is damaged."""
    path = directory / RUN_FILE
    if not path.is_file():
        raise UserError(f"{directory} holds no run: it has no {RUN_FILE}")
    try:
        run = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is damaged, it must be JSON: {error}") from error
    if not isinstance(run, dict):
        raise UserError(f"{path} is damaged, it must be a JSON object")
    return run


def load_ranked(directory: Path, rank: int) -> TrialSpec:
    """The trial that stands at `rank` (from 1) in best.parquet.

    Raises UserError when the folder holds no run, when its file is damaged, or when there is no such rank.
    """
    path = directory / BEST_FILE
    if not path.is_file():
        raise UserError(f"{directory} holds no run: it has no {BEST_FILE}")
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} is damaged, it must be a Parquet file: {error}") from error
    if table.num_rows == 0:
        raise UserError(f"rank is {rank}, but {directory} ranks no config: no trial ended an epoch with a score")
    if not 1 <= rank <= table.num_rows:
        raise UserError(f"rank is {rank}, but must be from 1 to {table.num_rows}, the configs that {directory} ranks")
    (row,) = table.slice(rank - 1, 1).to_pylist()
    return TrialSpec.build({name.removeprefix("config."): row[name] for name in row if name.startswith("config.")})


def _as_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=_PANDAS_TYPES.get)
    return frame


def _as_parquet(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return memoryview(sink.getvalue())


def _replace_files(contents: Mapping[Path, bytes | memoryview]) -> None:
    """Write all files beside their places first, then put them in place, so that a full disk changes none of them."""
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in contents}
    try:
        for path, content in contents.items():
            with parts[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
