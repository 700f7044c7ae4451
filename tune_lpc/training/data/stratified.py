"""Choosing images class by class, in whole numbers, without parting copies of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tune_lpc.training.data.contents import relabelled

NAMED = 5
"""Classes named in a message."""


@dataclass(frozen=True)
class Stratum:
    """Images of one class in the order in which they are chosen, copies of an image together.

    rows: (n,) of the images. sizes: (different images,) how many copies of each there are, in that order.
    """

    rows: np.ndarray
    sizes: np.ndarray

    def take(self, images: int, leave: int) -> tuple[Stratum, Stratum]:
        """The first `images` images, 1 or more, and the others; at least `leave` different ones stay.

        What has more copies than still fit is passed over. Where there is no other way, fewer images are taken, or,
        in place of none, all copies of the image with fewest. Needs more than `leave` different images.
        """
        sizes = self.sizes[: len(self.sizes) - leave]
        taken = np.zeros(len(self.sizes), bool)
        taken[: len(sizes)] = np.cumsum(sizes) <= images
        missing = images - int(self.sizes[taken].sum())
        for unit in np.flatnonzero(~taken[: len(sizes)] & (sizes <= missing)):
            if sizes[unit] <= missing:
                taken[unit] = True
                missing -= int(sizes[unit])
        if not taken.any():
            taken[np.argmin(sizes)] = True
        of_rows = np.repeat(taken, self.sizes)
        return Stratum(self.rows[of_rows], self.sizes[taken]), Stratum(self.rows[~of_rows], self.sizes[~taken])


def strata(labels: np.ndarray, contents: np.ndarray, keys: np.ndarray) -> list[Stratum]:
    """The images of each class, in the order of the keys of the first of their copies.

    An image of which a copy has another label belongs to no class for certain and is in none of them.
    labels, contents, keys: (n,), contents as `number_contents` gives them. Needs an image of each class from 0.
    """
    _, first = np.unique(contents, return_index=True)
    rows = np.flatnonzero(~relabelled(contents, labels))
    order = rows[np.lexsort((rows, contents[rows], keys[first][contents[rows]], labels[rows]))]
    ends = np.cumsum(np.bincount(labels[rows], minlength=int(labels.max()) + 1))
    found = []
    for of_class in np.split(order, ends[:-1]):
        starts = np.flatnonzero(np.diff(contents[of_class], prepend=-1))
        found.append(Stratum(of_class, np.diff(starts, append=len(of_class))))
    return found


def allocate(total: int, weights: np.ndarray, most: np.ndarray, least: np.ndarray | None = None) -> np.ndarray:
    """Whole numbers that sum to `total`, in the proportion of `weights`, each from `least` to `most`: largest
    remainders.

    least: 1 each by default. In whole numbers throughout, so that no rounding of floats decides.
    Needs least.sum() <= total <= most.sum().
    """
    whole, least = int(weights.sum()), np.ones_like(weights) if least is None else least
    shares: np.ndarray = np.clip(total * weights // whole, least, most)
    while (missing := total - int(shares.sum())) != 0:
        owed = total * weights - shares * whole
        if missing > 0:
            shares[np.argmax(np.where(shares < most, owed, np.iinfo(np.int64).min))] += 1
        else:
            shares[np.argmin(np.where(shares > least, owed, np.iinfo(np.int64).max))] -= 1
    return shares


def named_classes(labels: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """A name for each class from 0, its number where it has none."""
    return [class_names[c] if c < len(class_names) else str(c) for c in range(int(labels.max()) + 1)]


def list_classes(which: np.ndarray, counts: np.ndarray, names: Sequence[str]) -> str:
    """The first of the classes `which` with their counts, and how many more there are."""
    listed = ", ".join(f"class {names[c]!r} has {counts[c]}" for c in which[:NAMED])
    return listed + (f" and {len(which) - NAMED} more classes fall short" if len(which) > NAMED else "")
