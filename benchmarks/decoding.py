"""How fast images are read, against an older checkout: `python -m benchmarks.decoding OLDER [--rounds 10]`.

10,000 CIFAR-10 images as PNG files in class folders: the first reading into the cache, headers and pixels, and
streaming from disk by one process. Each checkout has a process of its own, which lives through all rounds; they go by
turns, and every other round the other one begins. The ratio is the median of those of the rounds. `--control` takes
this checkout for both: how far its ratio is from 1 tells how far the machine can be believed. `--data-dir` holds
cifar10 in Parquet; without it random images are taken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from tune_lpc.training.data import load_training_images

IMAGES = 10_000
BATCH = 250
KINDS = ("first reading", "streaming")
READER = """
import json, shutil, sys, time
from pathlib import Path
import torch
from tune_lpc.training.data import load_training_images
from tune_lpc.training.data.disk import DiskReader, Task
from tune_lpc.training.data.image_files import find_image_files

root, cache, batch = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
files = find_image_files("images", root, 32, cache)
reader = DiskReader(files, 0, torch.device("cpu"))
tasks = [files.paths[i : i + batch] for i in range(0, len(files.paths), batch)]
tasks = [Task(paths, [None] * len(paths)) for paths in tasks]
for line in sys.stdin:
    start = time.perf_counter()
    if line == "streaming\\n":
        for pixels in reader.read(tasks):
            pass
    else:
        load_training_images("images", root, cache_dir=cache / "anew")
    print(json.dumps(time.perf_counter() - start), flush=True)
    shutil.rmtree(cache / "anew", ignore_errors=True)
"""


class Reader:
    """Reads the images of `root` with the code of a checkout."""

    def __init__(self, checkout: Path, root: Path, cache: Path) -> None:
        command = [sys.executable, "-c", READER, str(root), str(cache), str(BATCH)]
        self.process = subprocess.Popen(
            command, cwd=checkout, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True
        )

    def seconds(self, kind: str) -> float:
        """Read all of them once."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(kind, file=self.process.stdin, flush=True)
        if not (line := self.process.stdout.readline()):
            raise SystemExit(f"{self.process.args!r} ended with status {self.process.wait()}")
        return float(json.loads(line))


def main() -> None:
    """Print a table: images a second before and now, the ratio, and the middle half of the rounds' ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("older", type=Path, nargs="?", help="a checkout of an older version")
    parser.add_argument("--control", action="store_true", help="this checkout against itself")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    if options.control == (options.older is not None):
        parser.error("give a checkout of an older version, or --control")
    older = here if options.control else options.older.resolve()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_images(root, options.data_dir)
        with readers([older, here], root) as both:
            print(f"{'images a second':<16} {'before':>8} {'now':>8} {'ratio':>6}  middle half of the ratios")
            for kind in KINDS:
                before, now = zip(*one_by_one(both, kind, options.rounds), strict=True)
                ratios = [old / new for old, new in zip(before, now, strict=True)]
                low, ratio, high = statistics.quantiles(ratios, n=4)
                old, new = (IMAGES / statistics.median(seconds) for seconds in (before, now))
                print(f"{kind:<16} {old:>8,.0f} {new:>8,.0f} {ratio:>6.2f}  {low:.2f} to {high:.2f}", flush=True)


@contextmanager
def readers(checkouts: list[Path], root: Path) -> Iterator[list[Reader]]:
    """One for each checkout; they end with the context."""
    made = [Reader(checkout, root, root / f"cache-{i}") for i, checkout in enumerate(checkouts)]
    try:
        yield made
    finally:
        for reader in made:
            reader.process.kill()
            reader.process.wait()


def one_by_one(both: list[Reader], kind: str, rounds: int) -> Iterator[list[float]]:
    """The seconds of each reader in each round, after one that does not count."""
    for number in range(rounds + 1):
        order = both if number % 2 else both[::-1]
        seconds = {reader: reader.seconds(kind) for reader in order}
        if number:
            yield [seconds[reader] for reader in both]


def write_images(root: Path, data_dir: Path | None) -> None:
    """The images as PNG files in class folders."""
    if data_dir is None:
        images = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(IMAGES) % 10
    else:
        found = load_training_images("cifar10", data_dir, cache_dir=root / "cache")
        images, labels = found.images[:IMAGES], found.labels[:IMAGES]
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        file = root / "images/train" / str(label) / f"{i:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)


if __name__ == "__main__":
    main()
