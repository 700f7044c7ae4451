"""What a page is made of: the tables of a run as far as they are there and whole. Damage never raises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.pages.moments import Times, read_times
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.objectives import objectives_problems, several_objectives
from tune_lpc.results.confirmed import CONFIRM_FILE
from tune_lpc.results.export import (
    BEST_FILE,
    EPOCHS_FILE,
    FIDELITY_FILE,
    FRONT_FILE,
    PLACEMENTS_FILE,
    RUN_FILE,
    RUNGS_FILE,
    TRIALS_FILE,
    as_pandas,
)
from tune_lpc.results.journal import JOURNAL_FILE, journal_in_use
from tune_lpc.results.loading import load_run
from tune_lpc.results.schema import (
    best_schema,
    confirm_schema,
    fidelity_schema,
    front_schema,
    placements_schema,
    rungs_schema,
    trials_schema,
)

IMPORTANCE_FILE = "importance.parquet"
SCORE_COLUMN = "last.validation_accuracy"
OBJECTIVE, MEASURE, CONFIG = "objective.", "measure.", "config."
_ALWAYS: Mapping[str, Callable[[], pa.Schema]] = {
    TRIALS_FILE: trials_schema,
    BEST_FILE: best_schema,
    RUNGS_FILE: rungs_schema,
    FIDELITY_FILE: fidelity_schema,
    PLACEMENTS_FILE: placements_schema,
}
_IMPORTANCE = pa.schema(
    [("parameter", pa.string()), ("trials", pa.string()), ("count", pa.int64()), ("importance", pa.float64())]
)
_SOMETIMES: Mapping[str, Callable[[], pa.Schema]] = {
    FRONT_FILE: front_schema,
    CONFIRM_FILE: confirm_schema,
    IMPORTANCE_FILE: lambda: _IMPORTANCE,
}
_SCHEMAS = {**_ALWAYS, **_SOMETIMES}
_KEYS = {TRIALS_FILE: ("trial_id", "number", "status"), BEST_FILE: ("rank", "trial_id", "number", "score")}
"""Columns without which a table tells nothing; others that an older version did not write have no values."""


@dataclass(frozen=True)
class Run:
    """A run as a page sees it.

    about: the content of run.json, empty without one. tables: by file name, those that are there and whole.
    problems: a line for each file that is missing or damaged.
    """

    directory: Path
    about: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    problems: Sequence[str] = field(default_factory=list)
    _completed: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Its space and method."""
        space, method = self.space.get("name", self.directory.name), self.about.get("method")
        return f"{space}, {method}" if method else str(space)

    @property
    def space(self) -> Mapping[str, Any]:
        """The space as run.json tells it."""
        return self.part("space")

    def part(self, name: str) -> Mapping[str, Any]:
        """A part of run.json that is an object; empty where it is not there."""
        found = self.about.get(name)
        return found if isinstance(found, dict) else {}

    @cached_property
    def dimensions(self) -> Mapping[str, Mapping[str, Any]]:
        """What was searched, by name, as run.json tells it: ranges and choices of which there are values."""
        told = self.space.get("dimensions")
        there = self.trials.columns
        return {
            name: dimension
            for name, dimension in (told if isinstance(told, dict) else {}).items()
            if f"{CONFIG}{name}" in there and _is_dimension(dimension)
        }

    @property
    def searched(self) -> list[str]:
        """The names of the searched settings."""
        return list(self.dimensions)

    @property
    def objectives(self) -> list[str]:
        """The names of the objectives where there are several."""
        told = self.space.get("objectives", ())
        return [] if objectives_problems(told) else [each.name for each in several_objectives(told)]

    @property
    def trials(self) -> pd.DataFrame:
        """trials.parquet, empty without."""
        return self._table(TRIALS_FILE)

    @property
    def firsts(self) -> pd.DataFrame:
        """The trials that are no further seeds."""
        trials = self.trials
        return trials[trials["repeat_of"].isna()]

    @property
    def best(self) -> pd.DataFrame:
        """best.parquet, empty without."""
        return self._table(BEST_FILE)

    @property
    def rungs(self) -> pd.DataFrame:
        """rungs.parquet, empty without."""
        return self._table(RUNGS_FILE)

    @property
    def fidelity(self) -> pd.DataFrame:
        """fidelity.parquet, empty without."""
        return self._table(FIDELITY_FILE)

    @property
    def front(self) -> pd.DataFrame:
        """front.parquet, empty without."""
        return self._table(FRONT_FILE)

    @property
    def confirmed(self) -> pd.DataFrame:
        """confirm.parquet, empty without."""
        return self._table(CONFIRM_FILE)

    @property
    def importance(self) -> pd.DataFrame:
        """importance.parquet, empty without."""
        return self._table(IMPORTANCE_FILE)

    def _table(self, name: str) -> pd.DataFrame:
        if name not in self._completed:
            self._completed[name] = _completed(self.tables.get(name), _SCHEMAS[name]())
        return self._completed[name]

    @cached_property
    def times(self) -> Times:
        """When trials were placed on workers and ended, from the journal; empty without one."""
        return read_times(self.directory / JOURNAL_FILE)

    @cached_property
    def is_running(self) -> bool:
        """Whether a living process drives the search."""
        try:
            return journal_in_use(self.directory / JOURNAL_FILE)
        except OSError:
            return False

    def curves(self, trial_ids: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
        """The epochs of some trials alone, with `trial_id`, `budget`, `epoch` and those of `columns` that there are.

        Reads no more of the file than what these trials need; empty where it is missing or damaged.
        """
        path = self.directory / EPOCHS_FILE
        keys = ["trial_id", "budget", "epoch"]
        try:
            there = set(pq.read_schema(path).names)
            wanted = [*keys, *(name for name in columns if name in there)]
            return as_pandas(pq.read_table(path, columns=wanted, filters=[("trial_id", "in", list(trial_ids))]))
        except (pa.ArrowException, OSError, KeyError, ValueError):
            return pd.DataFrame(columns=[*keys, *columns])


def read_run(directory: Path, problems: Sequence[str] = ()) -> Run:
    """The run in a folder, whatever of it is there. Raises UserError where there is nothing of a run at all.

    problems: lines about its files that are known already.
    """
    found, tables, about = list(problems), dict[str, pd.DataFrame](), dict[str, Any]()
    try:
        about = load_run(directory)
    except UserError as error:
        found += error.problems
    for name, schema in _SCHEMAS.items():
        table = _read(directory / name, schema())
        if isinstance(table, pd.DataFrame):
            tables[name] = table
        elif table or name in _ALWAYS:
            found.append(table or f"{name} is missing")
    found += _problem_of_epochs(directory / EPOCHS_FILE)
    if not tables and not about and not (directory / JOURNAL_FILE).is_file():
        raise UserError(f"{directory} holds no run: none of {RUN_FILE}, {JOURNAL_FILE} and {TRIALS_FILE} is there")
    return Run(directory, about, tables, _each_file_once(found))


def _read(path: Path, schema: pa.Schema) -> pd.DataFrame | str:
    """A table; or what is wrong with it, '' where there is none."""
    if not path.is_file():
        return ""
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"{path.name} is damaged: {(str(error).splitlines() or ['no reason given'])[0]}"
    lacking = [column for column in _KEYS.get(path.name, schema.names[:1]) if column not in table.schema.names]
    if lacking:
        return f"{path.name} lacks the columns {', '.join(lacking)}"
    try:
        return as_pandas(table)
    except (pa.ArrowException, ValueError) as error:
        return f"{path.name} is damaged: {(str(error).splitlines() or ['no reason given'])[0]}"


def _completed(table: pd.DataFrame | None, schema: pa.Schema) -> pd.DataFrame:
    """The table with every column of its schema, those that it lacks without values."""
    none = as_pandas(schema.empty_table())
    if table is None:
        return none
    lacking = [name for name in none if name not in table]
    return table.assign(**{str(name): pd.Series(pd.NA, table.index, none[name].dtype) for name in lacking})


def _problem_of_epochs(path: Path) -> list[str]:
    if not path.is_file():
        return [f"{path.name} is missing"]
    try:
        pq.ParquetFile(path).close()
    except (pa.ArrowException, OSError) as error:
        return [f"{path.name} is damaged: {str(error).splitlines()[0]}"]
    return []


def _each_file_once(problems: Sequence[str]) -> list[str]:
    """The lines, of several about one file the first."""
    found: dict[str, str] = {}
    for problem in problems:
        name = problem.split(" ")[0].rstrip(":;,").rpartition("/")[2]
        found.setdefault(name if name.endswith((".parquet", ".json")) else problem, problem)
    return list(found.values())


def _is_dimension(told: Any) -> bool:
    """Whether it is a dimension as a run tells it."""
    if not isinstance(told, dict):
        return False
    if told.get("type") == "choice":
        return isinstance(told.get("options"), list)
    low, high = told.get("low"), told.get("high")
    return all(isinstance(limit, (int, float)) for limit in (low, high)) and low < high  # type: ignore[operator]
