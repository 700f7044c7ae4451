"""Splitting validation images off the training images: stratified, fixed, never from test data."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tune_lpc.plan.errors import UserError

SPLIT_SEED = 20_004_805
"""With the number of the split the only seed: the same data are split alike in every search."""
NAMED = 5
"""Classes named in a message."""


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows to validate on, each int64, rising, with none in common.

    hash: SHA-256 of both.
    """

    train: np.ndarray
    validation: np.ndarray
    hash: str


def split_off_validation(
    labels: np.ndarray,
    *,
    train_size: int | None,
    validation_share: float,
    split: int,
    group_size: int | None = None,
    class_names: Sequence[str] = (),
) -> Split:
    """The split number `split` (0 to 9) of images with these labels, int64 (n,), each class from 0 with images.

    train_size None: `validation_share` of the images, in the proportions of the classes, validate; all others train.
    train_size N: N images train, the same number of each class as far as the classes are large enough (so 250 of
    ten classes are 25 each); as many others validate, in the proportions of the rest.
    group_size: images that each class must have to train on.

    Raises UserError naming the classes with too few images, or a train_size that doesn't fit.
    """
    counts = np.bincount(labels)
    names = [str(class_names[c]) if c < len(class_names) else str(c) for c in range(len(counts))]
    _check_counts(counts, names, train_size)
    if train_size is None:
        total = max(len(counts), math.floor(validation_share * len(labels) + 0.5))
        to_validate = _allocate(min(total, len(labels) - len(counts)), counts, counts - 1)
        to_train = counts - to_validate
    else:
        to_train = _allocate(train_size, np.ones_like(counts), (counts + 1) // 2)
        to_validate = _allocate(train_size, counts - to_train, counts - to_train)
    if group_size is not None:
        _check_groups(to_train, names, group_size)

    # A random key for each image rather than a shuffle: numpy promises less about the stream behind shuffles.
    keys = np.random.default_rng([SPLIT_SEED, split]).random(len(labels))
    train, validation = [], []
    for c in range(len(counts)):
        members = np.flatnonzero(labels == c)
        members = members[np.argsort(keys[members], kind="stable")]
        validation.append(members[: to_validate[c]])
        train.append(members[to_validate[c] : to_validate[c] + to_train[c]])
    return _frozen(np.sort(np.concatenate(train)), np.sort(np.concatenate(validation)))


def _allocate(total: int, weights: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Whole numbers that sum to `total`, in the proportion of `weights`, each from 1 to `most`: largest remainders.

    In whole numbers throughout, so that no rounding of floats decides. Needs len(weights) <= total <= most.sum().
    """
    whole = int(weights.sum())
    shares: np.ndarray = np.clip(total * weights // whole, 1, most)
    while (missing := total - int(shares.sum())) != 0:
        owed = total * weights - shares * whole
        if missing > 0:
            shares[np.argmax(np.where(shares < most, owed, np.iinfo(np.int64).min))] += 1
        else:
            shares[np.argmin(np.where(shares > 1, owed, np.iinfo(np.int64).max))] -= 1
    return shares


def _check_counts(counts: np.ndarray, names: Sequence[str], train_size: int | None) -> None:
    found = []
    if len(short := np.flatnonzero(counts < 2)):
        found.append(
            f"too few images: {_list_classes(short, counts, names)}, but each class needs 2 or more, "
            "one to train on and one to validate; add images or leave the class out"
        )
    images, classes = int(counts.sum()), len(counts)
    if train_size is not None and train_size < classes:
        found.append(
            f"train_size is {train_size}, but must be {classes} or more, one image a class; --set train_size={classes}"
        )
    if train_size is not None and 2 * train_size > images:
        found.append(
            f"train_size is {train_size:,}, but must be {images // 2:,} or less: as many of the {images:,} images "
            f"again validate; --set train_size={images // 2}, or none to train on all but the validation share"
        )
    if found:
        raise UserError(found)


def _check_groups(to_train: np.ndarray, names: Sequence[str], group_size: int) -> None:
    short = np.flatnonzero(to_train < group_size)
    if len(short):
        smallest = int(to_train.min())
        mend = f"--set group_size={smallest}, or more images" if smallest >= 2 else "more images"
        raise UserError(
            f"too few training images for the groups: {_list_classes(short, to_train, names)}, "
            f"but group_size is {group_size}, so each class needs {group_size} or more; mend with {mend}"
        )


def _list_classes(which: np.ndarray, counts: np.ndarray, names: Sequence[str]) -> str:
    listed = ", ".join(f"class {names[c]!r} has {counts[c]}" for c in which[:NAMED])
    return listed + (f" and {len(which) - NAMED} more classes fall short" if len(which) > NAMED else "")


def _frozen(train: np.ndarray, validation: np.ndarray) -> Split:
    digest = hashlib.sha256()
    for rows in (train, validation):
        digest.update(len(rows).to_bytes(8, "little"))
        digest.update(rows.astype("<i8").tobytes())
    return Split(train.astype(np.int64), validation.astype(np.int64), digest.hexdigest())
