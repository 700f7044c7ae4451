"""The epochs of one training from scratch, kept as numbers: a search has millions of them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import numpy as np

from tune_lpc.plan.record import SCORE, record_fields

NUMBERS = tuple(f.name for f in record_fields() if f.name not in ("budget", "epoch", "diverged"))
"""The fields of an EpochRecord that are numbers, or None; they are kept as such, since a search has many epochs."""
_WIDTH = len(NUMBERS)
_SCORE = NUMBERS.index(SCORE)
_ALL: Callable[[Mapping[str, Any]], tuple[float | None, ...]] = itemgetter(*NUMBERS)
_ROWS_AT_ONCE = 64
Record = dict[str, Any]


class TrainingRun:
    """One training from scratch of a trial: its records.

    budget: epochs that it is to train, by which every schedule is stretched.
    """

    __slots__ = ("_diverged", "_new", "_present", "_values", "budget")

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._values = array("d")
        self._new: list[tuple[float | None, ...]] = []  # rows not yet in _values: many at once cost less
        self._present = bytearray()
        self._diverged: dict[int, str] = {}

    def __contains__(self, epoch: int) -> bool:
        return 0 < epoch <= len(self._present) and bool(self._present[epoch - 1])

    def __len__(self) -> int:
        """How many epochs have a record."""
        return self._present.count(1)

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether this very record is there, its times included."""
        epoch = record["epoch"]
        if epoch not in self or self._diverged.get(epoch) != record.get("diverged"):
            return False
        return self._row(epoch).tobytes() == _numbers(record).tobytes()

    def put(self, record: Mapping[str, Any]) -> None:
        """Take in a record; the later one stays where an epoch was done again."""
        epoch: int = record["epoch"]
        missing = epoch - len(self._present)
        if missing == 1:
            try:
                row = _ALL(record)
            except KeyError:
                row = tuple(record.get(name) for name in NUMBERS)  # an older version had fewer
            self._new.append(row)
            self._present.append(1)
            if len(self._new) == _ROWS_AT_ONCE or epoch == self.budget:
                self.settle()
        else:
            self.settle()
            numbers = _numbers(record)
            if missing > 0:  # a damaged journal has gaps
                self._values.extend(array("d", [math.nan]) * (_WIDTH * missing))
                self._present.extend(bytes(missing))
            self._values[_WIDTH * (epoch - 1) : _WIDTH * epoch] = numbers
            self._present[epoch - 1] = 1
            self._diverged.pop(epoch, None)
        if record.get("diverged") is not None:
            self._diverged[epoch] = record["diverged"]

    def put_rows(self, epochs: np.ndarray, values: np.ndarray) -> int:
        """Take in those of many records that follow on the last one without a gap, none of them diverged; how many.

        epochs: (rows,). values: their NUMBERS, (rows, numbers), NaN for None.
        """
        first = len(self._present) + 1
        follows = epochs == np.arange(first, first + len(epochs))
        count = len(epochs) if follows.all() else int(follows.argmin())
        if count:
            self.settle()
            self._values.frombytes(np.ascontiguousarray(values[:count]).tobytes())
            self._present.extend(b"\x01" * count)
        return count

    def settle(self) -> None:
        """Keep what is new as the rest is kept: it takes less memory when no more is to come."""
        if self._new:
            self._values.frombytes(_finite(self._new).tobytes())
            self._new.clear()

    def _table(self) -> array[float]:
        """All values, row by row, those of missing epochs NaN."""
        self.settle()
        return self._values

    def record(self, epoch: int) -> Record:
        """The record of an epoch. Raises KeyError when there is none."""
        if epoch not in self:
            raise KeyError(epoch)
        values = [None if math.isnan(value) else value for value in self._row(epoch)]
        named = dict(zip(NUMBERS, values, strict=True))
        return {"budget": self.budget, "epoch": epoch, **named, "diverged": self._diverged.get(epoch)}

    def score(self, epoch: int) -> float | None:
        """The score of an epoch that has a record."""
        return self._value(epoch, _SCORE)

    def mean(self, name: str, epoch: int, window: int) -> float | None:
        """The mean of a field of the last `window` epochs up to `epoch`, as far as there are; None without its own."""
        column = NUMBERS.index(name)
        epochs = (earlier for earlier in range(max(1, epoch - window + 1), epoch + 1) if earlier in self)
        values = [self._table()[_WIDTH * (earlier - 1) + column] for earlier in epochs]
        if math.isnan(values[-1]):
            return None
        known = [value for value in values if not math.isnan(value)]
        return math.fsum(known) / len(known)

    def diverged(self, epoch: int) -> str | None:
        """Why training could not go on after an epoch, None when it could."""
        return self._diverged.get(epoch)

    def columns(self) -> dict[str, np.ndarray]:
        """The records by field, each (epochs with a record,), numbers as float64 with NaN for None."""
        there = np.frombuffer(self._present, np.uint8).astype(bool)
        table = np.frombuffer(self._table()).reshape(-1, _WIDTH)[there]
        epochs = np.flatnonzero(there) + 1
        diverged = np.full(len(epochs), None)
        for epoch, why in self._diverged.items():
            diverged[np.searchsorted(epochs, epoch)] = why
        columns = {name: table[:, column] for column, name in enumerate(NUMBERS)}
        return {"budget": np.full(len(epochs), self.budget), "epoch": epochs, **columns, "diverged": diverged}

    @property
    def epochs(self) -> int:
        """Epochs reached."""
        return len(self._present)

    @property
    def last(self) -> Record:
        """The record of the last epoch."""
        return self.record(self.epochs)

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the best score, the first of equals; None without a score."""
        scores = np.frombuffer(self._table())[_SCORE::_WIDTH]
        best = int(np.fmax(scores, -np.inf).argmax()) if len(scores) else 0
        return best + 1 if len(scores) and scores[best] > -np.inf else None

    @property
    def best(self) -> Record:
        """The record of that epoch; empty without a score."""
        epoch = self.best_epoch
        return {} if epoch is None else self.record(epoch)

    def _value(self, epoch: int, column: int) -> float | None:
        value = self._table()[_WIDTH * (epoch - 1) + column]
        return None if math.isnan(value) else value

    def _row(self, epoch: int) -> array[float]:
        return self._table()[_WIDTH * (epoch - 1) : _WIDTH * epoch]


def _numbers(record: Mapping[str, Any]) -> array[float]:
    """The values; NaN also for infinity, which a journal does not hold: so the record is the same when read again."""
    return array("d", _finite([tuple(map(record.get, NUMBERS))]).tobytes())


def _finite(rows: list[tuple[float | None, ...]]) -> np.ndarray:
    """Rows of values as float64 (rows, values), NaN for None and for what is not finite."""
    values = np.array(rows, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values
