"""The files of a run: Parquet files made from the journal alone, and run.json."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.plan.errors import UserError, shown
from tune_lpc.plan.trial import TrialSpec, Value, setting_names
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


def load_run(directory: Path, needed: Mapping[str, tuple[type, ...]] | None = None) -> dict[str, Any]:
    """The content of run.json.

    needed: what the caller reads of it, such as "data.fingerprint", with the types that it may have.
    Raises UserError when there is none, when it is damaged, or when it lacks what is needed: all of that in one line.
    """
    path = directory / RUN_FILE
    try:
        run = json.loads(_content(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged, it must be JSON: {error}") from error
    if not isinstance(run, dict):
        raise UserError(f"{path} is damaged, it must be a JSON object")
    missing, wrong = [], []
    for name, types in (needed or {}).items():
        try:
            value = functools.reduce(lambda part, key: part[key], name.split("."), run)
        except (KeyError, TypeError):
            missing.append(name)
            continue
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            wrong.append(f"{name} is {shown(value)}")
    if missing or wrong:
        told = [*([f"it lacks {', '.join(missing)}"] if missing else []), *wrong]
        raise UserError(f"{path} is damaged: {'; '.join(told)}; take the file as the search wrote it")
    return run


BEFORE: Mapping[str, Value] = {"hold_out": 0.0, "input_noise": 0.0, "persistence_backend": "auto"}
"""Settings that tables of version 0.1.0 don't have, each with the value that does what that version did."""


def load_ranked(directory: Path, rank: int) -> TrialSpec:
    """The trial that stands at `rank` (from 1) in best.parquet.

    Raises UserError when the folder holds no run, when its file is damaged or of something else, or when there is no
    such rank.
    """
    path = directory / BEST_FILE
    content = _content(path)
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is damaged, it must be a Parquet file: {reason}") from error
    settings = {name.removeprefix("config.") for name in table.schema.names if name.startswith("config.")}
    lacking = [f"config.{name}" for name in setting_names() if name not in settings | set(BEFORE)]
    lacking += ["rank"] if "rank" not in table.schema.names else []
    unknown = [f"config.{name}" for name in sorted(settings - set(setting_names()))]
    for names, problem in ((lacking, "lacks the columns"), (unknown, "has columns that this version does not know:")):
        if names:
            raise UserError(f"{path} {problem} {_some(names)}; it must be the file that a search wrote")
    if table.num_rows == 0:
        raise UserError(f"rank is {rank}, but {directory} ranks no config: no trial ended an epoch with a score")
    if not 1 <= rank <= table.num_rows:
        raise UserError(f"rank is {rank}, but must be from 1 to {table.num_rows}, the configs that {directory} ranks")
    (row,) = table.slice(rank - 1, 1).to_pylist()
    if row["rank"] != rank:
        raise UserError(f"{path} is damaged: its row {rank} has rank {shown(row['rank'])}")
    try:
        return TrialSpec.build({**BEFORE, **{name: row[f"config.{name}"] for name in settings}})
    except UserError as error:
        raise UserError([f"{path} is damaged: {problem}" for problem in error.problems]) from error


def _content(path: Path) -> bytes:
    """The bytes of a file of a run. Raises UserError when it is not there or can't be read."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        if (path.parent / JOURNAL_FILE).exists():
            problem = f"{path.parent} has no {path.name}, which its search writes; go on with it, by its --resume"
            raise UserError(problem) from error
        raise UserError(f"{path.parent} holds no run: it has no {path.name}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{str(path)!r} can't be read ({reason}); check the path") from error


def _some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


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
