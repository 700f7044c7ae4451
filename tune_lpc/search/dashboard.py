"""A search as Optuna's dashboard sees it: a study that follows the ledger, written beside the search, never read by it.

Writing a trial to a file of Optuna's takes some 20 ms, so it is done by a thread of its own: the search waits for
nothing here, and what fails here does it no harm. The study can be made from the ledger again at any time.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.objectives import MAX, objective_of
from tune_lpc.plan.record import SCORE
from tune_lpc.plan.space import Space
from tune_lpc.results.events import EpochDone, Event, RungDecided, Status, TrialEnded, TrialStarted
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.ranking import ranked
from tune_lpc.results.trial import Trial
from tune_lpc.search.sampler import distribution_of

FILE, NONE = "file", "none"
"""What --optuna-storage takes beside the address of a database: a file in the results folder, or nothing at all."""
STUDY_FILE = "optuna.journal"
MOST_VALUES = 100
"""Of a trial's curve: of more epochs those in between are left out."""
NOTED = 3
"""Configs whose trials get a note, from the first of the ranking on."""
LONGEST_CLOSING = 10.0
"""Seconds that a search waits at its end for what is still to be written."""
_TRIAL = "trial_id"
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+(@)")


def without_password(text: str) -> str:
    """The text with *** for each password in an address of a database."""
    return _PASSWORD.sub(r"\1***\2", text)


def check_storage(address: str) -> None:
    """Raise UserError where an address of a database is of no use; FILE and NONE are always right."""
    if address in (FILE, NONE):
        return
    if "://" not in address:
        raise UserError(
            f"--optuna-storage is {without_password(address)!r}, but must be {FILE}, {NONE}, or an address such as "
            "postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    try:
        _database(address)
    except Exception as error:  # of many types, of SQLAlchemy and of any driver
        told = without_password(str(error).splitlines()[0] if str(error) else type(error).__name__)
        password = _PASSWORD.search(address)
        if password is not None:
            told = told.replace(address[password.end(1) : password.start(2)], "***")
        raise UserError(
            f"--optuna-storage {without_password(address)!r} can't be used ({told}); mend the address, or leave it out"
        ) from error


def _database(address: str) -> BaseStorage:
    with _quiet():
        return RDBStorage(address)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of each study and each step of its tables."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@dataclass(frozen=True)
class Seen:
    """A trial as a study sees it: plain values, as the ledger goes on changing in another thread.

    facts: what is told beside the parameters. values: of a trial that has trained in full; None for any other.
    curve: scores by epoch.
    """

    trial_id: str
    config: Mapping[str, Any]
    epochs: int
    state: TrialState
    values: Sequence[float] | None = None
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    curve: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, trial: Trial, *, with_curve: bool = False) -> Seen:
        """The trial as it stands."""
        state, values = _end_of(trial)
        facts: dict[str, Any] = {_TRIAL: trial.trial_id, "epochs": trial.full_budget, "seed": trial.config.get("seed")}
        if trial.repeat_of is not None:
            facts["further seed of"] = f"trial {trial.repeat_of}"
        curve = _curve(trial) if with_curve else {}
        return cls(trial.trial_id, trial.config, trial.full_budget, state, values, trial.reason, facts, curve)


def _end_of(trial: Trial) -> tuple[TrialState, list[float] | None]:
    """What Optuna calls the end of a trial, with its values."""
    if trial.end is None:
        return TrialState.RUNNING, None
    values = list(trial.final_values or ()) if trial.objectives else [trial.final_score]
    known = [value for value in values if value is not None]
    if trial.status is Status.COMPLETED and known and len(known) == len(values):
        return TrialState.COMPLETE, known
    return (TrialState.PRUNED if trial.status is Status.STOPPED else TrialState.FAIL), None


def _step(epochs: int) -> int:
    return max(1, math.ceil(epochs / MOST_VALUES))


