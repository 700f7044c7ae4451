"""The adapter between the training of a trial and Ray Tune: one epoch a step."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.record import SCORE, EpochRecord
from tune_lpc.plan.space import Space
from tune_lpc.results import JOURNAL_FILE
from tune_lpc.search.searcher import NUMBER
from tune_lpc.training.checkpoints import Checkpoints
from tune_lpc.training.climb import Climb
from tune_lpc.training.device import best_device, exact_arithmetic, use_threads
from tune_lpc.training.measures import compute_measures
from tune_lpc.training.prepare import prepare

CHECKPOINT_FOLDER = "checkpoints"


@dataclass(frozen=True)
class Job:
    """What every trial of a search shares."""

    space: Space
    folder: Path
    data_dir: Path | None
    fingerprint: str
    group_size: int | None
    threads: int
    measures: tuple[str, ...] = ()


class TrialTrainable(tune.Trainable):
    """Trains one trial after another in the same process; the data stay in memory between them.

    Ray's own checkpoints are not used: whoever starts a trial, after whatever happened, goes on from the newest whole
    checkpoint in the run's folder.
    """

    def setup(self, config: dict[str, Any], job: Job) -> None:  # type: ignore[override]
        """Prepare the data once, then the first trial."""
        self._job = job
        if not (job.folder / JOURNAL_FILE).exists():
            raise UserError(
                f"the results folder {job.folder} is not there on {socket.gethostname()}; "
                "put it, with --out, where all nodes see the same files"
            )
        use_threads(job.threads)
        spec = job.space.trial(_drawn(config))
        self._prepared = prepare(spec, job.data_dir, job.group_size)
        if self._prepared.source.fingerprint != job.fingerprint:
            raise UserError(
                f"the images of {spec.dataset} on this node differ from those where the search was started; "
                "give every node the same data"
            )
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        job = self._job
        checkpoints = Checkpoints(checkpoint_folder(job.folder, config[NUMBER]))
        self._climb = Climb(
            job.space.trial(_drawn(config)), job.space.fidelity.runs(), self._prepared, best_device(), checkpoints
        )
        self._records: Iterator[EpochRecord] = self._climb.epochs()
        self._is_first = True

    def step(self) -> dict[str, Any]:
        """Train an epoch and report its record; the first after a checkpoint is the checkpoint's own, once more."""
        record = next(self._records)
        score = math.nan if record.validation_accuracy is None else record.validation_accuracy
        done = record.budget == record.epoch == self._job.space.epochs
        result = {SCORE: score, "record": record.as_dict(), "done": done}
        if done and self._job.measures and not record.diverged:
            with exact_arithmetic():
                values, reasons = compute_measures(self._job.measures, self._climb.training.evaluated())
            result["measures"] = {"values": values, "reasons": reasons}
        if self._is_first:
            result["placed"] = self._placed()
        if self._climb.checkpoint_problem:
            result["problem"] = self._climb.checkpoint_problem
        self._is_first = False
        return result

    def _placed(self) -> dict[str, Any]:
        """Where the trial runs, and where it goes on."""
        continued_from = self._climb.continued_from
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "continued_from": None if continued_from is None else list(continued_from),
            "left_out": self._climb.left_out,
        }

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Turn to the next trial in the same process."""
        self._begin(new_config)
        return True


def checkpoint_folder(folder: Path, number: int) -> Path:
    """Where the checkpoints of trial `number` lie in the run's folder."""
    return folder / CHECKPOINT_FOLDER / str(number)


def _drawn(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != NUMBER}
