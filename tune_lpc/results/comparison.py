"""Confirmed searches beside one another: the papers' table, paired tests, optimism, and what each search spent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.plan.errors import UserError
from tune_lpc.results.confirmed import MEASURE, load_confirmed
from tune_lpc.results.export import TRIALS_FILE
from tune_lpc.results.loading import load_run
from tune_lpc.results.statistics import PairedTest, Summary, holm, paired_test, summary

ACCURACY = "test_accuracy"
UNEQUAL = 1.1
"""From so many times between the epochs of two searches on their budgets are told to differ."""
_NEEDED = {"data.fingerprint": (str,), "method": (str,)}
_COLUMNS = ("rank", "seed", "split", "train_on", "announced", ACCURACY, "test_images", "status")


@dataclass(frozen=True)
class Spent:
    """What a search took: its trials, their epochs, and the hours of these, all its slots added up."""

    trials: int
    epochs: int
    hours: float


@dataclass(frozen=True)
class Compared:
    """A search that was confirmed.

    name: of its method, or of its folder where two have the same. networks: the rows of confirm.parquet that are those
    of the named config; ties: of the others, by rank. values: by measure, the summary over the networks. optimism: what
    the search announced less what was confirmed, points of 1; low, high: by the interval of what was confirmed alone.
    """

    name: str
    directory: Path
    networks: pd.DataFrame
    ties: dict[int, pd.DataFrame]
    values: dict[str, Summary]
    announced: float
    optimism: float | None
    low: float | None
    high: float | None
    spent: Spent


@dataclass(frozen=True)
class Difference:
    """A paired test of two searches by a measure. corrected: p by Holm's method, among the tests of that measure."""

    measure: str
    one: str
    other: str
    test: PairedTest
    corrected: float | None


@dataclass(frozen=True)
class Comparison:
    """All searches, every test, and what is to be borne in mind. measures: test_accuracy first."""

    searches: list[Compared]
    measures: list[str]
    differences: list[Difference]
    notes: list[str]


def compare(directories: Sequence[Path], against: str | None = None) -> Comparison:
    """Compare searches that were confirmed, two or more; each pair, or each with that of the name `against`.

    Raises UserError for one that is not confirmed, for data, test images or regimes that differ, and for an `against`
    that is not among them.
    """
    loaded: list[tuple[Path, dict[str, Any], pd.DataFrame]] = []
    problems: list[str] = []
    for directory in directories:
        try:
            loaded.append((directory, load_run(directory, _NEEDED), _confirmed(directory)))
        except UserError as error:
            problems += error.problems
    if not problems:
        problems += _mixed(loaded)
    if problems:
        raise UserError(dict.fromkeys(problems))
    names = _names([(directory, str(run["method"])) for directory, run, _ in loaded])
    if against is not None and against not in names:
        raise UserError(f"--against is {against!r}, but must be one of {', '.join(names)}")
    # Those that all have: nothing else can be compared.
    shared = set.intersection(*(set(_measures(table)) for _, _, table in loaded))
    measures = [ACCURACY, *(name for name in _measures(loaded[0][2]) if name in shared)]
    searches = [_compared(name, *one, measures) for name, one in zip(names, loaded, strict=True)]
    return Comparison(searches, measures, _differences(searches, measures, against), _notes(searches))


def _confirmed(directory: Path) -> pd.DataFrame:
    table = load_confirmed(directory)
    if lacking := [name for name in _COLUMNS if name not in table]:
        raise UserError(f"confirm.parquet in {directory} lacks the columns {', '.join(lacking)}; confirm it again")
    if table[ACCURACY].isna().all():
        raise UserError(
            f"no network of {directory} was tested (see status and reason in its confirm.parquet); go on with it: "
            f"python -m tune_lpc.confirm {directory} --resume"
        )
    return table


def _mixed(loaded: Sequence[tuple[Path, dict[str, Any], pd.DataFrame]]) -> list[str]:
    """What keeps searches from being compared at all, each told of the first that differs from the first of all."""
    first = loaded[0]
    found = []
    for directory, run, table in loaded[1:]:
        if run["data"]["fingerprint"] != first[1]["data"]["fingerprint"]:
            found.append(f"{directory} was searched on other images than {first[0]}; compare searches of the same data")
        for column, what in (("train_on", "trained on"), ("test_images", "tested on")):
            mine, theirs = (set(one[column].dropna()) for one in (first[2], table))
            if mine != theirs:
                shown = [", ".join(map(str, sorted(values))) for values in (theirs, mine)]
                found.append(
                    f"{directory} was {what} {shown[0]} ({column} of confirm.parquet), {first[0]} on {shown[1]}; "
                    "confirm both alike"
                )
    return found