def _curve(trial: Trial) -> dict[int, float]:
    run = trial.longest
    if run is None:
        return {}
    step = _step(trial.full_budget)
    scores = {epoch: run.score(epoch) for epoch in range(step, run.epochs + 1, step) if epoch in run}
    return {epoch: score for epoch, score in scores.items() if score is not None}


class Study:
    """The study of a search in a storage of Optuna's. What goes wrong is an exception of Optuna's, or an OSError.

    folder: of the results. address: see `check_storage`; not NONE.
    """

    def __init__(self, space: Space, folder: Path, address: str) -> None:
        self._space = space
        if address == FILE:
            self._storage: BaseStorage = JournalStorage(JournalFileBackend(str(folder / STUDY_FILE)))
        else:
            self._storage = _database(address)
        method = str(space.fixed("method"))
        self.name = f"{space.name}, {method}, {folder.resolve().name}, space {space.hash()[:8]}"
        try:
            self._study = self._storage.get_study_id_from_name(self.name)
        except KeyError:
            self._study = self._create(folder)
        there = self._storage.get_all_trials(self._study, deepcopy=False)
        self._trials = {
            str(trial.user_attrs.get(_TRIAL)): self._storage.get_trial_id_from_study_id_trial_number(
                self._study, trial.number
            )
            for trial in there
        }
        self._running = {str(t.user_attrs.get(_TRIAL)) for t in there if t.state is TrialState.RUNNING}

    def _create(self, folder: Path) -> int:
        objectives = [objective_of(str(each)) for each in self._space.objectives]
        maximize = [StudyDirection.MAXIMIZE if o.direction == MAX else StudyDirection.MINIMIZE for o in objectives]
        with _quiet():
            study = self._storage.create_new_study(maximize, self.name)
        about = {
            "results": str(folder.resolve()),
            "values": ", ".join(map(str, objectives)),
            "unit": "validation accuracy: share of the validation images, 0 to 1; steps are epochs",
        }
        for name, value in about.items():
            self._storage.set_study_user_attr(study, name, value)
        return study

    def catch_up(self, trials: Sequence[Seen]) -> None:
        """Bring the study up to date: trials that it lacks, and ends that it has not heard of."""
        for seen in trials:
            if seen.trial_id not in self._trials:
                self._add(seen)
            else:
                self.end(seen)

    def start(self, seen: Seen) -> None:
        """A trial begins, or goes on after a rung had left it: that is one more to Optuna, which knows no way back."""
        if seen.trial_id not in self._running:
            self._add(seen)

    def epoch(self, trial_id: str, epoch: int, score: float) -> None:
        """An epoch of a trial."""
        if trial_id in self._running:
            self._storage.set_trial_intermediate_value(self._trials[trial_id], epoch, score)

    def end(self, seen: Seen) -> None:
        """A trial has ended, if it has."""
        if seen.trial_id not in self._running or seen.state is TrialState.RUNNING:
            return
        identifier = self._trials[seen.trial_id]
        if seen.reason:
            self._storage.set_trial_user_attr(identifier, "reason", seen.reason)
        self._storage.set_trial_state_values(identifier, seen.state, seen.values)
        self._running.discard(seen.trial_id)

    def note(self, notes: Mapping[str, str]) -> None:
        """Notes on trials by name, in Markdown; only where the dashboard, which shows them, is installed."""
        if not notes or importlib.util.find_spec("optuna_dashboard") is None:
            return
        from optuna_dashboard import save_note

        with _quiet():
            study = optuna.load_study(study_name=self.name, storage=self._storage)
        for trial_id, text in notes.items():
            if (identifier := self._trials.get(trial_id)) is not None:
                save_note(optuna.Trial(study, identifier), text)

    def _add(self, seen: Seen) -> None:
        dimensions = self._space.dimensions
        drawn = {name: seen.config[name] for name in dimensions if seen.config.get(name) is not None}
        facts = {**seen.facts, **({"reason": seen.reason} if seen.reason else {})}
        if seen.trial_id in self._trials:
            facts["goes on after a rung"] = True
        template = create_trial(
            state=seen.state,
            values=seen.values,
            params=drawn,
            distributions={name: distribution_of(dimensions[name]) for name in drawn},
            user_attrs=facts,
            intermediate_values=dict(seen.curve),
        )
        self._trials[seen.trial_id] = self._storage.create_new_trial(self._study, template_trial=template)
        if seen.state is TrialState.RUNNING:
            self._running.add(seen.trial_id)


