"""scikit-learn's handwritten digits, which come with it."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from tune_lpc.training.data.arrays import write_arrays
from tune_lpc.training.data.cache import Written
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.pixels import Form

IMAGES = 1797
TEST_IMAGES = 360
"""As many as a fifth; scikit-learn has no test part of its own, and searches are compared on a fixed one."""
LARGEST = 16
"""The largest grey value in scikit-learn's arrays."""


class DigitsSource:
    """1,797 images of 8 x 8 grey pixels, ten classes."""

    place = "scikit-learn"
    final_test: FinalTest | None = None
    left_out = ""

    def identity(self) -> list[object]:
        """What tells these data from others: the version of scikit-learn."""
        return ["digits", version("scikit-learn")]

    def count(self) -> int:
        """How many images there are."""
        return IMAGES

    def hold_out(self, share: float) -> float:
        """The share to keep apart for a final test: the same, whatever is asked for."""
        return TEST_IMAGES / IMAGES

    def write(self, folder: Path, image_size: int | None, like: Form | None = None) -> Written:
        """Write images.npy, labels.npy and digests.npy in `folder`."""
        from sklearn.datasets import load_digits

        values, labels = load_digits(return_X_y=True)
        images = np.round(values * (255 / LARGEST)).astype(np.uint8).reshape(-1, 8, 8, 1)
        write_arrays(images, labels.astype(np.int64), image_size, folder)
        return Written(tuple(str(digit) for digit in range(10)), Form(grey=True))
