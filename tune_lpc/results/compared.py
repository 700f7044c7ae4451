"""Searches that were confirmed, read back from their folders, and whether they may be compared at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune_lpc.plan.errors import UserError
from tune_lpc.results.budgets import Budget, load_budget
from tune_lpc.results.confirmed import ALL, CONFIRM_FILE, TRAIN
from tune_lpc.results.folder import run_folders
from tune_lpc.results.loading import load_run
from tune_lpc.results.networks import Network, load_networks

NEEDED: Mapping[str, tuple[type, ...]] = {"data.fingerprint": (str,), "split_hash": (str,)}
"""What is read of run.json, with the types that it has."""
_TOLD = {
    "precision": "precision",
    "versions.tune_lpc": "version of tune_lpc",
    "versions.torch": "version of torch",
    "space.name": "space",
}
"""Facts of run.json that may differ, but are told then."""


@dataclass(frozen=True)
class Compared:
    """A search that was confirmed.

    label: by which it is told from the others: its method, with the folder where several have that. measures: the
    columns of the values that its networks have. run: the content of run.json.
    """

    label: str
    directory: Path
    measures: Sequence[str]
    networks: Sequence[Network]
    budget: Budget
    run: Mapping[str, Any]

    @property
    def method(self) -> str:
        """That of all its networks."""
        return self.networks[0].method

    def fact(self, name: str) -> Any:
        """What run.json says under a name such as "data.fingerprint"; None where it says nothing."""
        found: Any = self.run
        for key in name.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return found


def load_compared(directories: Sequence[Path]) -> list[Compared]:
    """The searches in the folders, each a search or the parent of the folders of several, such as --method writes.

    Raises UserError with everything that is missing or damaged.
    """
    found: list[Compared] = []
    problems: list[str] = []
    for folder in run_folders(directories):
        try:
            found.append(_load(folder))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(dict.fromkeys(problems))
    return _labelled(found)


def check_comparable(searches: Sequence[Compared]) -> list[str]:
    """What of the searches differs without keeping them from being compared: a line each.

    Raises UserError where they were not trained on the same images, or not tested on as many: a line for each that
    differs from the first.
    """
    first, problems = searches[0], []
    for other in searches[1:]:
        told = f"{other.directory} can't be compared with {first.directory}"
        if other.fact("data.fingerprint") != first.fact("data.fingerprint"):
            problems.append(f"{told}: their images differ (data.fingerprint); search both on the same images")
        elif other.fact("split_hash") != first.fact("split_hash"):
            mend = "search both with the same split, train_size and validation images"
            problems.append(f"{told}: other images of the same data train and validate (split_hash); {mend}")
    counts = {
        search.label: sorted({network.test_images for network in search.networks if network.test_images is not None})
        for search in searches
    }
    if len({count for found in counts.values() for count in found}) > 1:
        told = ", ".join(f"{label} on {' and '.join(map(str, found))}" for label, found in counts.items() if found)
        problems.append(f"the networks were not tested on the same images: {told}; confirm all on the same")
    if problems:
        raise UserError(problems)
    return _differing(searches)


def on_the_same_images(searches: Sequence[Compared]) -> tuple[list[Compared], list[str]]:
    """The searches with the networks of one training set: the images that trained in the search, else all.

    With a line for what is left out, or that all images trained. Raises UserError where no such set is common to all.
    """
    trained_on = {search.label: {network.train_on for network in search.networks} for search in searches}
    common = [name for name in (TRAIN, ALL) if all(name in names for names in trained_on.values())]
    if not common:
        told = ", ".join(f"{label} on {' and '.join(sorted(names))}" for label, names in trained_on.items())
        raise UserError(f"the networks were trained on other images: {told}; confirm all with the same --train-on")
    notes = [
        f"{label}: its networks trained on {name} are left out, as those of the others are trained on {common[0]}"
        for label, names in trained_on.items()
        for name in sorted(names - {common[0]})
    ]
    if common[0] == ALL:
        notes.append("all networks were trained on the validation images too: another regime than that of the search")
    kept = [
        replace(search, networks=[network for network in search.networks if network.train_on == common[0]])
        for search in searches
    ]
    return kept, notes


def _differing(searches: Sequence[Compared]) -> list[str]:
    notes = []
    for name, text in _TOLD.items():
        values = {search.label: search.fact(name) for search in searches}
        if len(set(map(str, values.values()))) > 1:
            told = ", ".join(f"{label} {'unknown' if value is None else value}" for label, value in values.items())
            notes.append(f"{text} differs: {told}")
    return notes


def _load(folder: Path) -> Compared:
    run = load_run(folder, NEEDED)
    path = folder / CONFIRM_FILE
    if not path.exists():
        raise UserError(f"{folder} is not confirmed: it has no {path.name}; run python -m tune_lpc.confirm {folder}")
    measures, networks = load_networks(path)
    return Compared(networks[0].method, folder, measures, networks, load_budget(folder, run), run)


def _labelled(searches: Sequence[Compared]) -> list[Compared]:
    """Those whose method others have too with the name of their folder, and where that is the same with all of it."""
    found = list(searches)
    for told in (lambda folder: Path(os.path.realpath(folder)).name, str):
        counts = Counter(search.label for search in found)
        found = [
            search
            if counts[search.label] == 1
            else replace(search, label=f"{search.method} ({_printable(told(search.directory))})")
            for search in found
        ]
    return found


def _printable(text: str) -> str:
    """A folder's name may hold anything, a table can't."""
    return "".join(character if character.isprintable() else "?" for character in text)
