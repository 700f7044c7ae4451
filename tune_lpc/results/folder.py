"""The folder of a run: whether there is one already, whether one can be written, and whether it fits on the disk."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tune_lpc.plan.methods import METHODS
from tune_lpc.results.export import RUN_FILE
from tune_lpc.results.journal import JOURNAL_FILE, journal_in_use

MIN_FREE_BYTES = 32 * 2**20
"""A run does not begin with less space than this: it holds a journal, tables, and a few checkpoints."""


def holds_run(directory: Path) -> bool:
    """Whether `directory` holds a run, whole or not; False where its name is too long to ask."""
    return any(os.path.exists(directory / name) for name in (JOURNAL_FILE, RUN_FILE))  # noqa: PTH110 - never raises


def run_folders(directories: Sequence[Path]) -> list[Path]:
    """The folders of runs that `directories` stand for, each once: one that holds no run itself stands for those in it.

    So the folder of a search with several methods stands for all of them, in the order of the methods.
    """
    found: dict[str, Path] = {}
    for directory in directories:
        for folder in [directory] if holds_run(directory) else _runs_in(directory) or [directory]:
            found.setdefault(_real(folder), folder)
    return list(found.values())


def _real(folder: Path) -> str:
    try:
        return os.path.realpath(folder)
    except ValueError:  # a NUL in its name: reading it tells so
        return str(folder)


def _runs_in(directory: Path) -> list[Path]:
    """Those in the folder itself; none where it can't be read."""
    try:
        inside = [folder for folder in directory.iterdir() if os.path.exists(folder / RUN_FILE)]  # noqa: PTH110
    except (OSError, ValueError):
        return []
    order = {name: place for place, name in enumerate(METHODS)}
    return sorted(inside, key=lambda folder: (order.get(folder.name, len(order)), folder.name))


def folder_problems(directory: Path, resume: bool = False) -> list[str]:
    """Why a run can't be written to `directory`, empty when it can; found by trying, and leaving nothing behind.

    A run that is there already is a problem; with `resume` only one that a living process is still writing.
    """
    if "\0" in str(directory):
        return [f"the output folder {str(directory)!r} can't be written (a NUL in its name); choose another with --out"]
    # Without "..": a folder that only the way leads through would be made, too, and left behind.
    folder = Path(os.path.realpath(directory))
    missing: list[Path] = []
    try:
        if holds_run(folder) and (problem := _run_problem(directory, folder, resume)):
            return [problem]
        if problem := free_space_problem(directory, MIN_FREE_BYTES):
            return [problem]
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return [f"the output folder {directory} can't be written ({reason}); choose another with --out"]
    finally:
        for place in missing:
            # Not made, not empty, or not ours to remove: then it stays as it is.
            with contextlib.suppress(OSError):
                place.rmdir()
    return []


def free_space_problem(directory: Path, needed_bytes: int) -> str | None:
    """Why `needed_bytes` don't fit on the disk of `directory`, None when they do; the folder need not exist yet.

    Raises OSError when the disk can't be asked.
    """
    folder = Path(os.path.realpath(directory))
    place = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(place).free
    if free >= needed_bytes:
        return None
    # Rounded away from each other, so that the two figures are never the same.
    figures = f"{free // 10**6:,} MB free, but needs {math.ceil(needed_bytes / 10**6):,} MB"
    return f"the disk of {directory} has {figures}; free some, or choose another folder with --out"


def _run_problem(directory: Path, folder: Path, resume: bool) -> str | None:
    """Why the run in `folder`, which the user calls `directory`, is in the way."""
    in_use = journal_in_use(folder / JOURNAL_FILE)
    if resume:
        return f"a search is running in {directory}; wait for it, or end it first" if in_use else None
    if in_use:
        return f"{directory} already holds a run, which is still going; choose another folder with --out"
    return (
        f"{directory} already holds a run; go on with it with --resume, choose another folder with --out, or remove it"
    )
