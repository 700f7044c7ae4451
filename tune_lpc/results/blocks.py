"""The journal of a search read a block at a time: its epochs as arrays, as there are millions, its other events singly.

What pyarrow reads here is what `journal.journal_events` yields, several times quicker: it parses JSON without holding
up Python, so that some threads parse the next blocks while one is taken in. A block in which anything is unusual, a
damaged line above all, is read line by line instead, as one rule must say what is left out and why.
"""

from __future__ import annotations

import io
import os
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from tune_lpc.results.events import EpochDone, Event, Position
from tune_lpc.results.journal import CHECKSUM, events_of_lines
from tune_lpc.results.training_run import NUMBERS

BLOCK_BYTES = 2**20
"""About 2,000 epochs."""
_THREADS = max(1, min(4, os.cpu_count() or 1))
_SECONDS = NUMBERS.index("seconds")
_BEGINNING = f'{{"kind":"{EpochDone.kind}"'.encode()
_SCHEMA = pa.schema(
    {
        "trial_id": pa.string(),
        "record": pa.struct(
            {
                "budget": pa.int64(),
                "epoch": pa.int64(),
                **dict.fromkeys(NUMBERS, pa.float64()),
                "diverged": pa.string(),
            }
        ),
    }
)


@dataclass(frozen=True)
class EpochRows:
    """Epochs, a row each.

    trial_ids: those that there are. trials: of each row the index of its own among them (rows,). places: its line,
    counted from the beginning of the block (rows,). budgets, epochs: (rows,). values: the NUMBERS of its record,
    (rows, numbers), NaN for None. diverged: by row, why training could not go on.
    """

    trial_ids: list[str]
    trials: np.ndarray
    places: np.ndarray
    budgets: np.ndarray
    epochs: np.ndarray
    values: np.ndarray
    diverged: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.places)

    def between(self, first: int, end: int) -> EpochRows:
        """Those of the lines from `first` to before `end`."""
        low, high = np.searchsorted(self.places, (first, end))
        return self.take(np.arange(low, high))

    def take(self, rows: np.ndarray) -> EpochRows:
        """Those of these indices, in this order."""
        place = {int(row): new for new, row in enumerate(rows)} if self.diverged else {}
        return EpochRows(
            self.trial_ids,
            self.trials[rows],
            self.places[rows],
            self.budgets[rows],
            self.epochs[rows],
            self.values[rows],
            {place[row]: why for row, why in self.diverged.items() if row in place},
        )

    def record(self, row: int) -> dict[str, Any]:
        """The record of an epoch as its event has it."""
        values = (None if np.isnan(value) else float(value) for value in self.values[row])
        return {
            "budget": int(self.budgets[row]),
            "epoch": int(self.epochs[row]),
            **dict(zip(NUMBERS, values, strict=True)),
            "diverged": self.diverged.get(row),
        }


class WaitingRows:
    """Epochs that are yet to be taken in, those of a trial together, in their order.

    rows: (rows,), by trial. seconds: of each, 0 for one that has none (rows,). counted: those of the rows that were
    taken in and had not been there before (rows,), 0 for the others.
    """

    def __init__(self, rows: EpochRows, rungs: Collection[Position]) -> None:
        self.rows = rows
        told = rows.values[:, _SECONDS]
        self.seconds = np.where(np.isnan(told), 0.0, told)
        self.counted = np.zeros(len(rows))
        self._at_rung = np.zeros(len(rows), dtype=bool)
        for budget, epoch in rungs:
            self._at_rung |= (rows.budgets == budget) & (rows.epochs == epoch)
        self._alone = self._at_rung.copy()
        self._alone[list(rows.diverged)] = True
        ends = np.flatnonzero(self._alone[1:] | (np.diff(rows.budgets) != 0)) + 1
        self._ends = [*ends.tolist(), len(rows)]
        bounds = np.searchsorted(rows.trials, np.arange(len(rows.trial_ids) + 1)).tolist()
        self._left = {name: range(*bounds[code : code + 2]) for code, name in enumerate(rows.trial_ids)}

    def at_rungs(self) -> list[tuple[int, str]]:
        """Line and trial of each epoch after which a rung looks at it, by line."""
        places, trials = self.rows.places[self._at_rung], self.rows.trials[self._at_rung]
        return sorted((place, self.rows.trial_ids[trial]) for place, trial in zip(places.tolist(), trials, strict=True))

    def taken(self, trial_id: str, until: float) -> range:
        """The indices of the rows of a trial that stand before a line; they wait no longer."""
        left = self._left.get(trial_id, range(0))
        count = int(np.searchsorted(self.rows.places[left.start : left.stop], until))
        self._left[trial_id] = left[count:]
        return left[:count]

    def alike_until(self, row: int) -> int:
        """Where the rows end that can be taken in together from this one on: of one budget, not diverged, at no rung.

        At the row itself where that is to be taken in alone.
        """
        return row if self._alone[row] else self._ends[bisect_right(self._ends, row)]


