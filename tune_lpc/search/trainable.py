"""The adapter between the training loop and Ray Tune: one epoch a step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from tune_lpc.search.searcher import NUMBER
from tune_lpc.spec.errors import UserError
from tune_lpc.spec.record import SCORE, EpochRecord
from tune_lpc.spec.space import Space
from tune_lpc.training.device import best_device, exact_arithmetic, use_threads
from tune_lpc.training.metrics import compute_measures
from tune_lpc.training.prepare import prepare, start_training

STATE_FILE = "training.pt"


@dataclass(frozen=True)
class Job:
    """What every trial of a search shares."""

    space: Space
    data_dir: Path | None
    fingerprint: str
    group_size: int | None
    threads: int
    measures: tuple[str, ...] = ()


class TrialTrainable(tune.Trainable):
    """Trains one trial after another in the same process; the data stay in memory between them."""

    def setup(self, config: dict[str, Any], job: Job) -> None:  # type: ignore[override]
        """Prepare the data once, then the first trial."""
        self._job = job
        use_threads(job.threads)
        spec = _spec_of(job, config)
        self._prepared = prepare(spec, job.data_dir, job.group_size)
        if self._prepared.source.fingerprint != job.fingerprint:
            raise UserError(
                f"the images of {spec.dataset} on this node differ from those where the search was started; "
                "give every node the same data"
            )
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self._training = start_training(_spec_of(self._job, config), self._prepared, best_device())
        self._records: Iterator[EpochRecord] = self._training.epochs()

    def step(self) -> dict[str, Any]:
        """Train an epoch and report its record."""
        record = next(self._records)
        score = math.nan if record.validation_accuracy is None else record.validation_accuracy
        done = record.epoch == self._training.spec.epochs
        result = {SCORE: score, "record": record.as_dict(), "done": done}
        if done and self._job.measures and not record.diverged:
            with exact_arithmetic():
                values, reasons = compute_measures(self._job.measures, self._training.evaluated())
            result["measures"] = {"values": values, "reasons": reasons}
        return result

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Turn to the next trial in the same process."""
        self._begin(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state after the last whole epoch."""
        self._training.save(Path(checkpoint_dir) / STATE_FILE)

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Go on from a saved state."""
        self._training.restore(Path(checkpoint_dir) / STATE_FILE)
        self._records = self._training.epochs()


def _spec_of(job: Job, config: dict[str, Any]) -> Any:
    return job.space.trial({name: value for name, value in config.items() if name != NUMBER})
