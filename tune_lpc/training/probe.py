"""How fast a training runs, and what memory it takes: measured for some seconds, without training to any end."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.device import use_threads
from tune_lpc.training.prepare import Prepared, start_training

VALIDATION_SHARE = 0.25
"""Of the time measured; the rest is for training steps, which vary more."""


class Speed(NamedTuple):
    """What was measured of one training.

    images_per_second: images trained on. epoch_seconds: of a whole epoch, validation included, worked out from parts.
    memory: bytes at the highest, see `memory_used`.
    """

    images_per_second: float
    epoch_seconds: float
    memory: int


class Probe:
    """The training of one trial, of which pieces are measured: steps of its middle epoch, and validation batches."""

    def __init__(self, spec: TrialSpec, prepared: Prepared, device: torch.device) -> None:
        self._device = device
        self._epoch = min(spec.epochs, spec.epochs // 2 + 1)  # most ramps and weights are above 0 there
        self._training = start_training(spec, prepared, device)
        self._to_train = spec.batches.images_per_epoch(len(prepared.split.train))
        self._to_validate = len(prepared.split.validation)
        self._rest: Iterator[tuple[Tensor, Tensor]] = iter(())

    def warm_up(self, threads: int, seconds: float = 0.2) -> None:
        """Compute on so many CPU threads from now on, and train for some seconds, a step at least."""
        use_threads(threads)
        self._train_for(seconds)
        if self._device.type == "cuda":  # where the first batch of a size is much slower than the others
            self._validate_for(0.0)

    def measure(self, seconds: float) -> Speed:
        """Train and validate for so many seconds, longer where a step or a batch takes longer."""
        images, train_seconds = self._train_for((1 - VALIDATION_SHARE) * seconds)
        validated, validation_seconds = self._validate_for(VALIDATION_SHARE * seconds)
        of_training = self._to_train * train_seconds / images
        of_validation = self._to_validate * validation_seconds / validated
        return Speed(images / train_seconds, of_training + of_validation, memory_used(self._device))

    def _train_for(self, seconds: float) -> tuple[int, float]:
        """Images and seconds. Short epochs are trained whole, one after another, with all that belongs to them."""
        start, images, passed = time.perf_counter(), 0, 0.0
        while not images or passed < seconds:
            images += self._training.train_on(self._batches_until(start + seconds), self._epoch)
            passed = time.perf_counter() - start
        return images, passed

    def _batches_until(self, deadline: float) -> Iterator[tuple[Tensor, Tensor]]:
        """What is left of an epoch, until the deadline, one batch at least.

        A long epoch goes on where it was left, so that what happens once at its start is not counted each time.
        """
        batch = next(self._rest, None)
        if batch is None:
            self._rest = self._training.batches(self._epoch)
            batch = next(self._rest, None)
        while batch is not None:
            yield batch
            batch = next(self._rest, None) if time.perf_counter() < deadline else None

    def _validate_for(self, seconds: float) -> tuple[int, float]:
        start, images, passed = time.perf_counter(), 0, 0.0
        while not images or passed < seconds:
            for part in self._training.validate_in_parts():
                images += part
                self._wait()
                passed = time.perf_counter() - start
                if passed >= seconds:
                    break
        return images, passed

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def memory_used(device: torch.device) -> int:
    """Bytes that this process has used at the highest: tensors on a GPU, else its own memory.

    Files that are mapped, such as the images, count nowhere: they are in memory once, however many processes map them.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    now = _sizes(Path("/proc/self/status"))
    if "VmHWM" in now:
        return max(now["VmHWM"] - now["RssFile"], now["RssAnon"])
    # Where there is no /proc, as psutil tells no peaks. Not on Linux, where a new process begins with the peak of the
    # one that started it.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory_free(device: torch.device) -> int | None:
    """Bytes that processes can still take: on the GPU, else of the machine or container; None where nobody tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = _free_of_the_machine()
    control = Path("/sys/fs/cgroup")
    try:
        limit = int((control / "memory.max").read_text())
        used = dict(line.split() for line in (control / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    left = limit - int(used["anon"])
    return left if free is None else min(free, left)


def _free_of_the_machine() -> int | None:
    """By psutil, which knows more systems than Linux; without it by /proc, None where there is none."""
    try:
        import psutil
    except ImportError:
        return _sizes(Path("/proc/meminfo")).get("MemAvailable")
    available: int = psutil.virtual_memory().available
    return available


def _sizes(path: Path) -> dict[str, int]:
    """The lines such as "MemAvailable: 12 kB" of a file, in bytes; none where there is no such file."""
    if not path.exists():
        return {}
    lines = [line.split() for line in path.read_text().splitlines()]
    return {line[0].rstrip(":"): 1024 * int(line[1]) for line in lines if len(line) == 3 and line[2] == "kB"}
