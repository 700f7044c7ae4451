"""The trainings that the parts measure: on noise of a data set's size, or on digits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from benchmarks.gpu.running import Bench
from tune_lpc.plan import TrialSpec
from tune_lpc.plan.settings import Value
from tune_lpc.training.loop import Training
from tune_lpc.training.prepare import Prepared, prepare

CLASSES = 10
RESNET: dict[str, Value] = {
    "network": "resnet18",
    "augmentation": "flip_crop",
    "learning_rate": 1e-4,
    "gamma_ramp": "linear",
    "gamma_start": 1.0,
    "gamma_end": 1.001,
}
"""As in benchmarks/step.py, whose plain loop it is compared with."""
_DENSIFICATION: dict[str, Value] = {
    "activation": "leaky_relu",
    "head": "none",
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "groups": 8,
    "group_size": 16,
    "topological_weight_schedule": "constant",
    "topological_weight": 0.1,
    "beta": 1.1,
}
SMALL_CNN: dict[str, Value] = {**_DENSIFICATION, "network": "small_cnn", "distance": "l1"}
SMALLER: dict[str, Value] = {"groups": 2, "group_size": 4}
"""Batches of a rehearsal."""
CNN13: dict[str, Value] = {**_DENSIFICATION, "network": "cnn13"}
CIFAR_IMAGES = 45_000
"""Training images of CIFAR-10, less those to validate on: what is done once an epoch counts as in a search."""
ENDLESS = 10**6
"""Epochs of a training of which only the speed is measured, so that no step lies behind its end."""
SIDES = {"small_cnn": (28, 1), "cnn13": (32, 3), "resnet18": (32, 3), "mlp": (8, 1)}
"""Side in pixels and channels of the images, by network."""


def noise(count: int, side: int, channels: int) -> tuple[Tensor, Tensor]:
    """Pixels (count, side, side, channels) uint8 and labels (count,)."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, side, side, channels), generator=random, dtype=torch.uint8)
    return pixels, torch.arange(count) % CLASSES


def pictured(count: int, side: int, channels: int) -> tuple[Tensor, Tensor]:
    """The same, but noise about a picture for each class, which can be learnt."""
    random, labels = torch.Generator().manual_seed(0), torch.arange(count) % CLASSES
    pictures = torch.randint(60, 196, (CLASSES, side, side, channels), generator=random)
    blur = torch.randint(-60, 61, (count, side, side, channels), generator=random)
    return (pictures[labels] + blur).to(torch.uint8), labels


def on_noise(
    bench: Bench,
    values: Mapping[str, Value],
    images: int,
    validated: int = 32,
    made: Callable[[int, int, int], tuple[Tensor, Tensor]] = noise,
) -> Training:
    """A training of a network of `SIDES` on so many images, and others to validate on."""
    side, channels = SIDES[str(values["network"])]
    pixels, labels = made(images + validated, side, channels)
    rows = torch.arange(len(pixels))
    return Training(TrialSpec.build(values), pixels, labels, rows[:images], rows[images:], bench.device)


def digits() -> Prepared:
    """scikit-learn's digits with their split."""
    return prepare(TrialSpec.build({"dataset": "digits"}))


def steps_of(training: Training) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end."""
    while True:
        yield from training.batches(1)


def images_per_second(bench: Bench, training: Training, seconds: float, epoch: int = 1) -> float:
    """Training speed over about so many seconds, once warm."""
    batches = steps_of(training)

    def until(deadline: float, least: int) -> Iterator[tuple[Tensor, Tensor]]:
        done = 0
        while done < least or time.perf_counter() < deadline:
            yield next(batches)
            done += 1
            if done % 8 == 0:
                bench.wait()  # else a thousand steps are given to the device before the clock is looked at

    training.train_on(until(0.0, 3), epoch)
    bench.wait()
    start = time.perf_counter()
    images = training.train_on(until(start + seconds, 2), epoch)
    bench.wait()
    return images / (time.perf_counter() - start)
