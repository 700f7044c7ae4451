"""scikit-learn's handwritten digits, which come with it."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from tune_lpc.training.data.arrays import write_arrays

IMAGES = 1797
LARGEST = 16
"""The largest grey value in scikit-learn's arrays."""


class DigitsSource:
    """1,797 images of 8 x 8 grey pixels, ten classes."""

    place = "scikit-learn"

    def identity(self) -> list[object]:
        """What tells these data from others: the version of scikit-learn."""
        return ["digits", version("scikit-learn")]

    def count(self) -> int:
        """How many images there are."""
        return IMAGES

    def write(self, folder: Path, image_size: int | None) -> tuple[str, ...]:
        """Write images.npy and labels.npy in `folder`; returns the class names."""
        from sklearn.datasets import load_digits

        values, labels = load_digits(return_X_y=True)
        images = np.round(values * (255 / LARGEST)).astype(np.uint8).reshape(-1, 8, 8, 1)
        write_arrays(images, labels.astype(np.int64), image_size, folder)
        return tuple(str(digit) for digit in range(10))
