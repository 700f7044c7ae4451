"""What searches had to spend, and whether as much: methods are compared at equal budget, or it is told that not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_lpc.plan.errors import UserError, shown
from tune_lpc.plan.hours import HOUR, HoursAsked
from tune_lpc.results.export import RUN_FILE, TRIALS_FILE
from tune_lpc.results.loading import load_table

MOST_APART = 0.05
"""Budgets that differ by a larger share than this are not equal."""


@dataclass(frozen=True)
class Budget:
    """What a search spent.

    trials: without further seeds; further_seeds: trials that repeat one of these. epochs: trained by all of them, each
    counted once. hours: wall time of the epochs of all, added up. timed: whether it was limited by time.
    """

    trials: int
    further_seeds: int
    epochs: int
    hours: float
    timed: bool


def load_budget(directory: Path, run: Mapping[str, Any]) -> Budget:
    """The budget of the search in `directory`. run: the content of its run.json.

    Raises UserError when trials.parquet is missing, damaged or of an older version.
    """
    path = directory / TRIALS_FILE
    table = load_table(path)
    names = ("epochs_trained", "seconds", "repeat_of")
    if lacking := [name for name in names if name not in table.schema.names]:
        raise UserError(f"{path} lacks the columns {', '.join(lacking)}; it must be the file that a search wrote")
    further = table.num_rows - table["repeat_of"].null_count
    try:
        epochs, seconds = (sum(value or 0 for value in table[name].to_pylist()) for name in names[:2])
        return Budget(table.num_rows - further, further, int(epochs), float(seconds) / HOUR, _is_timed(directory, run))
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} is damaged: {error}; it must be the file that a search wrote") from error


def _is_timed(directory: Path, run: Mapping[str, Any]) -> bool:
    """As far as run.json tells; older versions had no such limit."""
    limits = run.get("time", {})
    if not isinstance(limits, Mapping):
        raise UserError(f"{directory / RUN_FILE} is damaged: time is {shown(limits)}; take the file as it was written")
    return any(limits.get(name) is not None for name in HoursAsked().as_dict())


def inequality(one: Budget, other: Budget) -> str | None:
    """What of the budget of `one` differs from that of `other` by more than 5 %, in words; None where nothing does.

    Of searches that time limited it is the hours that count, of others the trials and the epochs trained.
    """
    if one.timed and other.timed:
        counted = {"hours": (one.hours, other.hours)}
    else:
        counted = {"trials": (one.trials, other.trials), "epochs": (one.epochs, other.epochs)}
    told = [f"{_apart(*amounts)} {name}" for name, amounts in counted.items() if not _alike(*amounts)]
    return " and ".join(told) if told else None


def _alike(one: float, other: float) -> bool:
    return max(one, other) <= (1 + MOST_APART) * min(one, other)


def _apart(one: float, other: float) -> str:
    """How much more or less the one is, such as "30 % more"."""
    if not other:
        return f"{one:g} in place of 0"
    share = one / other - 1
    return f"{abs(share):.0%} {'more' if share > 0 else 'fewer'}".replace("%", " %")
