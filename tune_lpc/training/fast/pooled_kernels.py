"""What numba compiles for `pooled.py`: batch norm, 2 x 2 max-pooling and a rising activation, and their gradient.

Each function here makes the one to compile for x in float32, or in bfloat16: its bits as whole numbers, widened one
image after another. All else is float32, sums over images float64. Axes are (batch, height, width, channels), of pooled
arrays (batch, height // 2, width // 2, channels). A loop over channels writes one array: numba does not vectorise one
that writes several, as they might overlap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

from tune_lpc.training.fast.bfloat16 import narrow, widen
from tune_lpc.training.fast.compiling import Kernel

# Only the order of a sum may change, and a product be fused into it: NaN and infinity keep their meaning.
FAST_MATH = frozenset({"reassoc", "contract", "nsz"})
LANES = 32
"""Sums kept at once, where there are fewer channels: of several pixels beside each other."""


@register_jitable(fastmath=set(FAST_MATH))
def _mean_and_spread(image: Any, mean: Any, spread: Any) -> None:
    """Fill the mean (channels,) of an image, and the sum of squared steps from it."""
    height, width, channels = image.shape
    pixels = 1
    while pixels * channels < LANES and width % (2 * pixels) == 0:
        pixels *= 2
    rows = image.reshape(height * width // pixels, pixels * channels)
    lanes = rows.shape[1]
    sums, middle = np.zeros(lanes, np.float32), np.empty(lanes, np.float32)
    for row in range(len(rows)):
        for k in range(lanes):
            sums[k] += rows[row, k]
    share = np.float32(1 / (height * width))
    mean[:] = 0
    for start in range(0, lanes, channels):
        for k in range(channels):
            mean[k] += sums[start + k] * share
    for start in range(0, lanes, channels):
        middle[start : start + channels] = mean
    sums[:] = 0
    for row in range(len(rows)):
        for k in range(lanes):
            step = rows[row, k] - middle[k]
            sums[k] += step * step
    spread[:] = 0
    for start in range(0, lanes, channels):
        for k in range(channels):
            spread[k] += sums[start + k]


def forward(half: bool) -> Kernel:
    """Fills moments, largest, corner and out, and moves the running statistics; from x and the rest.

    x: of a convolution without its bias. dropped: that bias (channels,), which only the running mean sees. weight,
    bias, epsilon, momentum: of the batch norm. slope: of the activation below 0. moments: (3, channels) float64, mean,
    variance (over the batch, not corrected) and 1 / deviation of x. largest: the value of x that the pooling lets
    through. corner: which of the four that is, from the top left, row by row; the first of equals. out: the result.
    """

    def run(
        x: Any, dropped: Any, weight: Any, bias: Any, epsilon: Any, slope: Any, momentum: Any,
        running_mean: Any, running_variance: Any, moments: Any, largest: Any, corner: Any, out: Any,
    ) -> None:  # fmt: skip
        images, height, width, channels = x.shape
        widened = np.empty((height, width, channels) if half else (0, 0, 0), np.float32)
        here, spread = np.empty(channels, np.float32), np.empty(channels, np.float32)
        scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
        mean, variance, inverse = moments[0], moments[1], moments[2]
        pixels = height * width
        mean[:], variance[:] = 0, 0
        for i in range(images):
            if half:
                widen(x[i], widened)
                image = widened
            else:
                image = x[i]
            _mean_and_spread(image, here, spread)
            for k in range(channels):
                # Chan, Golub and LeVeque: the spread of all images so far from that within each and between them.
                step = here[k] - mean[k]
                mean[k] += step / (i + 1)
                variance[k] += spread[k] + step * step * (pixels * i / (i + 1))
        for k in range(channels):
            running_mean[k] += momentum * (mean[k] + dropped[k] - running_mean[k])
            running_variance[k] += momentum * (variance[k] / (images * pixels - 1) - running_variance[k])
            variance[k] /= images * pixels
            inverse[k] = 1 / np.sqrt(variance[k] + epsilon)
            scale[k] = weight[k] * inverse[k]
            shift[k] = bias[k] - mean[k] * weight[k] * inverse[k]
        for i in range(images):
            if half:
                widen(x[i], widened)
                image = widened
            else:
                image = x[i]
            for row in range(height // 2):
                for column in range(width // 2):
                    first, second = image[2 * row, 2 * column], image[2 * row, 2 * column + 1]
                    third, fourth = image[2 * row + 1, 2 * column], image[2 * row + 1, 2 * column + 1]
                    most, place, result = largest[i, row, column], corner[i, row, column], out[i, row, column]
                    for k in range(channels):
                        high = max(max(first[k], second[k]), max(third[k], fourth[k]))
                        low = min(min(first[k], second[k]), min(third[k], fourth[k]))
                        most[k] = high if scale[k] >= 0 else low
                    for k in range(channels):
                        lower = 2 if third[k] == most[k] else 3
                        place[k] = 0 if first[k] == most[k] else (1 if second[k] == most[k] else lower)
                    for k in range(channels):
                        value = most[k] * scale[k] + shift[k]
                        result[k] = value if value > 0 else value * slope

    return run


def backward(half: bool) -> Kernel:
    """Fills the gradients of x, weight and bias from that of `out` and what `forward` filled."""

    def run(
        of_out: Any, x: Any, largest: Any, corner: Any, out: Any, weight: Any, slope: Any, moments: Any,
        of_x: Any, of_weight: Any, of_bias: Any,
    ) -> None:  # fmt: skip
        images, height, width, channels = x.shape
        shape = (height, width, channels) if half else (0, 0, 0)
        widened, pulled = np.empty(shape, np.float32), np.empty(shape, np.float32)
        zero = np.float32(0)
        inverse = moments[2]
        mean, scale = np.empty(channels, np.float32), np.empty(channels, np.float32)
        constant, linear = np.empty(channels, np.float32), np.empty(channels, np.float32)
        pull, pulls, turns = np.empty((3, channels), np.float32)
        all_pulls, all_turns = np.zeros(channels, np.float64), np.zeros(channels, np.float64)
        for k in range(channels):
            mean[k] = moments[0, k]
        for i in range(images):
            pulls[:], turns[:] = 0, 0
            for row in range(height // 2):
                for column in range(width // 2):
                    outer, most, result = of_out[i, row, column], largest[i, row, column], out[i, row, column]
                    for k in range(channels):
                        pull[k] = outer[k] if result[k] > 0 else outer[k] * slope
                    for k in range(channels):
                        pulls[k] += pull[k]
                    for k in range(channels):
                        turns[k] += pull[k] * (most[k] - mean[k])
            for k in range(channels):
                all_pulls[k] += pulls[k]
                all_turns[k] += turns[k]
        for k in range(channels):
            of_bias[k] = all_pulls[k]
            of_weight[k] = all_turns[k] * inverse[k]
            # What each value of x gets for its share in mean and variance: constant + linear * x.
            share = -weight[k] * inverse[k] / (images * height * width)
            bend = share * all_turns[k] * inverse[k] * inverse[k]
            scale[k], linear[k], constant[k] = weight[k] * inverse[k], bend, share * all_pulls[k] - bend * moments[0, k]
        for i in range(images):
            if half:
                widen(x[i], widened)
                image, gradient = widened, pulled
            else:
                image, gradient = x[i], of_x[i]
            for row in range(height // 2):
                for column in range(width // 2):
                    outer, place, result = of_out[i, row, column], corner[i, row, column], out[i, row, column]
                    for k in range(channels):
                        pull[k] = scale[k] * (outer[k] if result[k] > 0 else outer[k] * slope)
                    for one in range(4):
                        down, right = 2 * row + one // 2, 2 * column + one % 2
                        value, target = image[down, right], gradient[down, right]
                        for k in range(channels):
                            target[k] = constant[k] + linear[k] * value[k] + (pull[k] if place[k] == one else zero)
            # The last row and column, which nothing pools where there is an odd number of them.
            for down in range(height):
                for right in range(width // 2 * 2 if down < height // 2 * 2 else 0, width):
                    value, target = image[down, right], gradient[down, right]
                    for k in range(channels):
                        target[k] = constant[k] + linear[k] * value[k]
            if half:
                narrow(pulled, of_x[i])

    return run
