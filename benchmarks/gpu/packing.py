"""How many trials should share the device: what `--gpus-per-trial auto` would choose, and whether it pays."""

from __future__ import annotations

import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import torch

from benchmarks.gpu.running import Bench, in_one_line
from benchmarks.gpu.trainings import CNN13, SIDES, SMALL_CNN, SMALLER, noise
from tune_lpc.plan import TrialSpec
from tune_lpc.plan.own_code import NO_CODE
from tune_lpc.plan.packing import Measured, Packing, PackingTable
from tune_lpc.plan.resources import cpus_here
from tune_lpc.plan.settings import Value
from tune_lpc.training.probe import Probe, Speed

TOGETHER = (1, 2, 4, 8)
TRIED_BY_AUTO = 4
"""So many trials share a GPU at most, when a search measures."""
PATIENCE = 60.0
"""Seconds to wait for a process."""


def packing(bench: Bench) -> None:
    """Both networks of topological densification on 250 images, alone and together."""
    for case in (SMALL_CNN, CNN13):
        values = {**case, **(SMALLER if bench.small else {})}
        with bench.guarded(f"{values['network']}, trials that share the device"):
            _of_network(bench, values)


def _of_network(bench: Bench, values: dict[str, Value]) -> None:
    counts = TOGETHER[:2] if bench.small else tuple(count for count in TOGETHER if count <= cpus_here())
    workers = _Workers(values, counts[-1], bench)
    lines = []
    try:
        for count in counts:
            speeds = workers.measure(count, _threads(bench, count))
            each = _threads(bench, count)
            gpus = 0.0 if bench.device.type == "cpu" else 1 / count
            measured = Measured(
                Packing(count, each, gpus),
                images_per_second=sum(speed.images_per_second for speed in speeds),
                epochs_per_hour=sum(3600 / speed.epoch_seconds for speed in speeds),
                memory_each=max(speed.memory for speed in speeds),
            )
            lines.append(measured)
            assert measured.images_per_second and measured.epochs_per_hour and measured.memory_each
            told = f"{measured.images_per_second:,.0f} images/s, {measured.epochs_per_hour:,.0f} epochs/h in all"
            alone = lines[0].epochs_per_hour
            assert alone
            told += f" ({measured.epochs_per_hour / alone:.2f} times one), {measured.memory_each / 2**20:,.0f} MB each"
            bench.tell(f"{values['network']}, {count} at once, {each} CPUs each", told)
    finally:
        workers.end()
    tried = tuple(line for line in lines if line.packing.together <= TRIED_BY_AUTO)
    best = PackingTable("", "", 0.0, tried).best()
    fastest = max(lines, key=lambda line: line.epochs_per_hour or 0.0)
    assert best is not None and fastest.epochs_per_hour
    chosen = next(line.epochs_per_hour for line in lines if line.packing == best) or 0.0
    told = f"{best.together} at once, {chosen / (lines[0].epochs_per_hour or 1):.2f} times one alone; most did "
    told += f"{fastest.packing.together} at once, of which auto has {chosen / fastest.epochs_per_hour:.0%}"
    bench.tell(f"{values['network']}, what auto would choose", told)


def _threads(bench: Bench, count: int) -> int:
    """CPUs of each of so many, as a search that measures gives them."""
    return 1 if bench.small else max(1, cpus_here() // count)


class _Workers:
    """Processes that train at the same time when they are told to, each as a trial of a search would."""

    def __init__(self, values: dict[str, Value], count: int, bench: Bench) -> None:
        context = get_context("spawn")  # a forked process can't use CUDA
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        self._seconds = 0.3 if bench.small else 2.5
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(
                target=_serve, args=(values, 40 if bench.small else 250, str(bench.device), there), daemon=True
            )
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)
        self._answers(self._pipes)

    def measure(self, count: int, threads: int) -> list[Speed]:
        """The speed of each of so many while they run together, once all of them are warm."""
        pipes = self._pipes[:count]
        for order in (("warm", threads), ("measure", self._seconds)):
            for pipe in pipes:
                pipe.send(order)
            answers = self._answers(pipes)
        return answers

    def _answers(self, pipes: list[Connection]) -> list[Any]:
        answers, deadline = [], time.monotonic() + PATIENCE
        for pipe in pipes:
            if not pipe.poll(max(0.0, deadline - time.monotonic())):
                raise RuntimeError(f"a process did not answer within {PATIENCE:g} s")
            answer = pipe.recv()
            if isinstance(answer, str):
                raise RuntimeError(answer)
            answers.append(answer)
        return answers

    def end(self) -> None:
        """End all of them."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(10)


def _serve(values: dict[str, Value], images: int, device: str, pipe: Connection) -> None:
    """In a process of its own: build the training, then warm up and measure as told; an error goes back as a text."""
    try:
        side, channels = SIDES[str(values["network"])]
        pixels, labels = noise(2 * images, side, channels)
        rows = torch.arange(2 * images).numpy()
        # Of what a trial is prepared with, a probe reads these four alone.
        split = SimpleNamespace(train=rows[:images], validation=rows[images:])
        prepared: Any = SimpleNamespace(images=pixels, labels=labels, split=split, code=NO_CODE)
        spec = TrialSpec.build({**values, "epochs": 310, "epoch_unit": "anchors"})
        probe = Probe(spec, prepared, torch.device(device))
        pipe.send(None)
        while True:
            order, number = pipe.recv()
            pipe.send(probe.warm_up(number) if order == "warm" else probe.measure(number))
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001  the process that asks tells it
        pipe.send(in_one_line(error))
