"""The speed and memory of a training, measured in pieces."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Queue
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.commands import image_folder
from tune_lpc.plan import TrialSpec
from tune_lpc.plan.trial import Value
from tune_lpc.training.prepare import prepare, start_training
from tune_lpc.training.probe import Probe, memory_free, memory_used

CPU = torch.device("cpu")
DIGITS: dict[str, Value] = {"dataset": "digits", "network": "mlp", "batch_size": 64, "groups": 4, "epochs": 8}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"train_size": 40},
        {"batching": "grouped"},
        {"batching": "grouped", "epoch_unit": "anchors"},
        {"batching": "grouped", "train_size": 30},
    ],
)
def test_the_images_of_an_epoch_are_those_that_it_trains_on(settings: dict[str, Value]) -> None:
    spec = TrialSpec.build({**DIGITS, **settings})
    prepared = prepare(spec)
    training = start_training(spec, prepared)
    assert spec.batches.images_per_epoch(len(prepared.split.train)) == training.train_on(training.batches(1), 1)


class _Clocked:
    """A training on a clock of its own: a batch of 64 images takes 0.1 s, one of 90 validation images 0.25 s."""

    def __init__(self, batches: int) -> None:
        self.now, self._batches = 0.0, batches

    def batches(self, epoch: int) -> Iterator[int]:
        return iter(range(self._batches))

    def train_on(self, batches: Iterable[int], epoch: int) -> int:
        images = 0
        for _ in batches:
            self.now += 0.1
            images += 64
        return images

    def validate_in_parts(self) -> Iterator[int]:
        for _ in range(2):
            self.now += 0.25
            yield 90


@pytest.mark.parametrize("batches", [3, 10_000])
@pytest.mark.parametrize("seconds", [0.0, 1.0, 20.0])
def test_the_time_of_an_epoch_is_that_of_its_training_and_its_validation(
    batches: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = _Clocked(batches)
    monkeypatch.setattr("tune_lpc.training.probe.start_training", lambda *_: training)
    monkeypatch.setattr("tune_lpc.training.probe.time.perf_counter", lambda: training.now)
    spec = TrialSpec.build({**DIGITS, "batching": "grouped", "groups": 8, "group_size": 8, "epoch_unit": "anchors"})
    speed = Probe(spec, prepare(spec), CPU).measure(seconds)
    assert training.now == pytest.approx(max(seconds, 0.35), abs=0.35)
    assert speed.images_per_second == pytest.approx(640)
    # 1,293 // 8 batches of 64, and 144 images to validate.
    assert speed.epoch_seconds == pytest.approx(161 * 0.1 + 144 / 90 * 0.25)


def test_a_long_epoch_is_cut_off_and_goes_on_where_it_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TrialSpec.build({**DIGITS, "batch_size": 2})
    probe = Probe(spec, prepare(spec), CPU)
    training = probe._training
    begun, seen = [], []
    batches, train_on = training.batches, training.train_on
    monkeypatch.setattr(training, "batches", lambda epoch: begun.append(epoch) or batches(epoch))  # type: ignore[func-returns-value]
    monkeypatch.setattr(training, "train_on", lambda some, epoch: seen.append(n := train_on(some, epoch)) or n)  # type: ignore[func-returns-value]
    for _ in range(3):
        probe.measure(0.0)
    assert begun == [5]  # the middle one
    assert seen == [2, 2, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_measuring_images_on_disk_validates_between_the_steps_of_an_epoch(tmp_path: Path, workers: int) -> None:
    spec = TrialSpec.build(
        {
            "dataset": "greys",
            "data_from": "disk",
            "data_workers": workers,
            "image_size": 8,
            "network": "mlp",
            "batch_size": 8,
            "epochs": 4,
            "validation_share": 0.5,
        }
    )
    prepared = prepare(spec, image_folder(tmp_path, per_class=100))
    probe = Probe(spec, prepared, CPU)
    probe.warm_up(1, 0.0)
    for _ in range(14):  # more than the 12 batches of an epoch, of which each time one is trained on
        speed = probe.measure(0.0)
        assert speed.images_per_second > 0


def test_measuring_takes_about_the_time_asked_for() -> None:
    spec = TrialSpec.build(DIGITS)
    probe = Probe(spec, prepare(spec), CPU)
    probe.warm_up(1, 0.0)
    start = time.perf_counter()
    speed = probe.measure(0.4)
    assert 0.4 <= time.perf_counter() - start < 4
    assert speed.images_per_second > 0
    assert torch.get_num_threads() == 1


def test_the_memory_of_a_process_is_its_own_not_the_files_that_it_maps(tmp_path: Path) -> None:
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("no /proc here")
    size, path = 200 * 2**20, tmp_path / "mapped.npy"
    np.save(path, np.ones(size, np.uint8))
    # Peaks of earlier tests would hide what this one does.
    context = multiprocessing.get_context("spawn")
    answers: Queue[list[int]] = context.Queue()  # type: ignore[assignment]
    process = context.Process(target=_memories, args=(str(path), size, answers))
    process.start()
    before, mapped, held = answers.get(timeout=120)
    process.join()
    assert mapped - before < size / 2
    assert held - mapped > size * 0.9
    free = memory_free(CPU)
    assert free is None or free > size


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="no /proc here")
def test_free_memory_is_told_with_psutil_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    free = memory_free(CPU)
    monkeypatch.setitem(sys.modules, "psutil", None)
    without = memory_free(CPU)
    assert free is not None and without is not None
    assert without == pytest.approx(free, rel=0.2)
    told = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=1234))
    monkeypatch.setitem(sys.modules, "psutil", told)
    assert memory_free(CPU) == 1234


@pytest.mark.parametrize("psutil", [None, SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=10**9))])
def test_the_limit_of_a_container_counts_where_it_is_lower(
    psutil: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", psutil)
    monkeypatch.setattr("tune_lpc.training.probe.Path", lambda path: tmp_path / str(path).lstrip("/"))
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {10**9 // 1024} kB\n")
    control = tmp_path / "sys/fs/cgroup"
    control.mkdir(parents=True)
    assert memory_free(CPU) == pytest.approx(10**9, abs=1024)
    (control / "memory.max").write_text("5000\n")
    (control / "memory.stat").write_text("anon 1000\nfile 7000\n")
    assert memory_free(CPU) == 4000


def _memories(path: str, size: int, answers: Queue[list[int]]) -> None:
    """The memory before, after all of a mapped file was read, and after as much was written to."""
    figures = [memory_used(CPU)]
    mapped = np.load(path, mmap_mode="c")
    assert mapped.sum() == size
    figures.append(memory_used(CPU))
    np.ones(size, np.uint8).sum()
    figures.append(memory_used(CPU))
    answers.put(figures)


@pytest.mark.slow
def test_the_images_are_in_memory_once_for_all_processes_that_train(tmp_path: Path) -> None:
    if not Path("/proc/self/smaps").exists():
        pytest.skip("no /proc here")
    folder = image_folder(tmp_path, per_class=50, side=64)
    context = multiprocessing.get_context("spawn")
    answers: Queue[tuple[int, dict[str, int]]] = context.Queue()  # type: ignore[assignment]
    barrier = context.Barrier(2)
    processes = [context.Process(target=_train_and_look, args=(str(folder), barrier, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    for size, mapping in found:
        assert mapping["Rss"] >= size  # each has seen every image
        assert mapping["Private_Dirty"] == 0  # and holds none of its own
        assert mapping["Pss"] == pytest.approx(mapping["Rss"] / 2, rel=0.1)  # but half of what both share


def _train_and_look(folder: str, barrier: Barrier, answers: Queue[tuple[int, dict[str, int]]]) -> None:
    """Train an epoch; the bytes of the images, and what the kernel says of their mapping while the other has it too."""
    torch.set_num_threads(1)
    spec = TrialSpec.build({"dataset": "greys", "network": "mlp", "batch_size": 10, "epochs": 1})
    prepared = prepare(spec, Path(folder))
    for _ in start_training(spec, prepared).epochs():
        pass
    barrier.wait(60)
    mapping = _mapping("images.npy")
    barrier.wait(60)
    answers.put((prepared.images.shape.numel(), mapping))  # type: ignore[union-attr]


def _mapping(name: str) -> dict[str, int]:
    """What /proc/self/smaps says of the mapped file, in bytes."""
    figures: dict[str, int] = {}
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        parts = line.split()
        if not parts[0].endswith(":"):
            inside = line.endswith(name)
        elif inside and parts[-1] == "kB":
            key = parts[0].rstrip(":")
            figures[key] = figures.get(key, 0) + 1024 * int(parts[1])
    return figures