@dataclass(frozen=True)
class Block:
    """A part of a journal. events: with the line of each, counted from its beginning. rows: its epochs; None where
    they are among the events. damaged: a line for each damaged entry.
    """

    events: list[tuple[int, Event]]
    rows: EpochRows | None
    damaged: list[str]


def journal_blocks(path: Path, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The blocks of a journal in order, each of about so many bytes.

    Raises OSError when there is no file, or when it can't be read.
    """
    with path.open("rb") as file, ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[Block]] = deque()
        lines = 0
        while data := file.read(size) + file.readline():
            waiting.append(pool.submit(_block, data, lines))
            lines += data.count(b"\n")
            if len(waiting) > _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _block(data: bytes, lines_before: int) -> Block:
    return _quickly(data) or _line_by_line(data, lines_before)


def _line_by_line(data: bytes, lines_before: int) -> Block:
    damaged: list[str] = []
    events = events_of_lines(io.BytesIO(data), damaged, lines_before=lines_before)
    return Block(list(enumerate(events)), None, damaged)


def _quickly(data: bytes) -> Block | None:
    """None where it can't be read so."""
    lines = data.split(b"\n")
    if lines.pop():
        return None  # cut off
    payloads = [line[CHECKSUM:] for line in lines]
    sums = np.fromiter(map(zlib.crc32, payloads), dtype=">u4", count=len(lines)).tobytes().hex(" ", 4)
    if b"".join([line[:CHECKSUM] for line in lines]) != f"{sums} ".encode():
        return None
    is_epoch = [payload.startswith(_BEGINNING) for payload in payloads]
    damaged: list[str] = []
    others = [place for place, there in enumerate(is_epoch) if not there]
    events = list(events_of_lines((lines[place] + b"\n" for place in others), damaged))
    if damaged or len(events) != len(others):
        return None
    epochs = [payload for payload, there in zip(payloads, is_epoch, strict=True) if there]
    rows = _rows(epochs, np.flatnonzero(is_epoch)) if epochs else None
    return None if rows is None and epochs else Block(list(zip(others, events, strict=True)), rows, damaged)


def _rows(payloads: list[bytes], places: np.ndarray) -> EpochRows | None:
    """None where an entry is not that of an epoch as this version writes it."""
    data = b"\n".join(payloads)
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(data),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    names, records = (table[name].combine_chunks() for name in _SCHEMA.names)
    budgets, epochs = records.field("budget"), records.field("epoch")
    if len(table) != len(payloads) or any(each.null_count for each in (names, records, budgets, epochs)):
        return None
    coded, why = names.dictionary_encode(), records.field("diverged")
    there = np.flatnonzero(why.is_valid().to_numpy(zero_copy_only=False))
    diverged = dict(zip(there.tolist(), why.drop_null().to_pylist(), strict=True))
    values = np.column_stack([records.field(name).to_numpy(zero_copy_only=False) for name in NUMBERS])
    values[~np.isfinite(values)] = np.nan
    of_trials = coded.dictionary.to_pylist(), coded.indices.to_numpy()
    rows = EpochRows(*of_trials, places, budgets.to_numpy(), epochs.to_numpy(), values, diverged)
    return rows if (rows.budgets > 0).all() else None
