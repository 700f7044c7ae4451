"""Whether the folder of a run is whole: each file against its digest, its schema, and the journal it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import read_own_code
from tune_lpc.results.confirmed import CONFIRM_FILE, CONFIRM_FOLDER, OPENINGS, confirm_table
from tune_lpc.results.export import (
    BEST_FILE,
    EPOCHS_FILE,
    FIDELITY_FILE,
    FRONT_FILE,
    PLACEMENTS_FILE,
    RUN_FILE,
    RUNGS_FILE,
    TRIALS_FILE,
)
from tune_lpc.results.journal import JOURNAL_FILE, finite
from tune_lpc.results.ledger import Ledger, read_ledger
from tune_lpc.results.loading import load_run
from tune_lpc.results.manifest import DIGEST, MANIFEST_FILE, Entry, entry_of, read_manifest
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

_MADE = {
    TRIALS_FILE: trials_table,
    BEST_FILE: best_table,
    RUNGS_FILE: rungs_table,
    FIDELITY_FILE: fidelity_table,
    PLACEMENTS_FILE: placements_table,
    FRONT_FILE: front_table,
}
_MEND = "make the tables anew: python -m tune_lpc.report"


def problems_of(directory: Path) -> list[str]:
    """A line for each file of a run that is missing, cut, altered or of another run; empty when all is whole.

    Files are compared with the digests in manifest.json. Where that is not whole, or of a version that wrote none, each
    table is made again from the journal and compared. A confirmation in the folder is looked at as well.
    Raises UserError where there is nothing of a run.
    """
    journal = directory / JOURNAL_FILE
    if not journal.is_file() and not any((directory / name).exists() for name in (RUN_FILE, *_MADE, MANIFEST_FILE)):
        load_run(directory)  # tells what is there in place of a run
    manifest = read_manifest(directory)
    ledger, found = _journal(journal, None if isinstance(manifest, str) else manifest[1])
    about = {} if ledger is None else ledger.about
    if isinstance(manifest, str):
        found += [manifest] if _writes_manifest(about) else []
        found += _run_by_content(directory, about)
        found += _tables_by_content(directory, ledger)
    else:
        found += _by_digest(directory, manifest[0], about)
    try:
        read_own_code(directory, about.get("code", {}))
    except UserError as error:
        found += error.problems
    if (directory / CONFIRM_FOLDER).is_dir():
        found += [f"{CONFIRM_FOLDER}/{problem}" for problem in problems_of(directory / CONFIRM_FOLDER)]
        found += list(_confirmed(directory))
    return found


def _journal(path: Path, entry: Entry | None) -> tuple[Ledger | None, list[str]]:
    """What the journal tells, and what is wrong with it."""
    try:
        ledger, damaged = read_ledger(path)
    except FileNotFoundError:
        return None, [f"{JOURNAL_FILE} is missing: nothing can be made from it again"]
    except OSError as error:
        return None, [f"{JOURNAL_FILE} can't be read ({error.strerror or error})"]
    found = [f"{JOURNAL_FILE}: {line}" for line in damaged]
    if not ledger.run:
        found.append(f"{JOURNAL_FILE} does not say what was run: its first entry is missing")
    if entry is not None and not damaged:
        there = entry_of(path, entry["bytes"])
        if there["bytes"] < entry["bytes"]:
            found.append(f"{JOURNAL_FILE} is cut: it has {there['bytes']:,} bytes, but had {entry['bytes']:,}")
        elif there != entry:
            found.append(f"{JOURNAL_FILE} is that of another run, or was altered: it is not what {MANIFEST_FILE} says")
    return ledger, found


def _by_digest(directory: Path, files: Mapping[str, Entry], about: Mapping[str, Any]) -> list[str]:
    """What differs from the digests, in words."""
    found = []
    for name, entry in files.items():
        path = directory / name
        try:
            there = entry_of(path)
        except FileNotFoundError:
            found.append(f"{name} is missing; {_MEND} {directory}")
            continue
        except OSError as error:
            found.append(f"{name} can't be read ({error.strerror or error})")
            continue
        if there[DIGEST] == entry[DIGEST]:
            continue
        if name.endswith(".parquet") and _is_of_another_run(path, about):
            found.append(f"{name} is that of another run")
        elif there["bytes"] < entry["bytes"]:
            found.append(f"{name} is cut: it has {there['bytes']:,} bytes, but had {entry['bytes']:,}")
        else:
            found.append(f"{name} was altered: it is not what {MANIFEST_FILE} says")
    expected = {RUN_FILE, EPOCHS_FILE, *_MADE} - {FRONT_FILE}
    found += [f"{name} is not in {MANIFEST_FILE}" for name in sorted(expected - files.keys())]
    return found


def _is_of_another_run(path: Path, about: Mapping[str, Any]) -> bool:
    """Whether a table says that it was made from another run than that of the journal."""
    try:
        told = json.loads((pq.read_schema(path).metadata or {})[b"tune_lpc.run"])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return False
    names = ("started", "command", "space_hash")
    return bool(about) and any(told.get(name) != about.get(name) for name in names)


def _writes_manifest(about: Mapping[str, Any]) -> bool:
    """Whether the version that began the run writes manifests; older ones, and none known, don't have to."""
    return not str((about.get("versions") or {}).get("tune_lpc", "")).startswith("0.1.")


