"""Trials trained one after another in the same process, whose data stay in memory between them. No Ray inside."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.record import EpochRecord
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.checkpoints import Checkpoints, Position
from tune_lpc.training.climb import Climb
from tune_lpc.training.data.split import with_validation_images
from tune_lpc.training.device import computes_in_bfloat16, exact_arithmetic, use_threads
from tune_lpc.training.distributed.group import Group
from tune_lpc.training.loop import Training
from tune_lpc.training.measures import compute_measures
from tune_lpc.training.persistence import check_backend
from tune_lpc.training.prepare import Prepared, prepare

T = TypeVar("T")
Measurements = tuple[Mapping[str, float | None], Mapping[str, str]]
"""The values by name, and why a value is None."""


@dataclass(frozen=True)
class Conditions:
    """What all trials of a trainer share.

    data_dir: of the images; group_size: the largest same-class group that a trial may ask for, None where none does.
    threads: of the CPU. fingerprint: of the images that are needed, None where any will do. needs_bfloat16: whether a
    device that does not compute in it is refused. persistence_backend: None where no trial has a topological loss.
    trains_on_all: the validation images train, too. dtype: as `Training` takes it. code: of the user's own.
    """

    data_dir: Path | None
    group_size: int | None
    threads: int
    fingerprint: str | None = None
    needs_bfloat16: bool = False
    persistence_backend: str | None = None
    trains_on_all: bool = False
    dtype: torch.dtype = torch.float32
    code: OwnCode = NO_CODE


@dataclass(frozen=True)
class Beginning:
    """Where a trial goes on, None at its beginning, and a line for each damaged checkpoint."""

    continued_from: Position | None
    left_out: Sequence[str]


@dataclass(frozen=True)
class Trained:
    """The record of an epoch, and why no checkpoint could be written after it, None when it could."""

    record: EpochRecord
    checkpoint_problem: str | None


class Trains(Protocol):
    """What trains trials: a `Trainer` in this process, or a `distributed.team.Team` of processes."""

    def prepare(self, spec: TrialSpec) -> None:
        """Load the data that `spec` names, and split them as it asks for: the same images for all trials, but for the
        split.

        Raises UserError when this machine, or its data, is not fit for the trials.
        """

    def begin(
        self, spec: TrialSpec, runs: Sequence[int], checkpoints: Path | None, rungs: Collection[Position]
    ) -> Beginning:
        """Turn to a trial, at its beginning or where its newest checkpoint stands; `prepare` comes first.

        runs, rungs: as `Climb` takes them. checkpoints: their folder, None for none.
        """

    def next_epoch(self) -> Trained:
        """Train an epoch; the first after a checkpoint is the checkpoint's own, told once more."""

    def measure(self, names: Sequence[str]) -> Measurements:
        """Measures of the network as it stands."""

    def ask(self, question: Callable[[Training, Prepared], T]) -> T:
        """What `question` makes of the training as it stands, and of its data; to a team it must be picklable."""

    def close(self) -> None:
        """End what was started for the training."""


class Trainer:
    """Trains in this process. group: as `Training` takes it."""

    def __init__(self, conditions: Conditions, device: torch.device, group: Group | None = None) -> None:
        self._conditions, self._device, self._group = conditions, device, group
        self._prepared: Prepared | None = None
        self._split: int | None = None

    def prepare(self, spec: TrialSpec, prepared: Prepared | None = None) -> None:
        """See `Trains`. Called again it only splits the same images in another way, where the trial asks for one.

        prepared: the data where they are there already.
        """
        if self._prepared is not None and spec.split == self._split:
            return
        given = self._conditions
        if self._prepared is None:
            self._check()
            use_threads(given.threads)
        if prepared is None:
            prepared = prepare(spec, given.data_dir, given.group_size, given.code)
        if given.fingerprint not in (None, prepared.source.fingerprint):
            raise UserError(
                f"the images of {spec.dataset} on this node differ from those where the search was started; "
                "give every node the same data"
            )
        if given.trains_on_all:
            prepared = dataclasses.replace(prepared, split=with_validation_images(prepared.split))
        self._prepared, self._split = prepared, spec.split

    def _check(self) -> None:
        """Raise UserError where this process is not fit for the trials."""
        if self._conditions.needs_bfloat16 and not computes_in_bfloat16(self._device):
            raise UserError(
                f"the search trains in bfloat16, but {socket.gethostname()} does not compute in it; "
                "leave that node out, or search with --set precision=float32"
            )
        if self._conditions.persistence_backend is not None:
            check_backend(self._conditions.persistence_backend, self._device)

    def begin(
        self, spec: TrialSpec, runs: Sequence[int], checkpoints: Path | None, rungs: Collection[Position]
    ) -> Beginning:
        """See `Trains`."""
        assert self._prepared is not None
        kept = None if checkpoints is None else Checkpoints(checkpoints)
        self._climb = Climb(spec, runs, self._prepared, self._device, kept, rungs, self._group, self._conditions.dtype)
        self._records: Iterator[EpochRecord] = self._climb.epochs()
        return Beginning(self._climb.continued_from, self._climb.left_out)

    def next_epoch(self) -> Trained:
        """See `Trains`."""
        record = next(self._records)
        return Trained(record, self._climb.checkpoint_problem)

    def measure(self, names: Sequence[str]) -> Measurements:
        """See `Trains`."""
        with exact_arithmetic():
            return compute_measures(names, self._climb.training.evaluated())

    def ask(self, question: Callable[[Training, Prepared], T]) -> T:
        """See `Trains`."""
        assert self._prepared is not None
        with exact_arithmetic():
            return question(self._climb.training, self._prepared)

    def close(self) -> None:
        """Nothing was started."""
