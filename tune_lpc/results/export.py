"""The files of a run: Parquet files made from the journal alone, and run.json."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.results.history import history_of
from tune_lpc.results.journal import JOURNAL_FILE, finite, journal_entries
from tune_lpc.results.tables import best_table, epochs_table, fidelity_table, rungs_table, trials_table

RUN_FILE = "run.json"
TRIALS_FILE = "trials.parquet"
EPOCHS_FILE = "epochs.parquet"
BEST_FILE = "best.parquet"
RUNGS_FILE = "rungs.parquet"
FIDELITY_FILE = "fidelity.parquet"

_FILES = (RUN_FILE, TRIALS_FILE, EPOCHS_FILE, BEST_FILE, RUNGS_FILE, FIDELITY_FILE)
_PART = re.compile(rf"\.(?:{'|'.join(map(re.escape, _FILES))})\.([0-9]+)\.part")

_PANDAS_TYPES = {
    pa.int64(): pd.Int64Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype(),
}


@dataclass(frozen=True)
class Tables:
    """The content of the Parquet files, with pandas' nullable types, and a line for each damaged journal entry."""

    trials: pd.DataFrame
    epochs: pd.DataFrame
    best: pd.DataFrame
    rungs: pd.DataFrame
    fidelity: pd.DataFrame
    damaged: list[str]


def export(directory: Path) -> Tables:
    """Write the Parquet files of the run in `directory`; reads only its journal.

    Each file appears whole or not at all; when one can't be written, all stay as they were. A run that is still going
    may be exported. What a killed export left behind is removed.

    Raises UserError when there is no journal, OSError when a file can't be read or written.
    """
    journal = directory / JOURNAL_FILE
    if not journal.is_file():
        raise UserError(f"{directory} holds no run: it has no {JOURNAL_FILE}")
    damaged: list[str] = []
    history = history_of(journal_entries(journal, damaged))
    trials, epochs, best = trials_table(history), epochs_table(history), best_table(history)
    rungs, fidelity = rungs_table(history), fidelity_table(history)
    _remove_parts_of_the_dead(directory)
    _replace_files(
        {
            directory / TRIALS_FILE: _as_parquet(trials),
            directory / EPOCHS_FILE: _as_parquet(epochs),
            directory / BEST_FILE: _as_parquet(best),
            directory / RUNGS_FILE: _as_parquet(rungs),
            directory / FIDELITY_FILE: _as_parquet(fidelity),
        }
    )
    return Tables(
        trials=_as_pandas(trials),
        epochs=_as_pandas(epochs),
        best=_as_pandas(best),
        rungs=_as_pandas(rungs),
        fidelity=_as_pandas(fidelity),
        damaged=damaged + history.left_out,
    )


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


def _remove_parts_of_the_dead(directory: Path) -> None:
    """Remove what processes that were killed while they wrote have left; a living one may still be writing its own."""
    for path in directory.glob(".*.part"):
        match = _PART.fullmatch(path.name)
        if match is not None and not _is_alive(int(match.group(1))):
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    # Nothing else in this process exports here at the same time: a part under its number is of one before it.
    return pid != os.getpid()


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
