"""How well the scores at a rung foretell the final ones: rank correlation, and what stopping by them loses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

FEWEST = 3
"""Two trials are in the right or the wrong order by luck; fewer have no order."""


@dataclass(frozen=True)
class Agreement:
    """How far the order of trials at a rung is that at the end; None where a value does not exist.

    trials: how many were compared.
    spearman: Spearman's rank correlation, -1 to 1; equal scores share the mean of their ranks.
    kept: share of the truly best that the rung lets through, 0 to 1.
    regret: best final score of all minus the best final score of those let through, in units of the score; 0 is best.
    """

    trials: int
    spearman: float | None
    kept: float | None
    regret: float | None


def agreement(
    rung_scores: Sequence[float | None], final_scores: Sequence[float | None], reduction_factor: int
) -> Agreement:
    """Compare the scores of the same trials at a rung and at the end of their full budget; higher is better.

    All trials must have been trained to the end whatever the rung said, else the worst of them would be missing.
    None, NaN and infinity stand for no score: worse than any other, and never among the best.
    With fewer than 3 trials nothing but their number is known.

    Raises ValueError for lists that differ in length, and for a reduction factor below 2.
    """
    if len(rung_scores) != len(final_scores):
        raise ValueError(f"{len(rung_scores)} rung scores and {len(final_scores)} final scores, but must be as many")
    trials = len(rung_scores)
    if trials < FEWEST:
        return Agreement(trials, None, None, None)
    at_rung, final = _known(rung_scores), _known(final_scores)
    let_through, best = among_best(at_rung, reduction_factor), among_best(final, reduction_factor)
    kept = float((let_through & best).sum() / best.sum()) if best.any() else None
    reached = final[let_through & np.isfinite(final)]
    regret = float(final.max() - reached.max()) if len(reached) else None
    return Agreement(trials, _spearman(at_rung, final), kept, regret)


def among_best(scores: Sequence[float | None] | np.ndarray, reduction_factor: int) -> np.ndarray:
    """Which scores are among the best 1 / reduction_factor, rounded up; boolean, one for each score.

    A tie with the last of the best counts too, as at a rung; a trial without a score never does.

    Raises ValueError for a reduction factor below 2.
    """
    if reduction_factor < 2:
        raise ValueError(f"reduction_factor is {reduction_factor}, but must be 2 or more")
    known = _known(scores)
    rank = pd.Series(known).rank(method="min", ascending=False).to_numpy()
    chosen: np.ndarray = (rank <= math.ceil(len(known) / reduction_factor)) & np.isfinite(known)
    return chosen


def _known(scores: Sequence[float | None] | np.ndarray) -> np.ndarray:
    """The scores as numbers, minus infinity where there is none."""
    numbers = np.array([math.nan if score is None else score for score in scores], dtype=float)
    return np.where(np.isfinite(numbers), numbers, -np.inf)


def _spearman(one: np.ndarray, other: np.ndarray) -> float | None:
    """Pearson's correlation of the average ranks; None where all scores of a list are equal."""
    if (one == one[0]).all() or (other == other[0]).all():
        return None
    ranks = [pd.Series(scores).rank(method="average") for scores in (one, other)]
    return float(np.clip(ranks[0].corr(ranks[1]), -1.0, 1.0))
