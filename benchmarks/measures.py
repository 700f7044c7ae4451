"""What does each measure cost? Seconds for one, by itself, on 1,000 images of CIFAR's size; and all of them together,
beside two epochs of training on CIFAR-10's 45,000 training images (its 50,000 less the validation set).

The images are noise about one picture a class: the table is about time, not values. The attacks take as many steps as
the network resists: few for one that is not trained, more after --epochs of training on 1,280 images of that kind, or
of CIFAR-10 with --data-dir. Their time is in proportion to the images: with --points 100 a tenth.

On a machine that others use the CPU seconds say more than the wall clock: --clock cpu (not for a GPU).

    python benchmarks/measures.py [--network resnet18] [--epochs 8] [--points 1000] [--together] [--measure NAME ...]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from tune_lpc.plan import TrialSpec
from tune_lpc.training.device import best_device, use_threads
from tune_lpc.training.loop import Training
from tune_lpc.training.measures import MEASURES, Evaluated, compute_measures
from tune_lpc.training.prepare import prepare

CLASSES = 10
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
TRAINED_IMAGES = 1280
CIFAR_IMAGES = 45_000
SHARED_IMAGES = 9_000
"""Training images of the small CIFAR-10 that this project's machines share."""


def trained(
    network_name: str,
    points: int,
    epochs: int,
    data_dir: Path | None,
    device: torch.device,
    clock: Callable[[], float],
) -> tuple[Evaluated, float]:
    """A network after so many epochs, on `points` images of ten classes, and images a second in its last epoch."""
    values: dict[str, str | int | float | bool | None] = {"dataset": "cifar10", "network": network_name}
    spec = TrialSpec.build({**values, "epochs": max(epochs, 1), "gamma_ramp": "exponential", "gamma_end": 1e2})
    rows = torch.arange(TRAINED_IMAGES + points)
    if data_dir is not None:
        found = prepare(spec, data_dir)
        assert isinstance(found.images, torch.Tensor)
        images, labels = found.images, found.labels
        rows = torch.from_numpy(found.split.train)[: len(rows)]
    else:
        random = torch.Generator().manual_seed(0)
        labels = rows % CLASSES
        pictures = torch.randint(60, 196, (CLASSES, 32, 32, 3), generator=random)
        noise = torch.randint(-60, 61, (len(rows), 32, 32, 3), generator=random)
        images = (pictures[labels] + noise).to(torch.uint8)
    training = Training(spec, images, labels, rows[:TRAINED_IMAGES], rows[TRAINED_IMAGES:], device)
    before = clock()
    for record in training.epochs():
        # What the clock counted of the epoch, validation included, tells what it would count of training alone.
        after = clock()
        speed = record.images_per_second * record.seconds / (after - before)
        before = after
    if epochs == 0:
        training = Training(spec, images, labels, rows[:TRAINED_IMAGES], rows[TRAINED_IMAGES:], device)
    return training.evaluated(), speed


def main() -> None:
    """Print name, seconds and value, or the reason for none, of each measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", default="small_cnn", help="a network of the search spaces")
    parser.add_argument("--epochs", type=int, default=0, help="epochs of training before")
    parser.add_argument("--data-dir", type=Path, help="where CIFAR-10 lies; noise about ten pictures without")
    parser.add_argument("--points", type=int, default=1000, help="how many images")
    parser.add_argument("--device", type=torch.device, default=best_device(), help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: on a machine with other work")
    parser.add_argument("--measure", nargs="+", choices=list(MEASURES), default=list(MEASURES), metavar="NAME")
    parser.add_argument("--together", action="store_true", help="only all of them together, which takes a third")
    options = parser.parse_args()
    use_threads(options.threads)
    clock = CLOCKS[options.clock]
    given, speed = trained(options.network, options.points, options.epochs, options.data_dir, options.device, clock)
    compute_measures(options.measure[:1], replace(given))  # what only the first call pays, such as a GPU's start
    print(f"{options.network}, {options.epochs} epochs, {options.points} points x {given.z.shape[1]}, {options.device}")
    print(f"{'measure':<36} {'seconds':>9}  value")
    for name in () if options.together else options.measure:
        start = clock()
        values, reasons = compute_measures([name], replace(given))  # a copy keeps nothing of what was computed before
        seconds = clock() - start
        value = values[name]
        print(f"{name:<36} {seconds:>9.3f}  {f'{value:.5g}' if value is not None else reasons[name]}", flush=True)
    start = clock()
    compute_measures(options.measure, replace(given))  # several share an attack or a fit
    together = clock() - start
    print(f"{'these together':<36} {together:>9.3f}")
    for images in (CIFAR_IMAGES, SHARED_IMAGES):
        epochs = 2 * images / speed
        print(
            f"{f'two epochs of {images:,} images':<36} {epochs:>9.3f}  the measures are {together / epochs:.0%} of it"
        )


if __name__ == "__main__":
    main()
