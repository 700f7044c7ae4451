"""The adapter between the training of a trial and Ray Tune: one epoch a step."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from tune_lpc.engine.report import NUMBER, REPORT, SPEC, Report
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.record import EpochRecord
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.results import JOURNAL_FILE
from tune_lpc.results.events import Measured, Tested, TrialPlaced, trial_id_of
from tune_lpc.training.checkpoints import Checkpoints
from tune_lpc.training.climb import Climb
from tune_lpc.training.data.split import with_validation_images
from tune_lpc.training.device import best_device, computes_in_bfloat16, exact_arithmetic, use_threads
from tune_lpc.training.loop import Training
from tune_lpc.training.measures import compute_measures
from tune_lpc.training.persistence import check_backend
from tune_lpc.training.prepare import Prepared, prepare

CHECKPOINT_FOLDER = "checkpoints"
Evaluate = Callable[[int, Training, Prepared], Tested]
"""What a command hands in to be done with each trained network: the number of the trial, its training, its data."""


@dataclass(frozen=True)
class Job:
    """What every trial of a search shares.

    runs: lengths in epochs of the runs of a trial, in order. rungs: where a trial may be left to wait.
    fingerprint: of the images. group_size: the largest same-class group that a trial may ask for. threads: of the CPU.
    needs_bfloat16: whether the search chose bfloat16 for what the hardware of its nodes computes in.
    persistence_backend: None where no trial has a topological loss. measures: taken at the end of a trial.
    objectives: the measures that are taken at rungs, too, as they are objectives, and at which.
    trains_on_all: the validation images train, too. evaluate: what is done with each network that is trained in full.
    space: the name of what is searched.
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


