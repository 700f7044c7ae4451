"""What does each measure cost? Seconds for one, by itself, on 1,000 images of CIFAR's size; and all of them together,
beside two epochs of training on CIFAR-10's 45,000 training images (its 50,000 less the validation set).

The images are noise about one picture a class: the table is about time, not values. The attacks take as many steps as
the network resists: few for one that is not trained, more after --epochs of training on 1,280 images of that kind, or
of CIFAR-10 with --data-dir. Their time is in proportion to the images: with --points 100 a tenth.

On a machine that others use the CPU seconds say more than the wall clock: --clock cpu (not for a GPU).

    python benchmarks/measures.py [--network resnet18] [--epochs 8] [--points 1000] [--together] [--measure NAME ...]
    python benchmarks/measures.py --neighbours

--neighbours asks instead from which size a fast search for neighbours pays (entropy and knn_accuracy use it): products
in float64, or faiss in float32 before them, each with the proof that no neighbour is missing. A row is a size and a
spread of the classes, whose means are about 1 apart in each dimension.

Seen on 2026-11-25 with --neighbours --clock cpu (seconds of one thread of an AMD EPYC, Zen 5, on which others worked
too; torch 2.14, faiss-cpu 1.15.1):

| queries x points x dim | differences | neighbours | spread | all distances | products | faiss |
|---|---|---|---|---|---|---|
| 1,000 x 1,000 x 64 | 2^26 | 21 | 1 | 0.0352 | 0.037 | 0.0375 |
| 1,000 x 1,000 x 64 | 2^26 | 21 | 0.001 | 0.0227 | 0.0267 | 0.0322 |
| 1,000 x 1,000 x 64 | 2^26 | 21 | 1e-06 | 0.022 | 0.0327 | 0.0331 |
| 1,000 x 2,000 x 128 | 2^28 | 21 | 1 | 0.112 | 0.0769 | 0.0701 |
| 1,000 x 2,000 x 128 | 2^28 | 21 | 0.001 | 0.109 | 0.0651 | 0.0693 |
| 1,000 x 2,000 x 128 | 2^28 | 21 | 1e-06 | 0.0944 | 0.111 | 0.123 |
| 1,000 x 4,000 x 128 | 2^29 | 20 | 1 | 0.222 | 0.089 | 0.087 |
| 1,000 x 4,000 x 128 | 2^29 | 20 | 0.001 | 0.2 | 0.0926 | 0.104 |
| 1,000 x 4,000 x 128 | 2^29 | 20 | 1e-06 | 0.216 | 0.212 | 0.227 |
| 2,000 x 9,000 x 64 | 2^30 | 200 | 1 | 0.726 | 0.501 | 0.401 |
| 2,000 x 9,000 x 64 | 2^30 | 200 | 0.001 | 0.668 | 0.448 | 0.451 |
| 2,000 x 9,000 x 64 | 2^30 | 200 | 1e-06 | 0.651 | 0.665 | 0.676 |
| 5,000 x 5,000 x 64 | 2^31 | 21 | 1 | 0.856 | 0.211 | 0.216 |
| 5,000 x 5,000 x 64 | 2^31 | 21 | 0.001 | 0.875 | 0.238 | 0.198 |
| 5,000 x 5,000 x 64 | 2^31 | 21 | 1e-06 | 0.846 | 0.269 | 0.239 |
| 1,000 x 45,000 x 128 | 2^32 | 200 | 1 | 2.73 | 0.89 | 0.971 |
| 1,000 x 45,000 x 128 | 2^32 | 200 | 0.001 | 2.84 | 0.927 | 0.899 |
| 1,000 x 45,000 x 128 | 2^32 | 200 | 1e-06 | 2.69 | 2.92 | 2.82 |
| 5,000 x 45,000 x 64 | 2^34 | 200 | 1 | 8.57 | 2.92 | 1.92 |
| 5,000 x 45,000 x 64 | 2^34 | 200 | 0.001 | 8.65 | 2.94 | 3 |
| 5,000 x 45,000 x 64 | 2^34 | 200 | 1e-06 | 8.55 | 8.47 | 8.97 |

So products pay from about 2^27 differences on. faiss pays from about 2^33 on, by a third, and only where float32 still
tells the neighbours apart; below it makes no difference, as ranking the candidates again takes most of the time. Where
classes have collapsed to a millionth and hundreds of neighbours are asked for, nothing can be proved and all distances
are needed: the fast ways then cost up to a tenth more (at 2^28 a third), as they are given up after their first 128
queries. On a GPU none of this has been measured.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from tune_lpc.plan import TrialSpec
from tune_lpc.training.device import best_device, use_threads
from tune_lpc.training.loop import Training
from tune_lpc.training.measures import MEASURES, Evaluated, compute_measures
from tune_lpc.training.measures.neighbours import nearest
from tune_lpc.training.prepare import prepare

CLASSES = 10
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SEARCHES = (
    (1_000, 1_000, 64, 21),
    (1_000, 2_000, 128, 21),
    (1_000, 4_000, 128, 20),
    (2_000, 9_000, 64, 200),
    (5_000, 5_000, 64, 21),
    (1_000, 45_000, 128, 200),
    (5_000, 45_000, 64, 200),
)
"""Queries, points, dimensions, neighbours."""
SPREADS = (1.0, 1e-3, 1e-6)
"""Of a class, where the means of two are about 1 apart in each dimension."""
WAYS = {"all distances": (), "products": ("products",), "faiss": ("faiss", "products")}
"""Ways to find neighbours: the fast ones, in the order in which they are tried before all distances."""
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


def neighbours(device: torch.device, clock: Callable[[], float]) -> None:
    """Print how long each way to the nearest points takes, for classes that are spread, tight and collapsed."""
    print("| queries x points x dim | differences | neighbours | spread | " + " | ".join(WAYS) + " |")
    print("|---" * (4 + len(WAYS)) + "|", flush=True)
    for queries, points, dim, count in SEARCHES:
        for spread in SPREADS:
            random = torch.Generator().manual_seed(0)
            means = torch.randn(CLASSES, dim, generator=random, dtype=torch.float64)
            rows = torch.arange(queries + points) % CLASSES
            z = means[rows] + spread * torch.randn(len(rows), dim, generator=random, dtype=torch.float64)
            one, other = z[:queries].to(device), z[queries:].to(device)
            cells = []
            for ways in WAYS.values():
                nearest(one[:200], other, count, ways)  # what only the first call pays
                times = []
                for _ in range(3):
                    start = clock()
                    float(nearest(one, other, count, ways).distances.sum())  # waits for a GPU
                    times.append(clock() - start)
                cells.append(f"{statistics.median(times):.3g}")
            work = f"2^{math.log2(queries * points * dim):.0f}"
            print(
                f"| {queries:,} x {points:,} x {dim} | {work} | {count} | {spread:g} | {' | '.join(cells)} |",
                flush=True,
            )


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
    parser.add_argument("--neighbours", action="store_true", help="only the table of the ways to find neighbours")
    parser.add_argument("--together", action="store_true", help="only all of them together, which takes a third")
    options = parser.parse_args()
    use_threads(options.threads)
    clock = CLOCKS[options.clock]
    if options.neighbours:
        neighbours(options.device, clock)
        return
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