def _run_by_content(directory: Path, about: Mapping[str, Any]) -> list[str]:
    try:
        run = load_run(directory)
    except UserError as error:
        return [f"{RUN_FILE} is missing" if not (directory / RUN_FILE).exists() else p for p in error.problems]
    run.pop(OPENINGS, None)
    if about and run != json.loads(json.dumps(finite(dict(about)))):
        return [f"{RUN_FILE} was altered, or is that of another run: it is not what {JOURNAL_FILE} says"]
    return []


def _tables_by_content(directory: Path, ledger: Ledger | None) -> list[str]:
    """Each table against one that is made again; without a journal, whether it can be read at all.

    Version 0.1.0 ranked otherwise, and had fewer tables: of its runs the trials and epochs alone are compared.
    """
    found = []
    is_old = ledger is not None and not _writes_manifest(ledger.about)
    for name in (*_MADE, EPOCHS_FILE):
        path = directory / name
        if not path.is_file():
            is_needed = name != FRONT_FILE or (ledger is not None and bool(ledger.objectives))
            is_needed = is_needed and not (is_old and name == PLACEMENTS_FILE)
            found += [f"{name} is missing; {_MEND} {directory}"] if is_needed else []
            continue
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            found.append(f"{name} is damaged: {(str(error).splitlines() or ['no reason given'])[0]}")
            continue
        if ledger is None:
            continue
        if ledger.run and _is_of_another_run(path, ledger.about):
            found.append(f"{name} is that of another run")
        elif not (is_old and name not in (TRIALS_FILE, EPOCHS_FILE)) and not _is_as_made(table, name, ledger):
            found.append(f"{name} was altered, or is older than {JOURNAL_FILE}; {_MEND} {directory}")
    return found


def _is_as_made(table: pa.Table, name: str, ledger: Ledger) -> bool:
    """Whether a table holds what is made from the ledger, in the columns that its version had."""
    if name == EPOCHS_FILE:
        schema = epochs_schema(ledger.about)
        made = pa.Table.from_batches(list(epoch_batches(ledger)), schema=schema)
    else:
        made = _MADE[name](ledger)
    columns = [column for column in table.column_names if column in made.column_names]
    if not columns or table.num_rows != made.num_rows:
        return False
    return all(table[column].combine_chunks().equals(made[column].combine_chunks()) for column in columns)


def _confirmed(directory: Path) -> Iterator[str]:
    """What is wrong with the table of the confirmation, and with the networks that it names."""
    path = directory / CONFIRM_FILE
    if not path.is_file():
        yield f"{CONFIRM_FILE} is missing; python -m tune_lpc.confirm {directory} --resume writes it anew"
        return
    try:
        table = pq.read_table(path)
        ledger, _ = read_ledger(directory / CONFIRM_FOLDER / JOURNAL_FILE)
    except (pa.ArrowException, OSError) as error:
        yield f"{CONFIRM_FILE} can't be compared: {(str(error).splitlines() or ['no reason given'])[0]}"
        return
    if ledger.run and not table.equals(confirm_table(ledger)):
        yield f"{CONFIRM_FILE} was altered, or is that of another run: it is not what {CONFIRM_FOLDER}/ says"
