"""Recorded curves as a problem to search: what a search may see of them, and the truth that judges what it names."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
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
"""Seeds that a search may see: each on the split of its number, and where they were recorded all on split 0."""
TRUTH = (3, 4)
"""Seeds that judge, on split 0; others from 5 on join them where they were recorded."""
CLASSES = 10
UNLIKE = 1 / math.sqrt(6)
"""How far apart two places are that are drawn evenly (root of the mean square)."""
VALIDATION = {"digits": 144, "digits250": 250, "mnist250": 250, "cifar10": 2000}
"""Validation images of each set."""
JUDGING = {"digits": 360, "digits250": 1297, "mnist250": 5000, "cifar10": 5000}
"""Left-over images of each set, on which the truth is measured."""


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
    """The configs of a set that can be searched and judged: those with every run that is needed.

    splits: of these a search begins on one, drawn for it (see `Pool`). notes: what to say of the recording.
    judges: the seeds that judge. truth: by config, the accuracy on left-over images, their mean.
    """

    def __init__(self, name: str, folder: Path, splits: Sequence[int] = VISIBLE) -> None:
        """Raises UserError when nothing was recorded that can be used."""
        self.name, self.space, self.validation = name, RECIPES[name].build(), VALIDATION[name]
        self.splits = tuple(splits)
        runs = _read(folder / name)
        recorded = {(seed, split) for _, seed, split in runs}
        needed = {(seed, 0) for seed in TRUTH} | {(split, split) for split in (*self.splits, *VISIBLE)}
        if lacking := sorted(needed - recorded):
            told = ", ".join(f"{seed}:{split}" for seed, split in lacking)
            raise UserError(f"{folder / name} lacks the runs {told} (seed:split); record_curves.py records them")
        every = {config for config, _, _ in runs}
        self.configs = sorted(config for config in every if all((config, *run) in runs for run in needed))
        if not self.configs:
            raise UserError(f"no config in {folder / name} has every run that is needed yet")
        self.runs = {run: found for run, found in runs.items() if run[0] in set(self.configs)}
        self.values: dict[int, Values] = {config: self.runs[config, 0, 0].values for config in self.configs}
        self.judges = [
            seed for seed in range(min(TRUTH), 10) if all((config, seed, 0) in runs for config in self.configs)
        ]
        self.truth = {
            config: float(np.mean([self.runs[config, seed, 0].left_over for seed in self.judges]))
            for config in self.configs
        }
        self.notes = self._notes(len(every))
        self._numbers = {_key(values): config for config, values in self.values.items()}
        self._places = np.array([self._place(self.values[config]) for config in self.configs])

    @property
    def epochs(self) -> int:
        """Of a full training."""
        return self.space.epochs

    @cached_property
    def fingerprint(self) -> str:
        """Of all that a search can see, and how it sees it."""
        found = hashlib.sha256(Path(__file__).read_bytes() + repr(self.splits).encode())
        for (config, seed, split), run in sorted(self.runs.items()):
            if seed in VISIBLE:
                found.update(repr((config, seed, split, run.diverged)).encode())
                for array in (run.scores, run.losses, run.nc1, run.wide):
                    found.update(array.tobytes())
        return found.hexdigest()[:16]

    def config_of(self, values: Values) -> int:
        """The recorded config with these very values. Raises KeyError when there is none."""
        return self._numbers[_key(values)]

    def distances(self, values: Values) -> np.ndarray:
        """How far each of `configs` is from `values`: Euclidean in the unit cube, (configs,).

        A dimension counts by its place in its range, in the logarithm where that is how it is drawn; another option of
        a choice is 1 away, and a dimension with an effect in one of both only UNLIKE. (Were it 0, configs with few
        dimensions would be near to all, and answer every second proposal.)
        """
        own = np.array(self._place(values))
        away = np.abs(self._places - own)
        away[:, self._is_choice] = np.where(away[:, self._is_choice] > 0, 1.0, away[:, self._is_choice])
        away = np.where(np.isnan(self._places) != np.isnan(own), UNLIKE, np.nan_to_num(away))
        distances: np.ndarray = np.sqrt((away**2).sum(axis=1))
        return distances

    @cached_property
    def _is_choice(self) -> np.ndarray:
        return np.array([isinstance(dimension, Choice) for dimension in self.space.dimensions.values()])

    def _place(self, values: Values) -> list[float]:
        return [
            _unit(dimension, values[name]) if name in values else math.nan
            for name, dimension in self.space.dimensions.items()
        ]

    def _notes(self, recorded: int) -> list[str]:
        diverged = sum(self.runs[config, 0, 0].diverged is not None for config in self.configs)
        best, all_truths = max(self.configs, key=lambda config: self.truth[config]), list(self.truth.values())
        return [
            f"{self.name}: {len(self.configs)} of {recorded} configs have every run that is needed, of {self.epochs} "
            f"epochs and {self.validation} validation images; {diverged} diverged (truth: that of guessing)",
            f"truth, {len(self.judges)} seeds: best config {best} with {self.truth[best]:.4f}, median "
            f"{np.median(all_truths):.4f}, mean {np.mean(all_truths):.4f}",
        ]


class Pool:
    """What one search sees: configs that it has not used yet, and their curves.

    Each search has a split of its own, drawn among those of the problem, which all its configs train and are validated
    on: so 100 searches don't all meet the luck of the same images. On split 0 the seed of each config is drawn too,
    where several were recorded. All contestants' searches of the same number see the same.
    """

    def __init__(self, problem: Problem, search: int) -> None:
        self.problem, self.search = problem, search
        self._split = random.Random(f"split {search}").choice(problem.splits)
        self._unused = np.ones(len(problem.configs), dtype=bool)

    def take(self, proposal: Values) -> int | None:
        """The config nearest to a proposal that this search has not used, which it then has; None when all are."""
        if not self._unused.any():
            return None
        found = int(np.argmin(np.where(self._unused, self.problem.distances(proposal), math.inf)))
        self._unused[found] = False
        return self.problem.configs[found]

    def run(self, config: int, repeat: int = 0, own_split: bool = False) -> Run:
        """The training of a config, or its `repeat`-th with another seed; on another split, if asked.

        Raises UserError for a run that was not recorded.
        """
        runs = self.problem.runs
        if own_split and repeat:
            others = [split for split in VISIBLE if split != self._split]
            key = (others[repeat - 1], others[repeat - 1]) if repeat <= len(others) else None
        else:
            seeds = [seed for seed in VISIBLE if (config, seed, self._split) in runs]
            random.Random(f"{self.search} {config}").shuffle(seeds)
            key = (seeds[repeat], self._split) if repeat < len(seeds) else None
        if key is None:
            where = "splits of its own" if own_split else f"split {self._split}"
            raise UserError(f"{self.problem.name}: fewer than {repeat} further seeds were recorded on {where}")
        return runs[config, *key]


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


def _key(values: Values) -> str:
    return json.dumps(dict(values), sort_keys=True)


def _unit(dimension: Dimension, value: Value) -> float:
    if isinstance(dimension, Choice):
        return float(list(dimension.options).index(value))
    low, high, at = float(dimension.low), float(dimension.high), float(value)  # type: ignore[arg-type]
    place = math.log(at / low) / math.log(high / low) if dimension.log else (at - low) / (high - low)
    return min(1.0, max(0.0, place))
