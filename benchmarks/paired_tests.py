"""Do the intervals of `compare` hold what they say, and how often does its test see a difference where there is none?

Comparisons of made-up methods whose truth is known, with as many seeds as are confirmed: accuracies that are normal;
accuracies as shares of 360 test images, near 1; a measure like NC1, whose seeds differ by a factor of about three.
A split and seed means something for every method. Holm: all pairs of three equal methods.

    python -m benchmarks.paired_tests [--comparisons 2000]
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from unittest import mock

import numpy as np
from scipy import stats

from tune_lpc.results.statistics import estimate, holm, paired, spans_orders

SEEDS = (3, 5, 10)
LEVEL = 0.05

Draw = Callable[[np.random.Generator, int, int], np.ndarray]
"""Values of so many methods that are as good, with so many seeds each: (methods, seeds)."""


def normal(draw: np.random.Generator, methods: int, seeds: int) -> np.ndarray:
    """Accuracies about 94 %."""
    return 0.94 + 0.005 * draw.standard_normal(seeds) + 0.004 * draw.standard_normal((methods, seeds))


def shares(draw: np.random.Generator, methods: int, seeds: int) -> np.ndarray:
    """Shares of 360 test images that are right, the same images for all: in steps, and skew."""
    hard = draw.beta(0.05, 2.4, 360)
    luck = np.exp(0.3 * draw.standard_normal((methods, seeds, 1)))
    wrong: np.ndarray = draw.random((methods, seeds, 360)) < np.minimum(hard * luck, 1)
    return 1 - wrong.mean(axis=2)


def orders(draw: np.random.Generator, methods: int, seeds: int) -> np.ndarray:
    """A measure of which the logarithm is normal."""
    exponents: np.ndarray = draw.standard_normal(seeds) + draw.standard_normal((methods, seeds))
    return 0.02 * np.exp(exponents)


KINDS: dict[str, tuple[Draw, float | None]] = {
    "normal": (normal, 0.94),
    "shares": (shares, None),
    "orders": (orders, 0.02),
}
"""With the middle of one method, where it is known."""


def figures(kind: str, seeds: int, comparisons: int) -> list[str]:
    """Shares of the comparisons: intervals that hold, false alarms, alarms of signed ranks, of any pair with Holm."""
    draw, (values, truth) = np.random.default_rng([seeds, comparisons]), KINDS[kind]
    held = held_difference = alarms = by_ranks = of_family = 0
    for _ in range(comparisons):
        one, other, third = values(draw, 3, seeds)
        logarithmic = spans_orders([*one, *other, *third])
        mean = estimate(one, logarithmic=logarithmic if truth is None else kind == "orders")
        held += mean.low is not None and mean.high is not None and mean.low <= (truth or 0) <= mean.high
        tests = [paired(*pair, logarithmic=logarithmic) for pair in ((one, other), (third, other), (third, one))]
        first = tests[0]
        none = 1.0 if logarithmic else 0.0
        # Without a spread there is no interval, and nothing is claimed.
        held_difference += first.low is None or first.high is None or first.low <= none <= first.high
        alarms += first.p is not None and first.p < LEVEL
        by_ranks += bool(np.any(one != other)) and stats.wilcoxon(one, other).pvalue < LEVEL
        of_family += any(p is not None and p < LEVEL for p in holm([test.p for test in tests]))
    shown = [held / comparisons if truth is not None else None, *(n / comparisons for n in (held_difference, alarms))]
    shown += [by_ranks / comparisons, of_family / comparisons]
    return ["" if share is None else f"{share:.1%}" for share in shown]


def main() -> None:
    """Print a line a kind and number of seeds."""
    parser = argparse.ArgumentParser(description="Intervals and tests of compare, in simulation.")
    parser.add_argument("--comparisons", type=int, default=2000)
    options = parser.parse_args()
    head = ("values", "seeds", "mean held", "difference held", "false alarms", "signed ranks", "any of 3, Holm")
    print("  ".join(f"{name:>15}" for name in head))
    with mock.patch("gc.collect"):  # statsmodels calls it in each correction: that takes longer than all the rest
        for kind, seeds in itertools.product(KINDS, SEEDS):
            cells = (kind, str(seeds), *figures(kind, seeds, options.comparisons))
            print("  ".join(f"{cell:>15}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
