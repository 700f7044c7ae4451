"""Where in the space trials were lost: the searched setting that parts diverged and failed trials from the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from tune_lpc.pages.words import short

FEWEST = 3
"""Lost trials from which on it is told where they lie."""
PARTS = 0.25
"""How far a setting has to part them: 0 for not at all, 0.5 for wholly."""
Dimensions = Mapping[str, Mapping[str, Any]]


def divergence_answer(trials: pd.DataFrame, dimensions: Dimensions) -> str:
    """How many trials diverged or failed, and where, in words; of one trial or more."""
    is_lost = trials["status"].isin(["diverged", "failed"])
    lost = trials[is_lost]
    if lost.empty:
        return f"None of {len(trials):,}."
    counts = " and ".join(f"{number:,} {status}" for status, number in lost["status"].value_counts().items())
    answer = f"{counts} of {len(trials):,} ({_share(len(lost) / len(trials))})."
    if len(lost) == len(trials):
        return answer
    where = where_lost(lost, trials[~is_lost], dimensions) if len(lost) >= FEWEST else None
    return f"{answer} {where}" if where else answer


def where_lost(lost: pd.DataFrame, others: pd.DataFrame, dimensions: Dimensions) -> str | None:
    """The setting that tells the lost trials best from the others, in words; None where none does."""
    found: list[tuple[float, str]] = []
    for name, dimension in dimensions.items():
        mine, theirs = (table[f"config.{name}"].dropna() for table in (lost, others))
        if len(mine) < FEWEST or len(theirs) < FEWEST:
            continue
        parted = _by_option(name, mine, theirs) if dimension["type"] == "choice" else _by_size(name, mine, theirs)
        found.append(parted)
    best = max(found, default=(0.0, ""))
    return best[1] if best[0] >= PARTS else None


def place_in_range(value: Any, dimension: Mapping[str, Any]) -> float | None:
    """Where a value lies in its range, from 0 to 1; None for a choice, and without a value."""
    if dimension.get("type") not in ("float", "int") or value is None or pd.isna(value):
        return None
    low, high, at = float(dimension["low"]), float(dimension["high"]), float(value)
    if dimension.get("log"):
        if low <= 0 or at <= 0:
            return None
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)


def _by_size(name: str, mine: pd.Series[Any], theirs: pd.Series[Any]) -> tuple[float, str]:
    """How far a number parts them, by the chance that a lost trial has the larger one (Mann and Whitney)."""
    own, other = mine.astype(float), theirs.astype(float)
    ranks = pd.concat([own, other]).rank()
    chance = (ranks.iloc[: len(own)].sum() - len(own) * (len(own) + 1) / 2) / (len(own) * len(other))
    told = f"They have a {'larger' if chance > 0.5 else 'smaller'} {name}: {short(float(own.median()))} in the middle, "
    return abs(chance - 0.5), f"{told}against {short(float(other.median()))} of the others."


def _by_option(name: str, mine: pd.Series[Any], theirs: pd.Series[Any]) -> tuple[float, str]:
    """How far an option parts them, by how much more often they have it."""
    shares = {option: float((mine == option).mean() - (theirs == option).mean()) for option in mine.unique()}
    option = max(shares, key=lambda one: shares[one])
    told = f"{_share(float((mine == option).mean()))} of them have {name} {option}, against "
    return shares[option] / 2, f"{told}{_share(float((theirs == option).mean()))} of the others."


def _share(share: float) -> str:
    return "under 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"
