"""How long does a training step take, beside a plain loop written as the source projects write theirs?

Two networks: the small CNN on MNIST with 8 groups of 16 images and the topological loss (L1), and ResNet-18 on CIFAR-10
with flips and crops and the penalty of latent point collapse. The plain loop: a torch DataLoader with transforms image
by image, float32, contiguous tensors, the optimiser as torch builds it, one group after another for the topological
loss (scipy's minimum spanning tree with a lookup of its edges), and the loss read after each step. Ours: one epoch of
`Training`, as in a search. Each has its own process, since ours sets how its process handles freed memory; they take
turns, one runs while the other waits, with the same threads; the medians are compared.

On a machine that others use the CPU seconds say more than the wall clock: --clock cpu (not for a GPU).

    python benchmarks/step.py [--data-dir ../shared/data] [--case small_cnn resnet18] [--batch-size 128] [--profile]
    python benchmarks/step.py --device cuda --batch-size 1024 --workers 8

Without --data-dir the images are noise of the same size, which changes no time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.trial import Value
from tune_lpc.training import fast_path
from tune_lpc.training.device import use_threads
from tune_lpc.training.loop import Training
from tune_lpc.training.losses import densification_loss
from tune_lpc.training.models import build_network
from tune_lpc.training.prepare import prepare

GROUPS, GROUP_SIZE = 8, 16
CLASSES = 10
VALIDATED = 4
"""Images validated on after an epoch: few, as only training is timed."""
ROUNDS_BEFORE = 1
"""Rounds that are not counted."""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
BETA, TOPOLOGICAL_WEIGHT, GAMMA = 1.1, 0.1, 1.0


@dataclass(frozen=True)
class Case:
    """What is trained. side, channels: of its images. steps: of a round."""

    dataset: str
    side: int
    channels: int
    steps: int
    settings: dict[str, Value]


CASES = {
    "small_cnn": Case(
        "mnist",
        28,
        1,
        40,
        {
            "network": "small_cnn",
            "activation": "leaky_relu",
            "head": "none",
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "groups": GROUPS,
            "group_size": GROUP_SIZE,
            "topological_weight_schedule": "constant",
            "topological_weight": TOPOLOGICAL_WEIGHT,
            "beta": BETA,
            "distance": "l1",
        },
    ),
    "resnet18": Case(
        "cifar10",
        32,
        3,
        2,
        {
            "network": "resnet18",
            "augmentation": "flip_crop",
            "learning_rate": 1e-4,
            "gamma_ramp": "linear",
            "gamma_start": GAMMA,
            "gamma_end": 1.001 * GAMMA,
        },
    ),
}


class OneByOne(Dataset[tuple[Tensor, int]]):
    """Images that are made and transformed one at a time, as the data sets of torchvision do it."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        self._images, self._labels, self._transform = images.numpy(), labels.tolist(), transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        pixels = self._images[row]
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        return self._transform(image), self._labels[row]


class GroupSampler:
    """Batches of same-class groups, without end: of each an anchor, the other images drawn from its class."""

    def __init__(self, labels: Tensor) -> None:
        self._labels = labels.numpy()
        self._of_class = [np.flatnonzero(self._labels == name) for name in range(CLASSES)]
        self._random = np.random.default_rng(0)

    def __iter__(self) -> Iterator[list[int]]:
        while True:
            batch: list[int] = []
            for anchor in self._random.choice(len(self._labels), GROUPS, replace=False):
                mates = self._random.choice(self._of_class[self._labels[anchor]], GROUP_SIZE - 1)
                batch += [int(anchor), *mates.tolist()]
            yield batch


def spec_of(name: str, options: argparse.Namespace) -> TrialSpec:
    """The trial of a case, with more epochs than there are rounds."""
    case, epochs = CASES[name], 2 * (ROUNDS_BEFORE + options.rounds)
    batch = GROUPS * GROUP_SIZE if name == "small_cnn" else options.batch_size
    values: dict[str, Value] = {**case.settings, "batch_size": batch, "epochs": epochs, "dataset": case.dataset}
    return TrialSpec.build({**values, **dict(options.set)})


