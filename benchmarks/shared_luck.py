"""How much of the luck of the validation images do configs share that are scored on the same ones?

The luck of a run is its validation accuracy minus that on left-over images, of the same network, in the curves of
`record_curves.py`. Were the images drawn for each config anew, it would vary between configs as a share of so many
images does, p (1 - p) / n; as all are scored on the same ones it varies less. The part that is left, that of the
left-over images taken off, is UNSHARED of `tune_lpc/results/intervals.py`. Half of that of the left-over images is
taken off, as they are shared in the same way.

    python -m benchmarks.shared_luck

Seen on 2026-11-25 with the curves as they were: digits 0.23 to 0.73, 250 digits 0.24 to 0.71, MNIST-250 0.28 (seed 0),
CIFAR-10 0.67 and 0.87 (seeds 0 and 3; networks that are right half of the time); the median of the 18 files is 0.40.
"""

from __future__ import annotations

import statistics

import numpy as np
import pandas as pd

from benchmarks.record_curves import FOLDER

IMAGES = {"digits": (144, 360), "digits250": (250, 1297), "mnist250": (250, 5000), "cifar10": (2000, 5000)}
"""Images that validate, and left-over ones, at most 5,000."""
WORST = 0.05
"""Configs further below the median than this are left out: nobody compares them with the best."""


def unshared(runs: pd.DataFrame, validation: int, left_over: int) -> float:
    """The share of the variance from the validation images that the configs of one seed and split don't share."""
    whole = runs[runs["validation_accuracy"].map(len) == runs["validation_accuracy"].map(len).max()]
    scores = whole["validation_accuracy"].map(lambda curve: curve[-1]).to_numpy(float)
    truth = whole["left_over_accuracy"].to_numpy(float)
    known = np.isfinite(scores) & np.isfinite(truth)
    known &= truth > np.nanmedian(truth) - WORST
    share = truth[known].mean()
    of_share = share * (1 - share)
    luck = (scores - truth)[known].var(ddof=1)
    return float((luck - 0.5 * of_share / left_over) * validation / of_share)


def main() -> None:
    """Print a line a file, and the median."""
    found = []
    for name, (validation, left_over) in IMAGES.items():
        for file in sorted((FOLDER / name).glob("*.parquet")):
            found.append(unshared(pd.read_parquet(file), validation, left_over))
            print(f"{name:10} {file.stem}  {found[-1]:.2f}")
    print(f"median {statistics.median(found):.2f}")


if __name__ == "__main__":
    main()
