"""MNIST-250 as a reviewer would have it: search, confirm on the test images, compare, beside the published table.

Vanilla and sliding are searched with the defaults, each with the same number of trials; the config that each search
names is trained again with fresh seeds, each on a split of its own, and tested once a network on the 10,000 test images
of MNIST; then both are compared. Each step is a command of ours, and an interrupted one goes on.

    python benchmarks/mnist250_table.py --data-dir ../shared/data [--out results/mnist250-table] [--seeds 5]

Published (test accuracy, 10 splits; `T`, topological densification and neural collapse): vanilla 92.53 ± 0.76,
sliding 94.24 ± 0.47. Their learning rate, weight decay and beta were chosen with test accuracy in sight.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

METHODS = ("vanilla", "sliding")
MEASURES = ("nc1",)


def steps(options: argparse.Namespace) -> list[list[str]]:
    """The commands, in their order."""
    folders = [str(options.out / method) for method in METHODS]
    data = ["--data-dir", str(options.data_dir)]
    search = ["tune_lpc.run", "mnist250", "--method", *METHODS, "--out", str(options.out), "--resume", *data]
    confirm = ["tune_lpc.confirm", *folders, "--top", "1", "--seeds", str(options.seeds), "--resume", *data]
    return [
        search + ([] if options.trials is None else ["--trials", str(options.trials)]),
        [*confirm, "--measure", *MEASURES],
        ["tune_lpc.compare", *folders],
    ]


def main() -> int:
    """Run each step; the last one prints the table."""
    parser = argparse.ArgumentParser(description="MNIST-250: vanilla against sliding, confirmed on test images.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("results/mnist250-table"))
    parser.add_argument("--trials", type=int, help="of each search (default: the space's)")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for step in steps(options):
        print(f"$ python -m {' '.join(step)}", flush=True)
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-m", *step], check=False)
        print(f"({(time.monotonic() - began) / 60:.0f} minutes)", flush=True)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
