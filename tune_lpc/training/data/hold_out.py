"""Images for one final test, which no search reads: those beside the training images, or some kept apart from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tune_lpc.plan.errors import UserError
from tune_lpc.training.data.contents import number_contents
from tune_lpc.training.data.stratified import allocate, list_classes, named_classes, strata

LEAST = 3
"""Different images that a class must have: one to train on, one to validate, one for the final test."""


@dataclass(frozen=True)
class FinalTest:
    """The images of a data set that no search reads.

    images: how many; None where only opening their files could tell. kept_apart: whether they were chosen from among
    the training images, by `held_out_rows`; otherwise the data have a test part of their own.
    """

    images: int | None
    kept_apart: bool

    def describe(self) -> str:
        """One phrase for people."""
        if self.kept_apart:
            return f"{self.images:,} kept apart for a final test" if self.images else "none kept apart for a final test"
        if self.images is None:
            return "a test part of its own lies beside them"
        return f"{self.images:,} test image{'s lie' if self.images != 1 else ' lies'} beside them"


def images_to_hold_out(images: int, share: float) -> int:
    """How many of so many images a share is; copies and small classes may change it by a few."""
    return int(np.floor(share * images + 0.5))


def held_out_rows(labels: np.ndarray, digests: np.ndarray, share: float, class_names: Sequence[str] = ()) -> np.ndarray:
    """The rows of the images to keep apart, int64, rising; none for a share of 0.

    They are a stratified share of all images, at least one of each class, and follow from what the images show: the
    order of the images, their names and the numbers of the classes have no say. Copies of an image stay together;
    an image of which a copy has another label is never among them, as nobody could tell which label is right.

    labels: (n,) whole numbers from 0. digests: uint8 (n, 16), of all images of the data set.
    Raises UserError naming the classes with too few images.
    """
    if not share:
        return np.zeros(0, np.int64)
    contents = number_contents(digests)
    # The numbers of contents follow the digests, which are as good as drawn.
    found = strata(labels, contents, contents)
    _check_counts(np.array([len(stratum.sizes) for stratum in found]), named_classes(labels, class_names), share)
    counts = np.bincount(labels)
    most = np.array([len(stratum.rows) for stratum in found]) - (LEAST - 1)
    total = max(len(counts), images_to_hold_out(len(labels), share))
    # Where two classes are owed the same, their contents decide, not their numbers.
    order = np.argsort([contents[stratum.rows[0]] for stratum in found])
    wanted = np.empty_like(counts)
    wanted[order] = allocate(min(total, int(most.sum())), counts[order], most[order])
    taken = [stratum.take(int(images), leave=LEAST - 1)[0].rows for stratum, images in zip(found, wanted, strict=True)]
    return np.sort(np.concatenate(taken))


def _check_counts(different: np.ndarray, names: Sequence[str], share: float) -> None:
    short = np.flatnonzero(different < LEAST)
    if not len(short):
        return
    mend = "add images, or --set hold_out=0 to keep none apart"
    if int(different.min()) < LEAST - 1:
        mend = "add images, or leave out the classes with fewer than 2 and --set hold_out=0 to keep none apart"
    raise UserError(
        f"too few different images: {list_classes(short, different, names)}, but with hold_out={share:g} each class "
        f"needs {LEAST} or more: one to train on, one to validate, one for the final test; {mend}"
    )