def _names(searches: Sequence[tuple[Path, str]]) -> list[str]:
    """A name each: the method, and where two have the same the shortest end of the path that tells them apart."""
    times = Counter(method for _, method in searches)
    if max(times.values()) == 1:
        return [method for _, method in searches]
    paths = [Path(os.path.realpath(directory)) for directory, _ in searches]
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise UserError("a folder is given twice; give each search once")


def _measures(table: pd.DataFrame) -> list[str]:
    """The measures on test images that at least one network has."""
    names = [name for name in map(str, table.columns) if name.startswith(MEASURE) and not name.endswith(".reason")]
    return [name for name in names if table[name].notna().any()]


def _compared(
    name: str, directory: Path, run: dict[str, Any], table: pd.DataFrame, measures: Sequence[str]
) -> Compared:
    named = int(table["rank"].min())
    networks = table[table["rank"] == named]
    values = {measure: summary(_known(networks[measure])) for measure in measures}
    announced, accuracy = float(networks["announced"].iloc[0]), values[ACCURACY]
    return Compared(
        name,
        directory,
        networks,
        {rank: table[table["rank"] == rank] for rank in sorted(set(table["rank"].tolist()) - {named})},
        values,
        announced,
        None if accuracy.mean is None else announced - accuracy.mean,
        None if accuracy.high is None else announced - accuracy.high,
        None if accuracy.low is None else announced - accuracy.low,
        _spent(directory),
    )


def _known(column: pd.Series[Any]) -> list[float]:
    return [float(value) for value in column.dropna()]


def _spent(directory: Path) -> Spent:
    path = directory / TRIALS_FILE
    try:
        table = pq.read_table(path, columns=["epochs_trained", "seconds"])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(
            f"{path} can't be read ({str(error).splitlines()[0]}); it tells what the search spent"
        ) from error
    trials = table.to_pandas()
    return Spent(len(trials), int(trials["epochs_trained"].sum()), float(trials["seconds"].sum()) / 3600)


def _differences(searches: Sequence[Compared], measures: Sequence[str], against: str | None) -> list[Difference]:
    found = []
    pairs = [(one, other) for one, other in combinations(searches, 2)]
    if against is not None:
        (other,) = [search for search in searches if search.name == against]
        pairs = [(one, other) for one in searches if one is not other]
    for measure in measures:
        tests = [_test(one, other, measure) for one, other in pairs]
        corrected = holm([test.p for test in tests])
        found += [
            Difference(measure, one.name, other.name, test, p)
            for (one, other), test, p in zip(pairs, tests, corrected, strict=True)
        ]
    return found


def _test(one: Compared, other: Compared, measure: str) -> PairedTest:
    """The paired test of two searches, by the networks of the same seed on the same split."""
    keys = ["seed", "split"]
    both = one.networks[[*keys, measure]].merge(other.networks[[*keys, measure]], on=keys, suffixes=("", ".other"))
    both = both.dropna(subset=[measure, f"{measure}.other"])
    return paired_test(_known(both[measure]), _known(both[f"{measure}.other"]))


def _notes(searches: Sequence[Compared]) -> list[str]:
    found = []
    trials = [search.spent.trials for search in searches]
    epochs = [search.spent.epochs for search in searches]
    if max(epochs) > UNEQUAL * max(1, min(epochs)):
        told = ", ".join(f"{s.name} {s.spent.trials} trials, {s.spent.epochs:,} epochs" for s in searches)
        found.append(f"the searches did not spend the same: {told}; early stopping decides what its trials cost")
    elif min(trials) != max(trials):
        found.append("the searches had different numbers of trials: " + ", ".join(map(str, trials)))
    for search in searches:
        lacking = search.networks[search.networks[ACCURACY].isna()]
        if len(lacking):
            how = ", ".join(f"{count} {status}" for status, count in Counter(lacking["status"]).items())
            found.append(f"{search.name}: {len(lacking)} of {len(search.networks)} networks have no test ({how})")
        if len(search.networks) - len(lacking) == 1:
            found.append(f"{search.name}: a single network, so there is no interval and no test; confirm more seeds")
    seeds = [set(zip(s.networks["seed"], s.networks["split"], strict=True)) for s in searches]
    if any(one != seeds[0] for one in seeds):
        found.append("the networks have different seeds or splits; tests pair those that two searches have in common")
    before = [
        search.name for search in searches if int(search.networks.get("opened_before", pd.Series([0])).max() or 0)
    ]
    if before:
        found.append(f"test images had been opened before these networks were tested: {', '.join(before)}")
    return found
