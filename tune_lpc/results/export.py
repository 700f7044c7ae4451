"""The files of a run: Parquet files made from the journal alone, and run.json."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.plan.errors import UserError
from tune_lpc.results.journal import JOURNAL_FILE, finite
from tune_lpc.results.ledger import Ledger, read_ledger
from tune_lpc.results.manifest import MANIFEST_FILE, Entry, entry_of, manifest_text, read_manifest, with_noted
from tune_lpc.results.schema import epochs_schema
from tune_lpc.results.tables import (
    best_table,
    epoch_batches,
    fidelity_table,
    front_table,
    placements_table,
    rungs_table,
    trials_table,
)

RUN_FILE = "run.json"
TRIALS_FILE = "trials.parquet"
EPOCHS_FILE = "epochs.parquet"
BEST_FILE = "best.parquet"
RUNGS_FILE = "rungs.parquet"
FIDELITY_FILE = "fidelity.parquet"
PLACEMENTS_FILE = "placements.parquet"
FRONT_FILE = "front.parquet"

_FILES = (
    RUN_FILE,
    TRIALS_FILE,
    EPOCHS_FILE,
    BEST_FILE,
    RUNGS_FILE,
    FIDELITY_FILE,
    PLACEMENTS_FILE,
    FRONT_FILE,
    MANIFEST_FILE,
)
_PART = re.compile(rf"\.(?:{'|'.join(map(re.escape, _FILES))})\.([0-9]+)\.part")

_EVER_OTHER = {
    *("train_loss", "train_classification", "train_penalty", "train_topological", "train_contrastive"),
    *("validation_loss", "mean_norm", "nc1", "images_per_second", "seconds"),
}
"""Columns of epochs.parquet in which hardly a value comes twice."""
_PANDAS_TYPES = {
    pa.int64(): pd.Int64Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype(),
}


@dataclass(frozen=True)
class Tables:
    """The content of the Parquet files, with pandas' nullable types, and a line for each damaged journal entry.

    front: empty with one objective, where there is no file of it.
    """

    directory: Path
    trials: pd.DataFrame
    best: pd.DataFrame
    rungs: pd.DataFrame
    fidelity: pd.DataFrame
    front: pd.DataFrame
    damaged: list[str]

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """The epochs, read from their file when somebody asks: there may be millions. Raises OSError without it."""
        return as_pandas(pq.read_table(self.directory / EPOCHS_FILE))


def export(directory: Path) -> Tables:
    """Write the Parquet files of the run in `directory`; reads only its journal.

    Each file appears whole or not at all; when one can't be written, all stay as they were. A run that is still going
    may be exported. What a killed export left behind is removed.

    Raises UserError when there is no journal, OSError when a file can't be read or written.
    """
    journal = directory / JOURNAL_FILE
    if not journal.is_file():
        raise UserError(f"{directory} holds no run: it has no {JOURNAL_FILE}")
    ledger, damaged = read_ledger(journal)
    size = journal.stat().st_size  # a run that is still going writes on
    with ThreadPoolExecutor(1) as beside:
        digest = beside.submit(entry_of, journal, size)
        tables = _tables(ledger)
        _remove_parts_of_the_dead(directory)
        writers: dict[Path, Callable[[Path], None]] = {directory / EPOCHS_FILE: partial(_write_epochs, ledger)}
        writers |= {directory / name: partial(_write_table, table) for name, table in tables.items()}
        names = [path.name for path in writers]
        writers[directory / MANIFEST_FILE] = partial(_write_manifest, directory, names, digest)
        _replace_files(writers)
    return Tables(
        directory,
        trials=as_pandas(tables[TRIALS_FILE]),
        best=as_pandas(tables[BEST_FILE]),
        rungs=as_pandas(tables[RUNGS_FILE]),
        fidelity=as_pandas(tables[FIDELITY_FILE]),
        front=as_pandas(tables.get(FRONT_FILE, front_table(ledger))),
        damaged=damaged,
    )


def _tables(ledger: Ledger) -> dict[str, pa.Table]:
    """The tables but that of the epochs, by file."""
    tables = {
        TRIALS_FILE: trials_table(ledger),
        BEST_FILE: best_table(ledger),
        RUNGS_FILE: rungs_table(ledger),
        FIDELITY_FILE: fidelity_table(ledger),
        PLACEMENTS_FILE: placements_table(ledger),
    }
    return tables | ({FRONT_FILE: front_table(ledger)} if ledger.objectives else {})


def write_run(directory: Path, run: Mapping[str, Any]) -> None:
    """Write run.json, whole or not at all. Raises OSError; TypeError for a value that JSON doesn't have."""
    text = json.dumps(finite(dict(run)), indent=2, allow_nan=False) + "\n"
    _replace_files({directory / RUN_FILE: lambda part: _write_bytes(text.encode("ascii"), part)})
    note_files(directory, [RUN_FILE])


def note_files(directory: Path, names: Sequence[str]) -> None:
    """Take files that were written beside the tables into the manifest of the run, where it has one. Raises OSError."""
    if (text := with_noted(directory, names)) is not None:
        _replace_files({directory / MANIFEST_FILE: lambda part: _write_bytes(text.encode("ascii"), part)})


def _write_manifest(directory: Path, names: Sequence[str], journal: Future[Entry], part: Path) -> None:
    """The manifest of files that lie beside their places, of run.json, and of what was noted before."""
    before = read_manifest(directory)
    noted = {} if isinstance(before, str) else {n: e for n, e in before[0].items() if (directory / n).is_file()}
    files = {name: entry_of(_part_of(directory / name)) for name in names}
    run = {RUN_FILE: entry_of(directory / RUN_FILE)} if (directory / RUN_FILE).is_file() else {}
    _write_bytes(manifest_text({**noted, **run, **files}, journal.result()).encode("ascii"), part)


def write_files(contents: Mapping[Path, str | bytes], tables: Mapping[Path, pa.Table]) -> None:
    """Write texts (UTF-8), bytes, and tables (Parquet) to files: all whole, or none changed. Raises OSError."""
    writers: dict[Path, Callable[[Path], None]] = {
        path: partial(_write_bytes, content.encode() if isinstance(content, str) else content)
        for path, content in contents.items()
    }
    _replace_files(writers | {path: partial(_write_table, table) for path, table in tables.items()})


def as_pandas(table: pa.Table) -> pd.DataFrame:
    """The table with pandas' nullable types."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=_PANDAS_TYPES.get)
    return frame


def _write_table(table: pa.Table, part: Path) -> None:
    pq.write_table(table, part, compression="zstd")


def _write_epochs(ledger: Ledger, part: Path) -> None:
    """A row group of some trials after another: no more than that is in memory at once."""
    schema = epochs_schema(ledger.about)
    # What differs from row to row gains nothing from a dictionary of its values, and takes twice as long with one.
    repeated = [field.name for field in schema if field.name not in _EVER_OTHER]
    with pq.ParquetWriter(part, schema, compression="zstd", use_dictionary=repeated) as writer:
        for batch in epoch_batches(ledger):
            writer.write_batch(batch)


def _write_bytes(content: bytes, part: Path) -> None:
    part.write_bytes(content)


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


def _part_of(path: Path) -> Path:
    """Where a file is written before it is put in its place."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _replace_files(writers: Mapping[Path, Callable[[Path], None]]) -> None:
    """Write all files beside their places first, then put them in place, so that a full disk changes none of them."""
    parts = {path: _part_of(path) for path in writers}
    try:
        for path, write in writers.items():
            write(parts[path])
            with parts[path].open("rb") as file:
                os.fsync(file.fileno())
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
