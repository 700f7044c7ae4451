"""The adapter between the training of a trial and Ray Tune: one epoch a step."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from tune_lpc.engine.report import NUMBER, REPORT, SPEC, Report
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.record import EpochRecord
from tune_lpc.results import JOURNAL_FILE
from tune_lpc.results.events import Measured, Tested, TrialPlaced, trial_id_of
from tune_lpc.training.device import best_device
from tune_lpc.training.loop import Training
from tune_lpc.training.prepare import Prepared
from tune_lpc.training.team import Team
from tune_lpc.training.trainer import Beginning, Conditions, Trainer, Trains

CHECKPOINT_FOLDER = "checkpoints"
Evaluate = Callable[[int, Training, Prepared], Tested]
"""What a command hands in to be done with each trained network: the number of the trial, its training, its data."""


@dataclass(frozen=True)
class Job:
    """What every trial of a search shares.

    runs: lengths in epochs of the runs of a trial, in order. rungs: where a trial may be left to wait.
    fingerprint: of the images. group_size: the largest same-class group that a trial may ask for. threads: of the CPU,
    in each of its `processes`.
    needs_bfloat16: whether the search chose bfloat16 for what the hardware of its nodes computes in.
    persistence_backend: None where no trial has a topological loss. measures: taken at the end of a trial.
    objectives: the measures that are taken at rungs, too, as they are objectives, and at which.
    trains_on_all: the validation images train, too. evaluate: what is done with each network that is trained in full.
    space: the name of what is searched. code: of the user's own.
    """

    folder: Path
    data_dir: Path | None
    runs: tuple[int, ...]
    fingerprint: str
    group_size: int | None
    threads: int
    needs_bfloat16: bool
    persistence_backend: str | None = None
    measures: tuple[str, ...] = ()
    rungs: frozenset[tuple[int, int]] = frozenset()
    objectives: Mapping[tuple[int, int], tuple[str, ...]] = field(default_factory=dict)
    trains_on_all: bool = False
    evaluate: Evaluate | None = None
    space: str = ""
    code: OwnCode = NO_CODE
    processes: int = 1

    def conditions(self) -> Conditions:
        """What of that its training takes."""
        return Conditions(
            self.data_dir,
            self.group_size,
            self.threads,
            self.fingerprint,
            self.needs_bfloat16,
            self.persistence_backend,
            self.trains_on_all,
            code=self.code,
        )


class TrialTrainable(tune.Trainable):
    """Trains one trial after another in the same process, or each in the same several; the data stay in memory between
    them.

    Ray's own checkpoints are not used: whoever starts a trial, after whatever happened, goes on from the newest whole
    checkpoint in the run's folder.
    """

    def setup(self, config: dict[str, Any], job: Job) -> None:  # type: ignore[override]
        """Note what is to be done. The data are prepared in the first step: of a process that is still in here, Ray
        tells nobody that it has started, so that nobody could watch it."""
        self._job = job
        self._name = f"{job.space}, from trial {config[NUMBER]} on"
        self._trainer: Trains | None = None
        self._turn_to(config)

    def __repr__(self) -> str:
        """How Ray's dashboard names the actor. It asks once: the trials that come later have no name of their own.

        Nor does the title of the process tell trial and epoch: Ray puts it into labels of its metrics, where each title
        would stay.
        """
        return getattr(self, "_name", type(self).__name__)

    def _turn_to(self, config: dict[str, Any]) -> None:
        self._config = config
        self._beginning: Beginning | None = None

    def _prepare(self) -> Trains:
        """What trains here, with its data, once this process is known to be fit for the search."""
        job = self._job
        if not (job.folder / JOURNAL_FILE).exists():
            raise UserError(
                f"the results folder {job.folder} is not there on {socket.gethostname()}; "
                "put it, with --out (of results at s3://: --local-copy), where all nodes see the same files"
            )
        trainer: Trains
        if job.processes > 1:
            trainer = Team(job.conditions(), job.processes)
        else:
            trainer = Trainer(job.conditions(), best_device())
        trainer.prepare(self._config[SPEC])
        return trainer

    def _begin(self, trainer: Trains) -> Beginning:
        number = self._config[NUMBER]
        self._trial_id = trial_id_of(number)
        trainer.prepare(self._config[SPEC])  # a further seed may ask for a split of its own
        checkpoints = checkpoint_folder(self._job.folder, number)
        beginning = trainer.begin(self._config[SPEC], self._job.runs, checkpoints, self._job.rungs)
        self._is_first = True
        self._unmeasured: EpochRecord | None = None
        self._checkpoint_problem: str | None = None
        return beginning

    def step(self) -> dict[str, Any]:
        """Train an epoch and report its record; the first after a checkpoint is the checkpoint's own, once more.

        A new process first reports that the data are prepared, and a trial that measures come next, once it is trained
        and where objectives are measured at a rung: then who watches knows what takes so long.
        """
        if self._trainer is None:
            self._trainer = self._prepare()
            return {REPORT: Report()}
        trainer = self._trainer
        if self._beginning is None:
            self._beginning = self._begin(trainer)
        if self._unmeasured is not None:
            record, self._unmeasured = self._unmeasured, None
            measured = self._measure(trainer, record) if self._measures_after(record) else None
            return {REPORT: self._report(self._beginning, record, measured, self._test(trainer, record))}
        trained = trainer.next_epoch()
        record, self._checkpoint_problem = trained.record, trained.checkpoint_problem
        if (self._measures_after(record) or self._is_tested_after(record)) and not record.diverged:
            self._unmeasured = record
            return {REPORT: Report(measures_come_next=True)}
        return {REPORT: self._report(self._beginning, record)}

    def _measures_after(self, record: EpochRecord) -> tuple[str, ...]:
        """What is measured after an epoch: everything at the end, objectives at rungs."""
        if _is_last(record, self._job.runs):
            return self._job.measures
        return self._job.objectives.get((record.budget, record.epoch), ())

    def _measure(self, trainer: Trains, record: EpochRecord) -> Measured:
        values, reasons = trainer.measure(self._measures_after(record))
        rung = None if _is_last(record, self._job.runs) else (record.budget, record.epoch)
        return Measured(self._trial_id, values, reasons, rung)

    def _is_tested_after(self, record: EpochRecord) -> bool:
        return self._job.evaluate is not None and _is_last(record, self._job.runs)

    def _test(self, trainer: Trains, record: EpochRecord) -> Tested | None:
        """What the command that asked for it makes of the trained network; None before the last epoch."""
        if self._job.evaluate is None or not self._is_tested_after(record):
            return None
        return trainer.ask(functools.partial(self._job.evaluate, self._config[NUMBER]))

    def _report(
        self, beginning: Beginning, record: EpochRecord, measured: Measured | None = None, tested: Tested | None = None
    ) -> Report:
        placed = None
        if self._is_first:
            placed = TrialPlaced(
                self._trial_id,
                socket.gethostname(),
                os.getpid(),
                beginning.continued_from,
                beginning.left_out,
                self._job.processes,
            )
        self._is_first = False
        return Report(record.as_dict(), placed, measured, tested, problem=self._checkpoint_problem)

    def cleanup(self) -> None:
        """End what trains with this process. Where it is killed instead, that ends by itself."""
        if self._trainer is not None:
            self._trainer.close()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Turn to the next trial in the same process."""
        self._turn_to(new_config)
        return True


def _is_last(record: EpochRecord, runs: tuple[int, ...]) -> bool:
    return record.budget == record.epoch == runs[-1]


def checkpoint_folder(folder: Path, number: int) -> Path:
    """Where the checkpoints of trial `number` lie in the run's folder."""
    return folder / CHECKPOINT_FOLDER / str(number)
