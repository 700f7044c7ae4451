"""What a search would name if it were stopped, as a step function of the epochs that it has spent."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rivals.problem import Problem


@dataclass(frozen=True)
class Named:
    """What a tool names: a config, its announced score, and the 95 % interval of it where the tool states one."""

    config: int
    score: float
    low: float | None = None
    high: float | None = None


Search = Callable[[Problem, int, int], Iterator[Named | None]]
"""A search of a problem, by its number (its seed) and the epochs that it may spend.

Yields once for each epoch spent: what it would name if it were stopped there, None as long as it could name nothing.
"""


@dataclass(frozen=True)
class Contestant:
    """A way to search.

    about: with what parameters, and how it names. parameters: what tells one from another in the cache, the versions
    of the code included. is_sized: whether a search must know its budget; one that need not is run once, with the
    largest.
    """

    name: str
    about: str
    search: Search
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_sized: bool = False


@dataclass(frozen=True)
class Trace:
    """epochs: at which what is named changes, rising. named: what is from there on. spent: epochs in all."""

    epochs: list[int]
    named: list[Named]
    spent: int

    def at(self, epochs: int) -> Named | None:
        """What is named once so many epochs are spent."""
        passed = bisect_right(self.epochs, epochs)
        return self.named[passed - 1] if passed else None


def trace_of(steps: Iterable[Named | None], budget: int) -> Trace:
    """Run a search until it ends or has spent its budget in epochs."""
    trace, spent = Trace([], [], 0), 0
    for spent, now in enumerate(steps, start=1):
        if now is not None and (not trace.named or now != trace.named[-1]):
            trace.epochs.append(spent)
            trace.named.append(now)
        if spent >= budget:
            break
    return Trace(trace.epochs, trace.named, spent)


def traces_of(contestant: Contestant, problem: Problem, searches: int, budget: int, cache: Path) -> list[Trace]:
    """The traces of searches 0, 1, …; read from the folder `cache` where the same were run before, else kept there."""
    kept_budget = budget if contestant.is_sized else 0
    file = cache / f"{problem.name}-{contestant.name}{f'-{kept_budget}' if kept_budget else ''}.parquet"
    facts = {"curves": problem.fingerprint, "budget": budget, **contestant.parameters}
    key = json.dumps(facts, sort_keys=True)
    if file.exists():
        table = pq.read_table(file)
        kept = _from_rows(table.to_pandas())
        if (table.schema.metadata or {}).get(b"key") == key.encode() and len(kept) >= searches:
            return kept[:searches]
    traces = [trace_of(contestant.search(problem, number, budget), budget) for number in range(searches)]
    cache.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(_as_rows(traces), preserve_index=False).replace_schema_metadata({"key": key})
    part = file.with_suffix(".part")
    pq.write_table(table, part, compression="zstd")
    part.replace(file)
    return traces


def _as_rows(traces: list[Trace]) -> pd.DataFrame:
    """A row a step; a search that never named anything has one of a config -1."""
    rows = [
        {"search": number, "epoch": epoch, "spent": trace.spent, **vars(named)}
        for number, trace in enumerate(traces)
        for epoch, named in zip(trace.epochs or [0], trace.named or [Named(-1, np.nan)], strict=True)
    ]
    return pd.DataFrame(rows).astype({"low": float, "high": float})


def _from_rows(rows: pd.DataFrame) -> list[Trace]:
    traces = []
    for _, steps in rows.groupby("search"):
        spent = int(steps["spent"].iloc[0])
        steps = steps[steps["config"] >= 0]
        named = [
            Named(config, score, *(None if np.isnan(end) else end for end in ends))
            for config, score, *ends in zip(*(steps[name] for name in ("config", "score", "low", "high")), strict=True)
        ]
        traces.append(Trace(steps["epoch"].tolist(), named, spent))
    return traces