class TrialTrainable(tune.Trainable):
    """Trains one trial after another in the same process; the data stay in memory between them.

    Ray's own checkpoints are not used: whoever starts a trial, after whatever happened, goes on from the newest whole
    checkpoint in the run's folder.
    """

    def setup(self, config: dict[str, Any], job: Job) -> None:  # type: ignore[override]
        """Note what is to be done. The data are prepared in the first step: of a process that is still in here, Ray
        tells nobody that it has started, so that nobody could watch it."""
        self._job = job
        self._name = f"{job.space}, from trial {config[NUMBER]} on"
        self._prepared: Prepared | None = None
        self._turn_to(config)

    def __repr__(self) -> str:
        """How Ray's dashboard names the actor. It asks once: the trials that come later have no name of their own.

        Nor does the title of the process tell trial and epoch: Ray puts it into labels of its metrics, where each title
        would stay.
        """
        return getattr(self, "_name", type(self).__name__)

    def _turn_to(self, config: dict[str, Any]) -> None:
        self._config = config
        self._climb: Climb | None = None

    def _prepare(self) -> Prepared:
        """The data, once this process is known to be fit for the search."""
        job, spec = self._job, self._config[SPEC]
        if not (job.folder / JOURNAL_FILE).exists():
            raise UserError(
                f"the results folder {job.folder} is not there on {socket.gethostname()}; "
                "put it, with --out (of results at s3://: --local-copy), where all nodes see the same files"
            )
        self._device = best_device()
        if job.needs_bfloat16 and not computes_in_bfloat16(self._device):
            raise UserError(
                f"the search trains in bfloat16, but {socket.gethostname()} does not compute in it; "
                "leave that node out, or search with --set precision=float32"
            )
        if job.persistence_backend is not None:
            check_backend(job.persistence_backend, self._device)
        use_threads(job.threads)
        prepared = prepare(spec, job.data_dir, job.group_size)
        if prepared.source.fingerprint != job.fingerprint:
            raise UserError(
                f"the images of {spec.dataset} on this node differ from those where the search was started; "
                "give every node the same data"
            )
        return self._trained_on(prepared)

    def _with_split(self, spec: TrialSpec) -> Prepared:
        """The same images, split as a further seed asks for."""
        self._split = spec.split
        return self._trained_on(prepare(spec, self._job.data_dir, self._job.group_size))

    def _trained_on(self, prepared: Prepared) -> Prepared:
        """The data with the rows to train on that the job asks for."""
        if not self._job.trains_on_all:
            return prepared
        return dataclasses.replace(prepared, split=with_validation_images(prepared.split))

    def _begin(self, prepared: Prepared) -> Climb:
        number = self._config[NUMBER]
        self._trial_id = trial_id_of(number)
        checkpoints = Checkpoints(checkpoint_folder(self._job.folder, number))
        climb = Climb(self._config[SPEC], self._job.runs, prepared, self._device, checkpoints, self._job.rungs)
        self._records: Iterator[EpochRecord] = climb.epochs()
        self._is_first = True
        self._unmeasured: EpochRecord | None = None
        return climb

    def step(self) -> dict[str, Any]:
        """Train an epoch and report its record; the first after a checkpoint is the checkpoint's own, once more.

        A new process first reports that the data are prepared, and a trial that measures come next, once it is trained
        and where objectives are measured at a rung: then who watches knows what takes so long.
        """
        if self._prepared is None:
            self._prepared = self._prepare()
            self._split = self._config[SPEC].split
            return {REPORT: Report()}
        if self._climb is None:
            if self._config[SPEC].split != self._split:
                self._prepared = self._with_split(self._config[SPEC])
            self._climb = self._begin(self._prepared)
        prepared = self._prepared
        if self._unmeasured is not None:
            record, self._unmeasured = self._unmeasured, None
            measured = self._measure(self._climb, record) if self._measures_after(record) else None
            return {REPORT: self._report(self._climb, record, measured, self._test(self._climb, prepared, record))}
        record = next(self._records)
        if (self._measures_after(record) or self._is_tested_after(record)) and not record.diverged:
            self._unmeasured = record
            return {REPORT: Report(measures_come_next=True)}
        return {REPORT: self._report(self._climb, record)}

    def _measures_after(self, record: EpochRecord) -> tuple[str, ...]:
        """What is measured after an epoch: everything at the end, objectives at rungs."""
        if _is_last(record, self._job.runs):
            return self._job.measures
        return self._job.objectives.get((record.budget, record.epoch), ())

    def _measure(self, climb: Climb, record: EpochRecord) -> Measured:
        with exact_arithmetic():
            values, reasons = compute_measures(self._measures_after(record), climb.training.evaluated())
        rung = None if _is_last(record, self._job.runs) else (record.budget, record.epoch)
        return Measured(self._trial_id, values, reasons, rung)

    def _is_tested_after(self, record: EpochRecord) -> bool:
        return self._job.evaluate is not None and _is_last(record, self._job.runs)

    def _test(self, climb: Climb, prepared: Prepared, record: EpochRecord) -> Tested | None:
        """What the command that asked for it makes of the trained network; None before the last epoch."""
        if self._job.evaluate is None or not self._is_tested_after(record):
            return None
        with exact_arithmetic():
            return self._job.evaluate(self._config[NUMBER], climb.training, prepared)

    def _report(
        self, climb: Climb, record: EpochRecord, measured: Measured | None = None, tested: Tested | None = None
    ) -> Report:
        placed = None
        if self._is_first:
            placed = TrialPlaced(
                self._trial_id, socket.gethostname(), os.getpid(), climb.continued_from, climb.left_out
            )
        self._is_first = False
        return Report(record.as_dict(), placed, measured, tested, problem=climb.checkpoint_problem)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Turn to the next trial in the same process."""
        self._turn_to(new_config)
        return True


def _is_last(record: EpochRecord, runs: tuple[int, ...]) -> bool:
    return record.budget == record.epoch == runs[-1]


def checkpoint_folder(folder: Path, number: int) -> Path:
    """Where the checkpoints of trial `number` lie in the run's folder."""
    return folder / CHECKPOINT_FOLDER / str(number)
