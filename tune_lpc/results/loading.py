"""Reading a run's files back: what was run, and a config of its ranking. Every damage is one line for the user."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.plan.errors import UserError, shown
from tune_lpc.plan.trial import TrialSpec, Value, setting_field, setting_names
from tune_lpc.results.export import BEST_FILE, RUN_FILE
from tune_lpc.results.journal import JOURNAL_FILE
from tune_lpc.results.ledger import read_ledger


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


BEFORE: Mapping[str, Value] = {
    "hold_out": 0.0,
    "input_noise": 0.0,
    "persistence_backend": "auto",
    "validation_size": None,
}
"""Settings that version 0.1.0 did not have, each with the value that does what that version did. Its tables lack them;
those that a later version exports from its journals have no values there."""


def load_ranked(directory: Path, rank: int) -> TrialSpec:
    """The trial that stands at `rank` (from 1) in best.parquet.

    Raises UserError when the folder holds no run, when its file is damaged or of something else, or when there is no
    such rank.
    """
    path = directory / BEST_FILE
    row = _ranked_row(directory, rank)
    settings = {name.removeprefix("config."): row[name] for name in row if name.startswith("config.")}
    settings |= {name: value for name, value in BEFORE.items() if settings.get(name) is None}
    # Of before there was such a setting; its default is what was done then.
    settings = {name: value for name, value in settings.items() if value is not None or not _is_later(name)}
    try:
        return TrialSpec.build(settings)
    except UserError as error:
        raise UserError([f"{path} is damaged: {problem}" for problem in error.problems]) from error


def sessions_of(directory: Path, rank: int) -> list[Mapping[str, Any]]:
    """What is known of the processes under which the trial at `rank` was trained: versions, hardware, resources.

    In order, the last one that of its last epoch. Empty where the journal is missing or does not tell.
    Raises UserError as `load_ranked`.
    """
    trial_id = _ranked_row(directory, rank)["trial_id"]
    try:
        ledger, _ = read_ledger(directory / JOURNAL_FILE)
    except OSError:
        return []
    trial = ledger.trials.get(trial_id)
    return [session.facts for session in ledger.sessions_of(trial) if session.facts] if trial is not None else []


def load_best(directory: Path) -> list[dict[str, Any]]:
    """The rows of best.parquet, the best first. Raises UserError where there is none, and where it is damaged."""
    table = load_table(directory / BEST_FILE)
    needed = ("rank", "score", "low", "high", "tied", "front", "trial_id", "epochs", "config.epochs")
    if lacking := [name for name in needed if name not in table.schema.names]:
        raise UserError(
            f"{directory / BEST_FILE} lacks the columns {_some(lacking)}: an older version wrote it; go on with the "
            "search by --resume, which writes the files anew"
        )
    return list(table.to_pylist())


def seeds_used(directory: Path) -> set[int]:
    """The seeds that the search in `directory`, and confirmations of it, have trained with.

    Raises UserError where the search has no journal any more.
    """
    found = set()
    for journal in [directory / JOURNAL_FILE, *sorted(directory.glob(f"*/{JOURNAL_FILE}"))]:
        try:
            ledger, _ = read_ledger(journal)
        except OSError as error:
            raise UserError(
                f"{journal} can't be read ({error.strerror or error}); it tells which seeds are fresh"
            ) from error
        found |= {int(trial.config["seed"]) for trial in ledger.trials.values() if trial.config.get("seed") is not None}
    return found


def load_table(path: Path) -> pa.Table:
    """A Parquet file of a run, whatever its columns. Raises UserError when it is missing or damaged."""
    try:
        return pq.read_table(pa.BufferReader(_content(path)))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is damaged, it must be a Parquet file: {reason}") from error


def _ranked_row(directory: Path, rank: int) -> dict[str, Any]:
    """The row of best.parquet at `rank`, once the file is known to be what a search wrote."""
    path = directory / BEST_FILE
    table = load_table(path)
    settings = {name.removeprefix("config.") for name in table.schema.names if name.startswith("config.")}
    lacking = [
        f"config.{name}" for name in setting_names() if name not in settings | set(BEFORE) and not _is_later(name)
    ]
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
    return dict(row)


def _is_later(name: str) -> bool:
    """Whether a setting came when there were runs already, in which it has no effect."""
    return bool(setting_field(name).metadata["later"])


def _content(path: Path) -> bytes:
    """The bytes of a file of a run. Raises UserError when it is not there or can't be read."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        if (path.parent / JOURNAL_FILE).exists():
            problem = f"{path.parent} has no {path.name}, which its search writes; go on with it, by its --resume"
            raise UserError(problem) from error
        raise UserError(f"{path.parent} holds no run: {_why_no_run(path)}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{str(path)!r} can't be read ({reason}); check the path") from error


def _why_no_run(path: Path) -> str:
    """What is there in place of the file `path` of a run."""
    if not path.parent.exists():
        return "there is no such folder; check the path"
    of_methods = sorted(found.parent.name for found in path.parent.glob(f"*/{path.name}"))
    others = f", but its folders have: {_some(of_methods)}; give one of them" if of_methods else ""
    return f"it has no {path.name}{others}"


def _some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
