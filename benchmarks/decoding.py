"""How fast images are read, against an older checkout: `python -m benchmarks.decoding OLDER [--rounds 5]`.

10,000 CIFAR-10 images as PNG files in class folders: the first reading into the cache, headers and pixels, and
streaming from disk by this process. Both checkouts by turns, each in a process of its own; the ratio is that of
the medians. `--data-dir` holds cifar10 in Parquet; without it random images are taken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tune_lpc.training.data import load_training_images

IMAGES = 10_000
BATCH = 250
ONE_ROUND = """
import json, sys, time
from pathlib import Path
import torch
from tune_lpc.training.data import load_training_images
from tune_lpc.training.data.disk import DiskReader, Task
from tune_lpc.training.data.image_files import find_image_files

root, cache, batch = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
start = time.perf_counter()
images = load_training_images("images", root, cache_dir=cache).images
first = len(images) / (time.perf_counter() - start)
files = find_image_files("images", root, images.shape[1], cache)
reader = DiskReader(files, 0, torch.device("cpu"))
tasks = [Task(files.paths[i : i + batch], [None] * batch) for i in range(0, len(files.paths), batch)]
start = time.perf_counter()
for pixels in reader.read(tasks):
    pass
print(json.dumps([first, len(images) / (time.perf_counter() - start)]))
"""


def main() -> None:
    """Print a table: images a second before and now, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("older", type=Path, help="a checkout of an older version")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    here = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_images(root, options.data_dir)
        rates: dict[Path, list[list[float]]] = {options.older.resolve(): [], here: []}
        for number in range(options.rounds):
            for checkout, found in rates.items():
                command = [sys.executable, "-c", ONE_ROUND, name, f"{name}/cache-{number}-{len(found)}-{checkout.name}"]
                done = subprocess.run([*command, str(BATCH)], cwd=checkout, capture_output=True, text=True, check=True)
                found.append(json.loads(done.stdout))
    before, now = ([statistics.median(column) for column in zip(*found, strict=True)] for found in rates.values())
    print(f"{'images a second':<16} {'before':>8} {'now':>8} {'ratio':>6}")
    for what, old, new in zip(("first reading", "streaming"), before, now, strict=True):
        print(f"{what:<16} {old:>8,.0f} {new:>8,.0f} {new / old:>6.2f}")


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