def notes_of(ledger: Ledger, folder: Path) -> dict[str, str]:
    """What is noted on the trials of the best configs: where their files are."""
    return {
        config.trial.trial_id: (
            f"Rank {rank}: score {config.score:.4f} over {len(config.scores)} seeds. Results in `{folder.resolve()}`, "
            f"row `{config.trial.trial_id}` of `trials.parquet`. Train it again: "
            f"`python -m tune_lpc.train {folder} --rank {rank}`"
        )
        for rank, config in enumerate(ranked(ledger)[:NOTED], start=1)
    }


class Mirror:
    """Lets a study follow a search, from a thread of its own; called with each event, once the ledger has it.

    problem: why the study can't be written any more; None while all is well. A later session makes up for it.
    """

    def __init__(self, space: Space, ledger: Ledger, folder: Path, address: str) -> None:
        self._space, self._ledger, self._folder, self._address = space, ledger, folder, address
        self._before = [Seen.of(trial, with_curve=True) for trial in ledger.in_order()]
        self._steps: queue.SimpleQueue[Callable[[Study], None] | None] = queue.SimpleQueue()
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._follow, name="optuna-study", daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Something has happened; what the study needs of it is taken here, and written later."""
        trial = self._ledger.trials.get(getattr(event, "trial_id", ""))
        if trial is None or self.problem is not None:
            return
        if isinstance(event, TrialStarted) or (isinstance(event, RungDecided) and event.promoted):
            seen = Seen.of(trial)
            self._steps.put(lambda study: study.start(seen))
        elif isinstance(event, TrialEnded):
            seen = Seen.of(trial)
            self._steps.put(lambda study: study.end(seen))
        elif isinstance(event, EpochDone):
            epoch, score = event.record["epoch"], event.record.get(SCORE)
            if score is not None and epoch % _step(trial.full_budget) == 0:
                self._steps.put(lambda study: study.epoch(trial.trial_id, epoch, float(score)))

    def close(self) -> None:
        """Write what is left, for some seconds at most."""
        notes = notes_of(self._ledger, self._folder)
        self._steps.put(lambda study: study.note(notes))
        self._steps.put(None)
        self._thread.join(LONGEST_CLOSING)
        if self._thread.is_alive() and self.problem is None:
            self.problem = "it is behind; a later session brings it up to date"

    def _follow(self) -> None:
        try:
            study = self._opened()
            while (step := self._steps.get()) is not None:
                step(study)
        except Exception as error:  # noqa: BLE001 - of many types, of Optuna and of any driver: told, not raised
            told = (str(error).splitlines() or ["no reason given"])[0]
            self.problem = without_password(f"{type(error).__name__}: {told}")

    def _opened(self) -> Study:
        path = self._folder / STUDY_FILE
        if self._address == FILE and path.exists() and not path.read_bytes().endswith(b"\n"):
            path.unlink()  # a kill cut its last line, which the next one would continue
        try:
            study = Study(self._space, self._folder, self._address)
            study.catch_up(self._before)
        except (ValueError, KeyError, AssertionError):
            if self._address != FILE:
                raise
            # A file that was damaged is made anew: all that it held the ledger has.
            path.unlink(missing_ok=True)
            study = Study(self._space, self._folder, self._address)
            study.catch_up(self._before)
        return study


def rebuild(space: Space, ledger: Ledger, folder: Path) -> Path:
    """Make the study's file anew from the ledger; its path. Raises OSError when it can't be written."""
    path = folder / STUDY_FILE
    path.unlink(missing_ok=True)
    study = Study(space, folder, FILE)
    study.catch_up([Seen.of(trial, with_curve=True) for trial in ledger.in_order()])
    study.note(notes_of(ledger, folder))
    return path
