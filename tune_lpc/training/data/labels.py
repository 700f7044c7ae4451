"""Checking labels: whole numbers from 0, each class with images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tune_lpc.training.data.problems import LINES, Problems


def check_labels(
    labels: np.ndarray,
    class_names: Sequence[str] | None,
    classes: int | None,
    place: Callable[[int], str],
    problems: Problems,
    complete: bool = True,
) -> None:
    """Add a problem for each label out of range and each class without images.

    labels: (n,) int64. class_names: names in the order of the labels, None when there are none.
    classes: how many classes there must be; None takes the largest label for the last class.
    place: where image i lies, for the messages.
    complete: whether all labels could be read; if not, a class without images may only seem so and is not told.
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
    told = 0
    for label in range(total):
        if told == LINES:
            break
        if label not in seen:
            name = class_names[label] if class_names and label < len(class_names) else label
            problems.add(
                f"class {name!r} has no images; add some, or remove the class and number the labels anew from 0"
            )
            told += 1
    problems.add_uncounted(total - len(seen) - told)
    if total < 2:
        problems.add("the data have only one class, but must have 2 or more; add images of another class")
