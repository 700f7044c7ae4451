"""The training of one trial: complete runs of rising length, one after another, with checkpoints. No Ray inside."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch

from tune_lpc.plan.record import EpochRecord
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.checkpoints import Checkpoints, Position
from tune_lpc.training.distributed.group import Group
from tune_lpc.training.loop import Training
from tune_lpc.training.prepare import Prepared, start_training

CHECKPOINT_SHARE = 0.05
"""Writing checkpoints takes at most this share of the time: where they are cheap there is one each epoch."""


class Climb:
    """The runs of a trial. Most trials have one; in a compressed climb each run starts from scratch with the whole of
    every schedule squeezed into it.

    Goes on from the newest whole checkpoint in `checkpoints`, if there is one. Since the record of its epoch may not
    have reached anybody, `epochs` begins with it again.

    rungs: where it may be left to wait: there is always a checkpoint.
    continued_from: where it goes on, None at the beginning. left_out: a line for each damaged checkpoint.
    group, dtype: as `Training` takes them. Of several processes the first reads and writes the checkpoints.
    checkpoint_problem: why the last checkpoint could not be written; None when it could. Training goes on without it.
    """

    def __init__(
        self,
        spec: TrialSpec,
        runs: Sequence[int],
        prepared: Prepared,
        device: torch.device | str = "cpu",
        checkpoints: Checkpoints | None = None,
        rungs: Collection[Position] = (),
        group: Group | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._rungs = rungs
        self._group, self._dtype = group, dtype
        self._spec, self._runs, self._prepared, self._device = spec, runs, prepared, device
        self._checkpoints = checkpoints
        self._saved: dict[str, Any] | None = None
        self.left_out: list[str] = []
        if checkpoints is not None:
            self._saved, self.left_out = checkpoints.newest() if group is None else _newest_of_all(checkpoints, group)
        self.continued_from: Position | None = None
        if self._saved is not None:
            self.continued_from = (self._saved["record"]["budget"], self._saved["record"]["epoch"])
        self.checkpoint_problem: str | None = None
        self._save_cost, self._saved_at = 0.0, time.monotonic()
        self.training = self._begin(self.continued_from[0] if self.continued_from else runs[0])

    def epochs(self) -> Iterator[EpochRecord]:
        """Train the epochs that remain, yielding the record of each; ends early when training has diverged."""
        if self._saved is not None:
            record = EpochRecord(**self._saved["record"])
            self.training.restore(self._saved["training"])
            self._saved = None
            yield record
        while True:
            budget = self.training.spec.epochs
            for record in self.training.epochs():
                if not record.diverged and (budget, record.epoch) != (self._runs[-1], self._runs[-1]):
                    self._save(record)
                yield record
                if record.diverged:
                    return
            if budget == self._runs[-1]:
                return
            self.training = self._begin(self._runs[self._runs.index(budget) + 1])

    def _begin(self, budget: int) -> Training:
        spec = dataclasses.replace(self._spec, epochs=budget)
        return start_training(spec, self._prepared, self._device, self._group, self._dtype)

    def _save(self, record: EpochRecord) -> None:
        """Write a checkpoint, unless the last is too recent for what one costs, or another process writes it."""
        if self._group is not None and not self._group.is_first:
            return
        start, position = time.monotonic(), (record.budget, record.epoch)
        is_recent = start - self._saved_at < self._save_cost / CHECKPOINT_SHARE
        if self._checkpoints is None or (is_recent and position not in self._rungs):
            return
        state = {"record": record.as_dict(), "training": self.training.state()}
        try:
            self._checkpoints.write(position, state)
            self.checkpoint_problem = None
        except OSError as error:
            self.checkpoint_problem = f"no checkpoint could be written: {error.strerror or error}"
        self._saved_at = time.monotonic()
        self._save_cost = self._saved_at - start


def _newest_of_all(checkpoints: Checkpoints, group: Group) -> tuple[dict[str, Any] | None, list[str]]:
    """As `Checkpoints.newest` in the first process, for all: they must go on from the same."""
    found: tuple[dict[str, Any] | None, list[str]] = (None, [])
    if group.is_first:
        found = checkpoints.newest()
    return group.from_first(found)
