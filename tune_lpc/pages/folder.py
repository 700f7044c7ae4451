"""What a page is made of: the tables of a run as far as they are there and whole. Damage never raises."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.objectives import several_objectives
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
from tune_lpc.results.journal import JOURNAL_FILE, journal_entries
from tune_lpc.results.loading import load_run

IMPORTANCE_FILE = "importance.parquet"
SCORE_COLUMN = "last.validation_accuracy"
_ALWAYS = (TRIALS_FILE, BEST_FILE, RUNGS_FILE, FIDELITY_FILE, PLACEMENTS_FILE)
_SOMETIMES = (FRONT_FILE, CONFIRM_FILE, IMPORTANCE_FILE)
_NEEDED = {TRIALS_FILE: ("trial_id", "number", "status", "budget", "epochs", "epochs_trained", SCORE_COLUMN)}
_MOMENTS = ("run_started", "run_resumed", "trial_placed", "trial_ended")


@dataclass(frozen=True)
class Moment:
    """Something that happened to a trial, so many hours into the search; time in which no process drove it is left out.

    kind: trial_placed or trial_ended.
    """

    kind: str
    hours: float
    trial_id: str
    worker: str = ""


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

    @property
    def name(self) -> str:
        """Its space and method."""
        space, method = self.space.get("name", self.directory.name), self.about.get("method")
        return f"{space}, {method}" if method else str(space)

    @property
    def space(self) -> Mapping[str, Any]:
        """The space as run.json tells it."""
        found = self.about.get("space")
        return found if isinstance(found, dict) else {}

    @property
    def searched(self) -> list[str]:
        """The names of the searched settings."""
        return [name for name in self.space.get("dimensions", {}) if f"config.{name}" in self.trials]

    @property
    def objectives(self) -> list[str]:
        """The names of the objectives where there are several."""
        return [each.name for each in several_objectives(self.space.get("objectives", ()))]

    @property
    def trials(self) -> pd.DataFrame:
        """trials.parquet, empty without."""
        return self._table(TRIALS_FILE, _NEEDED[TRIALS_FILE])

    @property
    def firsts(self) -> pd.DataFrame:
        """The trials that are no further seeds."""
        trials = self.trials
        return trials[trials["repeat_of"].isna()] if "repeat_of" in trials else trials

    @property
    def best(self) -> pd.DataFrame:
        """best.parquet, empty without."""
        return self._table(BEST_FILE, ("rank", "score", "number", "trial_id", "status", "low", "high", "seeds", "tied"))

    @property
    def rungs(self) -> pd.DataFrame:
        """rungs.parquet, empty without."""
        return self._table(RUNGS_FILE, ("trial_id", "rung", "score", "goes_on"))

    @property
    def fidelity(self) -> pd.DataFrame:
        """fidelity.parquet, empty without."""
        return self._table(FIDELITY_FILE, ("rung", "trials", "spearman", "kept", "regret"))

    @property
    def front(self) -> pd.DataFrame:
        """front.parquet, empty without."""
        return self._table(FRONT_FILE, ("epochs", "hypervolume"))

    @property
    def confirmed(self) -> pd.DataFrame:
        """confirm.parquet, empty without."""
        return self._table(CONFIRM_FILE, ("rank", "test_accuracy", "announced"))

    @property
    def importance(self) -> pd.DataFrame:
        """importance.parquet, empty without."""
        return self._table(IMPORTANCE_FILE, ("parameter", "importance"))

    def _table(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        found = self.tables.get(name)
        return found if found is not None else pd.DataFrame(columns=list(columns))

    @cached_property
    def moments(self) -> list[Moment]:
        """When trials were placed on workers and ended, from the journal; empty without one."""
        found, gone, began, last = [], 0.0, None, 0.0
        try:
            for entry in journal_entries(self.directory / JOURNAL_FILE, [], kinds=_MOMENTS):
                now = float(entry.get("time", 0.0))
                if entry["kind"].startswith("run_"):
                    gone += 0.0 if began is None else last - began
                    began = now
                elif began is not None and "trial_id" in entry:
                    worker = f"{entry.get('host', '')}:{entry.get('pid', '')}" if "host" in entry else ""
                    found.append(Moment(entry["kind"], (gone + now - began) / 3600, str(entry["trial_id"]), worker))
                last = now
        except OSError:
            return []
        return found

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


def read_run(directory: Path) -> Run:
    """The run in a folder, whatever of it is there. Raises UserError where there is nothing of a run at all."""
    problems, tables, about = [], dict[str, pd.DataFrame](), dict[str, Any]()
    try:
        about = load_run(directory)
    except UserError as error:
        problems += error.problems
    for name in (*_ALWAYS, *_SOMETIMES):
        path = directory / name
        if not path.is_file():
            problems += [f"{name} is missing"] if name in _ALWAYS else []
            continue
        try:
            table = as_pandas(pq.read_table(path))
        except (pa.ArrowException, OSError, ValueError) as error:
            problems.append(f"{name} is damaged: {(str(error).splitlines() or ['no reason given'])[0]}")
            continue
        if lacking := [column for column in _NEEDED.get(name, ()) if column not in table]:
            problems.append(f"{name} lacks the columns {', '.join(lacking)}")
            continue
        tables[name] = table
    problems += _problem_of_epochs(directory / EPOCHS_FILE)
    if not tables and not about and not (directory / JOURNAL_FILE).is_file():
        raise UserError(f"{directory} holds no run: none of {RUN_FILE}, {JOURNAL_FILE} and {TRIALS_FILE} is there")
    return Run(directory, about, tables, problems)


def _problem_of_epochs(path: Path) -> list[str]:
    if not path.is_file():
        return [f"{path.name} is missing"]
    try:
        pq.ParquetFile(path).close()
    except (pa.ArrowException, OSError) as error:
        return [f"{path.name} is damaged: {str(error).splitlines()[0]}"]
    return []


def as_json(value: Any) -> str:
    """JSON for a script in a page: compact, and nothing in it ends the script."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