def images_of(case: Case, images: int, data_dir: Path | None) -> tuple[Tensor, Tensor]:
    """Pixels (images, height, width, channels) uint8 and labels, of the data set or noise."""
    if data_dir is not None:
        found = prepare(TrialSpec.build({"dataset": case.dataset}), data_dir)
        assert isinstance(found.images, Tensor)
        rows = torch.from_numpy(found.split.train)[:images]
        return found.images[rows].clone(), found.labels[rows].clone()
    random = torch.Generator().manual_seed(0)
    shape = (images, case.side, case.side, case.channels)
    return torch.randint(0, 256, shape, generator=random, dtype=torch.uint8), torch.arange(images) % CLASSES


def plain_topological_loss(z: Tensor) -> Tensor:
    """Densification loss, a group at a time: all distances, a minimum spanning tree, a lookup of its edges."""
    total = z.new_zeros(())
    for group in z.split(GROUP_SIZE):
        distances = torch.cdist(group, group, p=1.0)
        # scipy takes a distance of 0, which an image drawn twice has, for no edge.
        tree = minimum_spanning_tree(distances.detach().cpu().numpy().astype(np.float64) + 1e-9).tocoo()
        total = total + (distances[tree.row, tree.col] - BETA).abs().sum()
    return total / (len(z) // GROUP_SIZE)


def plain_loop(
    name: str, spec: TrialSpec, images: Tensor, labels: Tensor, device: torch.device, workers: int
) -> Iterator[float]:
    """Train as the source projects do; yields the loss of each step, without end."""
    grouped = name == "small_cnn"
    chain: list[Callable[..., object]] = [] if grouped else [transforms.RandomHorizontalFlip()]
    chain += [] if grouped else [transforms.RandomCrop(images.shape[1], padding=4)]
    middle = [0.5] * images.shape[3]
    data = OneByOne(
        images, labels, transforms.Compose([*chain, transforms.ToTensor(), transforms.Normalize(middle, middle)])
    )
    pinned = device.type == "cuda"
    if grouped:
        loader = DataLoader(data, batch_sampler=GroupSampler(labels), num_workers=workers, pin_memory=pinned)
    else:
        loader = DataLoader(
            data, spec.batch_size, shuffle=True, drop_last=True, num_workers=workers, pin_memory=pinned,
            persistent_workers=workers > 0,
        )  # fmt: skip
    torch.manual_seed(0)
    network = build_network(spec, CLASSES, images.shape[3], images.shape[1]).to(device)
    optimizer: torch.optim.Optimizer
    if grouped:
        optimizer = torch.optim.SGD(network.parameters(), spec.learning_rate, momentum=0.9, weight_decay=5e-4)
    else:
        optimizer = torch.optim.AdamW(network.parameters(), spec.learning_rate, weight_decay=5e-4)
    network.train()
    while True:
        for batch, of_batch in loader:
            batch, of_batch = batch.to(device), of_batch.to(device)
            optimizer.zero_grad()
            output = network(batch)
            loss = cross_entropy(output.logits, of_batch)
            if grouped:
                loss = loss + TOPOLOGICAL_WEIGHT * plain_topological_loss(output.z)
            else:
                loss = loss + GAMMA * output.z.square().mean()
            loss.backward()
            optimizer.step()
            yield loss.item()


def our_training(spec: TrialSpec, images: Tensor, labels: Tensor, device: torch.device) -> Training:
    """A training of which each epoch is a round."""
    rows = torch.arange(len(images))
    return Training(spec, images, labels, rows, rows[:VALIDATED], device)


def serve_plain_loop(name: str, options: argparse.Namespace, asked: Connection) -> None:
    """In a process of its own: train a round and answer its seconds each time that something is asked, until None."""
    use_threads(options.threads)
    fast_path.AVAILABLE = False  # torch's own modules in this process
    case, spec = CASES[name], spec_of(name, options)
    images, labels = images_of(case, case.steps * spec.batch_size, options.data_dir)
    steps = plain_loop(name, spec, images, labels, options.device, options.workers)
    while asked.recv() is not None:
        asked.send(seconds_of(lambda: [next(steps) for _ in range(case.steps)], CLOCKS[options.clock], options.device))


def seconds_of(work: Callable[[], object], clock: Callable[[], float], device: torch.device) -> float:
    """Seconds by `clock` until the work is done, on the GPU too."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def topological_seconds(width: int, clock: Callable[[], float], device: torch.device) -> float:
    """Median seconds of our topological loss and its gradient, alone, at the size of a batch."""
    z = torch.randn(GROUPS, GROUP_SIZE, width, device=device, requires_grad=True)

    def once() -> None:
        for _ in range(20):
            densification_loss(z, BETA, "l1").backward()

    once()
    return statistics.median(seconds_of(once, clock, device) / 20 for _ in range(15))


def compare(name: str, options: argparse.Namespace) -> None:
    """Time one case and print its lines."""
    case, device, clock, spec = CASES[name], options.device, CLOCKS[options.clock], spec_of(name, options)
    batch = spec.batch_size
    images, labels = images_of(case, case.steps * batch, options.data_dir)
    ours = our_training(spec, images, labels, device).epochs()
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=serve_plain_loop, args=(name, options, there), daemon=True)
    process.start()
    there.close()
    plain_times, our_times = [], []
    for _ in range(ROUNDS_BEFORE + options.rounds):
        here.send("a round")
        plain_times.append(here.recv() / case.steps)
        our_times.append(seconds_of(lambda: next(ours), clock, device) / case.steps)
    here.send(None)
    process.join()
    theirs, own = (statistics.median(times[ROUNDS_BEFORE:]) for times in (plain_times, our_times))
    print(f"{name:<10} plain {1e3 * theirs:9.2f} ms a step {batch / theirs:9.0f} images/s")
    print(f"{'':<10} ours  {1e3 * own:9.2f} ms a step {batch / own:9.0f} images/s  ratio {theirs / own:.2f}")
    if spec.topological:
        share = topological_seconds(128, clock, device)
        print(f"{'':<10} topological loss {1e3 * share:.3f} ms, {share / own:.1%} of our step")
    if options.profile:
        print(profile(ours, device), flush=True)


def profile(ours: Iterator[object], device: torch.device) -> str:
    """The table of operations of one more round."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    kinds += [torch.profiler.ProfilerActivity.CUDA] if device.type == "cuda" else []
    with torch.profiler.profile(activities=kinds) as found:
        next(ours)
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    table: str = found.key_averages().table(sort_by=order, row_limit=18, max_name_column_width=44)
    return table


def setting(text: str) -> tuple[str, str]:
    """NAME=VALUE of --set, for settings that are texts."""
    name, _, value = text.partition("=")
    return name, value


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="A training step beside a plain loop.")
    parser.add_argument("--data-dir", type=Path, help="where MNIST and CIFAR-10 lie; noise without")
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--batch-size", type=int, default=128, help="of resnet18")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that are counted")
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU, for both")
    parser.add_argument("--workers", type=int, default=0, help="processes of the plain loop's DataLoader")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what is counted")
    parser.add_argument(
        "--set", nargs="+", type=setting, default=[], metavar="NAME=TEXT", help="such as compile=default"
    )
    parser.add_argument("--profile", action="store_true", help="print the operations of one of our rounds")
    options = parser.parse_args()
    if options.clock == "cpu" and (options.device.type == "cuda" or options.workers):
        parser.error("--clock cpu counts this process on the CPU alone: leave out --device cuda and --workers")
    use_threads(options.threads)
    source = f"images of {options.data_dir}" if options.data_dir else "noise for images"
    print(f"{options.device}, {options.threads} threads, {options.clock} clock, torch {torch.__version__}, {source}")
    for name in options.case:
        compare(name, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
