"""Recorded curves as a problem to search: what a search may see of them, and the truth that judges what it names."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.record_curves import RECIPES
from tune_lpc.plan import Choice, UserError, Value
from tune_lpc.plan.dimensions import Dimension

Values = Mapping[str, Value]
VISIBLE = (0, 1, 2)
"""Seeds that a search may see, on split 0; seeds 1 and 2 also on the splits of their number."""
TRUTH = (3, 4)
"""Seeds that judge, on split 0."""
CLASSES = 10
VALIDATION = {"digits": 144, "digits250": 250, "mnist250": 250, "cifar10": 2000}
"""Validation images of each set."""


@dataclass(frozen=True)
class Run:
    """A recorded training. scores, losses, nc1: (epochs,), shorter where it diverged.

    wide: the scores on the larger validation set at `record_curves.wide_epochs`. left_over: accuracy at the end on
    images that nobody saw, that of guessing where the training diverged.
    """

    scores: np.ndarray
    losses: np.ndarray
    nc1: np.ndarray
    wide: np.ndarray
    left_over: float
    diverged: str | None


class Problem:
    """The configs of a set that can be searched and judged.

    notes: what to say of the recording. truth: by config, the accuracy on left-over images, mean of the TRUTH seeds.
    """

    def __init__(self, name: str, folder: Path) -> None:
        """Raises UserError when nothing was recorded that can be used."""
        self.name, self.space, self.validation = name, RECIPES[name].build(), VALIDATION[name]
        self.runs = _read(folder / name)
        recorded: list[tuple[int, float]] = [
            (config, _end(run)) for (config, seed, split), run in self.runs.items() if (seed, split) == (0, 0)
        ]
        middle = float(np.median([end for _, end in recorded])) if recorded else math.nan
        self.good = {config for config, end in recorded if end >= middle}
        judged = {config for config, _ in recorded if any((config, seed, 0) in self.runs for seed in TRUTH)}
        self.configs = sorted(config for config, _ in recorded if config in judged or config not in self.good)
        if not judged:
            raise UserError(f"no config in {folder / name} has both seed 0 and one of the seeds {TRUTH} yet")
        self.values: dict[int, Values] = {config: self.runs[config, 0, 0].values for config in self.configs}
        self.truth = {config: self._truth(config) for config in self.configs}
        self.notes = self._notes(len(recorded), judged)
        self._numbers = {_key(values): config for config, values in self.values.items()}
        self._places = np.array([self._place(self.values[config]) for config in self.configs])

    @property
    def epochs(self) -> int:
        """Of a full training."""
        return self.space.epochs

    def fingerprint(self, own_splits: bool) -> str:
        """Of all that a search can see, the runs on splits of their own included or not."""
        found = hashlib.sha256()
        for (config, seed, split), run in sorted(self.runs.items()):
            if config in self.values and seed in VISIBLE and (own_splits or split == 0):
                found.update(repr((config, seed, split, run.diverged)).encode())
                for array in (run.scores, run.losses, run.nc1, run.wide):
                    found.update(array.tobytes())
        return found.hexdigest()[:16]

    def config_of(self, values: Values) -> int:
        """The recorded config with these very values. Raises KeyError when there is none."""
        return self._numbers[_key(values)]

    def distances(self, values: Values) -> np.ndarray:
        """How far each of `configs` is from `values`: Euclidean in the unit cube, (configs,).

        A dimension counts where it has an effect in both: by its place in its range, in the logarithm where that is how
        it is drawn; another option of a choice is 1 away.
        """
        away = np.abs(self._places - self._place(values))
        away[:, self._is_choice] = np.where(away[:, self._is_choice] > 0, 1.0, away[:, self._is_choice])
        distances: np.ndarray = np.sqrt(np.nansum(away**2, axis=1))
        return distances

    @cached_property
    def _is_choice(self) -> np.ndarray:
        return np.array([isinstance(dimension, Choice) for dimension in self.space.dimensions.values()])

    def _place(self, values: Values) -> list[float]:
        return [
            _unit(dimension, values[name]) if name in values else math.nan
            for name, dimension in self.space.dimensions.items()
        ]

    def _truth(self, config: int) -> float:
        found = [self.runs[config, seed, 0].left_over for seed in TRUTH if (config, seed, 0) in self.runs]
        return float(np.mean(found or [self.runs[config, 0, 0].left_over]))

    def _notes(self, recorded: int, judged: set[int]) -> list[str]:
        def lacking(good: bool, wanted: Callable[[int], bool]) -> int:
            return sum(wanted(config) for config in self.configs if (config in self.good) == good)

        def seen(config: int) -> int:
            return sum((config, seed, 0) in self.runs for seed in VISIBLE)

        def own_splits(config: int) -> int:
            return sum((config, seed, seed) in self.runs for seed in VISIBLE[1:])

        both = sum(all((config, seed, 0) in self.runs for seed in TRUTH) for config in self.configs)
        diverged = sum(self.runs[config, 0, 0].diverged is not None for config in self.configs)
        best = max(self.configs, key=lambda config: self.truth[config])
        worse = [lacking(False, lambda config: config not in judged), lacking(False, lambda config: seen(config) < 3)]
        return [
            f"{self.name}: {len(self.configs)} of {recorded} configs recorded can be used, of {self.epochs} epochs; "
            f"{both} with both seeds of the truth; {diverged} diverged (truth: that of guessing, {1 / CLASSES})",
            f"the worse half by seed 0: {worse[0]} judged by seed 0 for want of a seed of the truth, {worse[1]} replay "
            "seed 0 for want of another visible seed",
            f"the better half: {lacking(True, lambda config: seen(config) < 3)} replay seed 0 for want of another, "
            f"{lacking(True, lambda config: own_splits(config) < 2)} lack a run on a split of its own",
            f"truth: best config {best} with {self.truth[best]:.4f}, median {np.median(list(self.truth.values())):.4f}",
        ]


class Pool:
    """What one search sees: configs that it has not used yet, and their curves.

    The first seed of a config is one of the recorded seeds, drawn for each search and config: so 100 searches don't all
    meet the luck of the same runs. All contestants' searches of the same number see the same.
    """

    def __init__(self, problem: Problem, search: int) -> None:
        self.problem, self.search = problem, search
        self._unused = np.ones(len(problem.configs), dtype=bool)

    def take(self, proposal: Values) -> int | None:
        """The config nearest to a proposal that this search has not used, which it then has; None when all are."""
        if not self._unused.any():
            return None
        found = int(np.argmin(np.where(self._unused, self.problem.distances(proposal), math.inf)))
        self._unused[found] = False
        return self.problem.configs[found]

    def run(self, config: int, repeat: int = 0, own_split: bool = False) -> Run:
        """The training of a config, or its `repeat`-th with another seed; on the split of its number, if asked.

        Where that was not recorded it is the one of seed 0 once more.
        """
        runs, first = self.problem.runs, self.problem.runs[config, 0, 0]
        if own_split and repeat:
            return runs.get((config, repeat, repeat), first)
        seeds = [seed for seed in VISIBLE if (config, seed, 0) in runs]
        random.Random(f"{self.search} {config}").shuffle(seeds)
        return runs[config, seeds[repeat], 0] if repeat < len(seeds) else first


_CURVES = ("validation_accuracy", "validation_loss", "nc1", "wide_accuracy")


@dataclass(frozen=True)
class _Recorded(Run):
    values: Values


def _read(folder: Path) -> dict[tuple[int, int, int], _Recorded]:
    """The runs by config, seed and split."""
    found = {}
    for file in sorted(folder.glob("seed*-split*.parquet")):
        for row in pd.read_parquet(file).to_dict("records"):
            scores, losses, nc1, wide = (np.asarray(row[name]) for name in _CURVES)
            scores = np.nan_to_num(scores, nan=1 / CLASSES)  # of the epoch that diverged
            diverged = row["diverged"] if isinstance(row["diverged"], str) else None
            left_over = 1 / CLASSES if diverged else row["left_over_accuracy"]
            found[row["config"], row["seed"], row["split"]] = _Recorded(
                scores, losses, nc1, wide, left_over, diverged, json.loads(row["values"])
            )
    return found


def _end(run: Run) -> float:
    return -1.0 if run.diverged else float(run.scores[-1])


def _key(values: Values) -> str:
    return json.dumps(dict(values), sort_keys=True)


def _unit(dimension: Dimension, value: Value) -> float:
    if isinstance(dimension, Choice):
        return float(list(dimension.options).index(value))
    low, high, at = float(dimension.low), float(dimension.high), float(value)  # type: ignore[arg-type]
    place = math.log(at / low) / math.log(high / low) if dimension.log else (at - low) / (high - low)
    return min(1.0, max(0.0, place))
