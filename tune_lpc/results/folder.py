"""The folder of a run: whether there is one already, and whether one can be written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from tune_lpc.results.export import RUN_FILE
from tune_lpc.results.journal import JOURNAL_FILE


def holds_run(directory: Path) -> bool:
    """Whether `directory` holds a run, whole or not."""
    return (directory / JOURNAL_FILE).exists() or (directory / RUN_FILE).exists()


def folder_problems(directory: Path) -> list[str]:
    """Why a run can't be written to `directory`, empty when it can; found by trying, and leaving nothing behind."""
    if "\0" in str(directory):
        return [f"the output folder {str(directory)!r} can't be written (a NUL in its name); choose another with --out"]
    # Without "..": a folder that only the way leads through would be made, too, and left behind.
    folder = Path(os.path.realpath(directory))
    missing: list[Path] = []
    try:
        if holds_run(folder):
            return [f"{directory} already holds a run; choose another folder with --out, or remove it"]
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
