"""How good a config is among others: its place in the order of all, so that no scale of scores matters.

The scores of two searches can't be compared, on other data least of all, and those of a rung not with those of the end.
Their order within a search can be, and places in it can (Salinas, Shen and Perrone, 2020, arXiv 1909.13595).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Result(NamedTuple):
    """What a config came to; the larger one, compared as a tuple, is the better one.

    A full training counts more than any rung, a later rung more than an earlier one, whatever the scores.
    """

    is_trained: bool
    rung: int
    score: float


WORST = Result(False, 0, 0.0)
"""A config that diverged, or whose score is not a number."""


def qualities(results: Sequence[Result]) -> list[float]:
    """The share of the results that each is better than, half of its equals (itself among them) counted as worse.

    So they lie between 0 and 1, evenly, the median at a half, and each is as far from 1 as the worst from 0.
    """
    below = {result: sum(other < result for other in results) for result in set(results)}
    equal = {result: results.count(result) for result in below}
    return [(below[result] + equal[result] / 2) / len(results) for result in results]
