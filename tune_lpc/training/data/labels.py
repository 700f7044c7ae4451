"""Checking labels: whole numbers from 0, each class with images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from tune_lpc.training.data.problems import LINES, Problems


def check_labels(
    labels: np.ndarray,
    class_names: Sequence[str] | None,
    classes: int | None,
    place: Callable[[int], str],
    problems: Problems,
    complete: bool = True,
    numbered: bool = True,
) -> None:
    """Add a problem for each label out of range and each class without images.

    labels: (n,) int64. class_names: names in the order of the labels, None when there are none.
    classes: how many classes there must be; None takes the largest label for the last class.
    place: where image i lies, for the messages.
    complete: whether all labels could be read; if not, a class without images may only seem so and is not told.
    numbered: whether the user numbers the classes; if not, they are folders.
    """
    wrong = labels < 0
    if classes is not None:
        wrong |= labels >= classes
    rule = "0 or more" if classes is None else f"from 0 to {classes - 1} ({classes} classes)"
    for i in np.flatnonzero(wrong)[:LINES]:
        problems.add(f"{place(int(i))}: the label is {labels[i]}, but must be {rule}; mend the label or remove the row")
    problems.add_uncounted(max(0, int(wrong.sum()) - LINES))

    seen = np.unique(labels[~wrong])
    if not complete or not len(seen):
        return
    total = int(seen[-1]) + 1 if classes is None else classes
    gaps = [(int(low) + 1, int(high)) for low, high in pairwise([-1, *seen, total]) if high - low > 1]
    for first, end in gaps[:LINES]:
        if classes is None and end - first > LINES:
            # More likely one wrong label than so many classes without an image.
            row = int(np.flatnonzero(labels == end)[0])
            below = f"the next lower one is {first - 1}" if first else "none is lower"
            problems.add(
                f"{place(row)}: the label is {end}, but {below}, and each class from 0 must have images; "
                "mend the label, or number the classes anew from 0"
            )
            continue
        for label in range(first, min(end, first + LINES)):
            name = class_names[label] if class_names and label < len(class_names) else label
            mend = "remove the class and number the labels anew from 0" if numbered else "remove its folder"
            problems.add(f"class {name!r} has no images; add some, or {mend}")
        problems.add_uncounted(max(0, end - first - LINES))
    problems.add_uncounted(sum(end - first for first, end in gaps[LINES:]))
    if total < 2:
        problems.add("the data have only one class, but must have 2 or more; add images of another class")


def numbered_by_name(told: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...], bool]:
    """Labels that are texts as numbers from 0, int64 (n,), the class names, and whether the texts are numbers already.

    Classes are numbered in the order of their names; whole numbers from 0 stay as they are.
    """
    if told and all(label.isascii() and label.isdigit() and len(label) < 10 for label in told):
        numbers = np.array([int(label) for label in told], dtype=np.int64)
        return numbers, tuple(str(label) for label in range(int(numbers.max()) + 1)), True
    names, numbers = np.unique(np.array(told, dtype=object), return_inverse=True)
    return numbers.astype(np.int64), tuple(str(name) for name in names), False
