"""What a trial takes of the memory, and what its measures cost."""

from __future__ import annotations

import gc
import time
from dataclasses import replace

import torch

from benchmarks.gpu.running import Bench
from benchmarks.gpu.trainings import (
    CIFAR_IMAGES,
    CNN13,
    ENDLESS,
    RESNET,
    SMALL_CNN,
    SMALLER,
    images_per_second,
    on_noise,
    pictured,
)
from tune_lpc.plan.settings import Value
from tune_lpc.training.measures import MEASURES, compute_measures
from tune_lpc.training.probe import memory_used

SLOW = 1.0
"""Seconds from which a measure has a row of its own."""


def memory(bench: Bench) -> None:
    """The highest memory of tensors in training steps; on a CPU, of the whole process until then."""
    batches = (8,) if bench.small else (128, 1024)
    less = SMALLER if bench.small else {}
    cases: list[tuple[str, dict[str, Value]]] = [
        ("small CNN, groups of the same class", {**SMALL_CNN, **less}),
        ("CNN-13, groups of the same class", {**CNN13, **less}),
    ]
    cases += [(f"ResNet-18, batch {batch}", {**RESNET, "batch_size": batch}) for batch in batches]
    for title, values in cases:
        with bench.guarded(f"memory of {title}"):
            gc.collect()  # trainings of before
            if bench.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(bench.device)
            training = on_noise(bench, {**values, "epochs": ENDLESS}, 128 if bench.small else 4096)
            images_per_second(bench, training, 0.1 if bench.small else 1.0)
            used = memory_used(bench.device) / 2**20
            bench.tell(f"memory of {title}", f"{used:,.0f} MB" + (" (process)" if bench.device.type == "cpu" else ""))


def measures(bench: Bench) -> None:
    """All measures of 1,000 images of CIFAR's size, beside two epochs of training; and those that take long."""
    case = SMALL_CNN if bench.small else {**RESNET, "batch_size": 128}
    train, points, epochs = (160, 24, 1) if bench.small else (1280, 1000, 8)
    training = on_noise(bench, {**case, "epochs": epochs}, train, points, pictured)
    for _ in training.epochs():
        pass
    given = training.evaluated()
    names = [name for name in MEASURES if not (bench.small and "flip" in name)]
    compute_measures(names[:1], replace(given))  # what only the first call pays
    bench.wait()
    start = time.perf_counter()
    for name in names:  # several share an attack or a fit: the first of them pays
        before = time.perf_counter()
        compute_measures([name], given)
        bench.wait()
        if (seconds := time.perf_counter() - before) >= SLOW:
            bench.tell(f"measure {name}, with what later ones share of it", f"{seconds:.3g} s")
    together = time.perf_counter() - start
    again = on_noise(bench, {**case, "epochs": ENDLESS}, train if bench.small else CIFAR_IMAGES)
    speed = images_per_second(bench, again, 0.2 if bench.small else 2.0)
    told = f"{together:.3g} s, {together * speed / (2 * CIFAR_IMAGES):.0%} of two epochs of {CIFAR_IMAGES:,} images"
    bench.tell(f"{len(names)} measures of {points:,} images, {case['network']}", told)
