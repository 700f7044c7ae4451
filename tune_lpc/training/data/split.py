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
    validation_size: int | None = None,
    group_size: int | None = None,
    class_names: Sequence[str] = (),
    digests: np.ndarray | None = None,
) -> Split:
    """The split number `split` (0 to 9) of images with these labels, int64 (n,), each class from 0 with images.

    train_size None: `validation_share` of the images, in the proportions of the classes, validate; all others train.
    train_size N: N images train, the same number of each class as far as the classes are large enough (so 250 of
    ten classes are 25 each); `validation_size` others validate, None for as many, in the proportions of the rest. It
    has no say in which images train.
    group_size: images that each class must have to train on.
    digests: what the images show, uint8 (n, 16); None where all differ. Copies of an image stay on one side, and
    where that leaves no other way a side gets a few images more or fewer. An image of which a copy has another label
    never validates; it trains when train_size is None.

    Raises UserError naming the classes with too few images, or a train_size or validation_size that doesn't fit.
    """
    contents = np.arange(len(labels)) if digests is None else number_contents(digests)
    # A random key for each image rather than a shuffle: numpy promises less about the stream behind shuffles.
    found = strata(labels, contents, np.random.default_rng([SPLIT_SEED, split]).random(len(labels)))
    names = named_classes(labels, class_names)
    _check_counts(found, len(labels), names, train_size, validation_size)
    if train_size is None:
        validation = _share(found, labels, validation_share)
        train = np.setdiff1d(np.arange(len(labels)), validation, assume_unique=True)
    else:
        train, validation = _sizes(found, train_size, validation_size)
    if group_size is not None:
        _check_groups(np.bincount(labels[train]), names, group_size)
    return _frozen(train, validation, count_copies(contents, labels))


def with_validation_images(split: Split) -> Split:
    """The split with its validation images among those that train; what is measured on them then is no validation."""
    train = np.sort(np.concatenate([split.train, split.validation]))
    return _frozen(train, split.validation, split.copies)


def _share(found: Sequence[Stratum], labels: np.ndarray, validation_share: float) -> np.ndarray:
    """The rows to validate on, where all others train."""
    counts = np.array([len(stratum.rows) for stratum in found])
    total = max(len(counts), math.floor(validation_share * len(labels) + 0.5))
    to_validate = allocate(min(total, int(counts.sum()) - len(counts)), np.bincount(labels), counts - 1)
    taken = [stratum.take(int(images), leave=1)[0].rows for stratum, images in zip(found, to_validate, strict=True)]
    return np.sort(np.concatenate(taken))


def _sizes(found: Sequence[Stratum], train_size: int, validation_size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and those to validate on, so many of each.

    As many as train are set aside to validate, as far as there are so many, before any are chosen to train. A smaller
    validation set is a part of these, a larger one takes of what neither needs: so the same images train beside each.
    """
    counts = np.array([len(stratum.rows) for stratum in found])
    aside = min(train_size, int(counts.sum()) - train_size)
    to_train = allocate(train_size, np.ones_like(counts), (counts + 1) // 2 if aside == train_size else counts - 1)
    left = counts - to_train
    set_aside = allocate(aside, left, left)
    size = train_size if validation_size is None else validation_size
    to_validate = allocate(size, left, left, set_aside) if size >= aside else allocate(size, left, set_aside)
    train, validation = [], []
    for stratum, *images in zip(found, set_aside.tolist(), to_train.tolist(), to_validate.tolist(), strict=True):
        first, rest = stratum.take(images[0], leave=1)
        chosen, rest = rest.take(images[1], leave=0)
        train.append(chosen.rows)
        validation.append(first.rows if images[2] >= images[0] else first.take(images[2], leave=0)[0].rows)
        if images[2] > images[0] and (more := images[2] - len(first.rows)) > 0 and len(rest.rows):
            validation.append(rest.take(more, leave=0)[0].rows)
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(validation))


def _check_counts(
    found: Sequence[Stratum], images: int, names: Sequence[str], train_size: int | None, validation_size: int | None
) -> None:
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
    if train_size is not None and usable >= 2 * classes:
        problems += _size_problems(train_size, validation_size, usable, classes)
    if problems:
        raise UserError(problems)


def _size_problems(train_size: int, validation_size: int | None, usable: int, classes: int) -> list[str]:
    """Why so many images to train and to validate on can't be had of the `usable` ones."""
    if validation_size is None:
        if 2 * train_size <= usable:
            return []
        return [
            f"train_size is {train_size:,}, but must be {usable // 2:,} or less: as many of the {usable:,} images "
            f"again validate; --set train_size={usable // 2}, or none to train on all but the validation share"
        ]
    if validation_size < classes:
        return [
            f"validation_size is {validation_size}, but must be {classes} or more, one image a class; "
            f"--set validation_size={classes}"
        ]
    if train_size > usable - classes:
        return [
            f"train_size is {train_size:,}, but must be {usable - classes:,} or less: of the {usable:,} images one a "
            f"class at least validates; --set train_size={usable - classes}"
        ]
    if train_size + validation_size > usable:
        most = usable - train_size
        return [
            f"validation_size is {validation_size:,}, but must be {most:,} or less: {train_size:,} of the {usable:,} "
            f"images train; --set validation_size={most}"
        ]
    return []


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
