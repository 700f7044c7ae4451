"""Splitting validation images off the training images: stratified, fixed, never from test data."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tune_lpc.plan.errors import UserError
from tune_lpc.training.data.contents import Copies, count_copies, number_contents
from tune_lpc.training.data.stratified import Stratum, allocate, list_classes, named_classes, strata

SPLIT_VERSION = 2
"""Raise it when the same data are split in another way. 1 did not know copies of an image."""
SPLIT_SEED = 20_004_805
"""With the number of the split the only seed: the same data are split alike in every search."""


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows to validate on, each int64, rising, with none in common, nor copies of an image.

    hash: SHA-256 of the version of the split and of both.
    """

    train: np.ndarray
    validation: np.ndarray
    hash: str
    copies: Copies


def split_off_validation(
    labels: np.ndarray,
    *,
    train_size: int | None,
    validation_share: float,
    split: int,
    group_size: int | None = None,
    class_names: Sequence[str] = (),
    digests: np.ndarray | None = None,
) -> Split:
    """The split number `split` (0 to 9) of images with these labels, int64 (n,), each class from 0 with images.

    train_size None: `validation_share` of the images, in the proportions of the classes, validate; all others train.
    train_size N: N images train, the same number of each class as far as the classes are large enough (so 250 of
    ten classes are 25 each); as many others validate, in the proportions of the rest.
    group_size: images that each class must have to train on.
    digests: what the images show, uint8 (n, 16); None where all differ. Copies of an image stay on one side, and
    where that leaves no other way a side gets a few images more or fewer. An image of which a copy has another label
    never validates; it trains when train_size is None.

    Raises UserError naming the classes with too few images, or a train_size that doesn't fit.
    """
    contents = np.arange(len(labels)) if digests is None else number_contents(digests)
    # A random key for each image rather than a shuffle: numpy promises less about the stream behind shuffles.
    found = strata(labels, contents, np.random.default_rng([SPLIT_SEED, split]).random(len(labels)))
    names = named_classes(labels, class_names)
    _check_counts(found, len(labels), names, train_size)
    counts = np.array([len(stratum.rows) for stratum in found])
    if train_size is None:
        total = max(len(counts), math.floor(validation_share * len(labels) + 0.5))
        to_validate = allocate(min(total, int(counts.sum()) - len(counts)), np.bincount(labels), counts - 1)
    else:
        to_train = allocate(train_size, np.ones_like(counts), (counts + 1) // 2)
        to_validate = allocate(train_size, counts - to_train, counts - to_train)

    parts = [stratum.take(int(images), leave=1) for stratum, images in zip(found, to_validate, strict=True)]
    validation = np.sort(np.concatenate([rows for rows, _ in parts]))
    if train_size is None:
        train = np.setdiff1d(np.arange(len(labels)), validation, assume_unique=True)
    else:
        chosen = [rest.take(int(images), leave=0)[0] for (_, rest), images in zip(parts, to_train, strict=True)]
        train = np.sort(np.concatenate(chosen))
    if group_size is not None:
        _check_groups(np.bincount(labels[train]), names, group_size)
    return _frozen(train, validation, count_copies(contents, labels))


def _check_counts(found: Sequence[Stratum], images: int, names: Sequence[str], train_size: int | None) -> None:
    different = np.array([len(stratum.sizes) for stratum in found])
    usable, problems = sum(len(stratum.rows) for stratum in found), []
    if len(short := np.flatnonzero(different < 2)):
        once = ", where copies of an image count once, and not at all under different labels"
        problems.append(
            f"too few images: {list_classes(short, different, names)}, but each class needs 2 or more, "
            f"one to train on and one to validate{once if int(different.sum()) < images else ''}; "
            "add images or leave the class out"
        )
    classes = len(found)
    if train_size is not None and train_size < classes:
        problems.append(
            f"train_size is {train_size}, but must be {classes} or more, one image a class; --set train_size={classes}"
        )
    # With fewer images some class has been named above, and no train_size would do.
    if train_size is not None and 2 * train_size > usable >= 2 * classes:
        problems.append(
            f"train_size is {train_size:,}, but must be {usable // 2:,} or less: as many of the {usable:,} images "
            f"again validate; --set train_size={usable // 2}, or none to train on all but the validation share"
        )
    if problems:
        raise UserError(problems)


def _check_groups(to_train: np.ndarray, names: Sequence[str], group_size: int) -> None:
    short = np.flatnonzero(to_train < group_size)
    if len(short):
        smallest = int(to_train.min())
        mend = f"--set group_size={smallest}, or more images" if smallest >= 2 else "more images"
        raise UserError(
            f"too few training images for the groups: {list_classes(short, to_train, names)}, "
            f"but group_size is {group_size}, so each class needs {group_size} or more; mend with {mend}"
        )


def _frozen(train: np.ndarray, validation: np.ndarray, copies: Copies) -> Split:
    digest = hashlib.sha256(f"split version {SPLIT_VERSION}".encode())
    for rows in (train, validation):
        digest.update(len(rows).to_bytes(8, "little"))
        digest.update(rows.astype("<i8").tobytes())
    return Split(train.astype(np.int64), validation.astype(np.int64), digest.hexdigest(), copies)
