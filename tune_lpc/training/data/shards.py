"""Files that are the pieces of one set: whether their names, by their own numbers, make a whole one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tune_lpc.plan.errors import UserError

_OF = re.compile(r"(?P<before>.*?)-?(?P<number>\d+)-of-(?P<total>\d+)(?P<after>.*)")
_SPARK = re.compile(r"part-(?P<number>\d+)-(?P<writing>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?P<after>.*)")
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\.\w+)")


def check_shards(files: Sequence[Path]) -> None:
    """Raise UserError where files of one folder are not the pieces of one set: what is read twice, or missing.

    Pieces are named `train-00000-of-00002[-<digest>].parquet`, as Hugging Face does, `part-00000-<id>.parquet`, as
    Spark does, or with a number alone. Files without any number are taken as they are.
    """
    if not files:
        return
    kinds: dict[str, list[tuple[Path, re.Match[str]]]] = defaultdict(list)
    for file in files:
        kind, match = _kind(file)
        if match is not None:
            kinds[kind].append((file, match))
    pieces = sum(len(found) for found in kinds.values())
    if kinds.keys() - {"numbered"} and (len(kinds) > 1 or pieces < len(files)):
        whole = next(iter(kinds[min(kinds.keys() - {"numbered"})]))[0]
        other = next(file for file in files if _kind(file)[0] != _kind(whole)[0])
        raise UserError(
            f"{whole} is a piece of a set of files, but {other.name} beside it is none; whichever is left from an "
            "earlier time would be read as well: remove it"
        )
    for kind, found in kinds.items():
        _check_set(kind, found)


def _kind(file: Path) -> tuple[str, re.Match[str] | None]:
    for kind, pattern in (("of", _OF), ("spark", _SPARK), ("numbered", _NUMBERED)):
        if match := pattern.fullmatch(file.name):
            return kind, match
    return "", None


def _check_set(kind: str, found: list[tuple[Path, re.Match[str]]]) -> None:
    told = "total" if kind == "of" else "writing" if kind == "spark" else "before"
    sets: dict[str, Path] = {}
    for file, match in found:
        sets.setdefault(match[told], file)
    if len(sets) > 1 and kind != "numbered":
        first, other = list(sets.values())[:2]
        raise UserError(
            f"{first} and {other.name} beside it are pieces of different sets, whose images would be read as one; "
            "remove the older files"
        )
    by_number: dict[tuple[str, int], Path] = {}
    for file, match in found:
        key = (match["before"] if kind == "numbered" else "", int(match["number"]))
        if (before := by_number.setdefault(key, file)) is not file:
            raise UserError(
                f"{before} and {file.name} beside it are the same piece of a set, so that its images would be read "
                "twice; remove the older one"
            )
    if kind == "of":
        total = int(found[0][1]["total"])
        numbers = {number for _, number in by_number}
        # Some count from 1.
        start = 1 if 0 not in numbers and total in numbers else 0
        if missing := sorted(set(range(start, start + total)) - numbers):
            raise UserError(
                f"{found[0][0].parent} holds {len(numbers)} of the {total} pieces of a set: number {missing[0]} of "
                f"{total} is missing, beside {found[0][0].name}; fetch or write it again"
            )
