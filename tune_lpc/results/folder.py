"""The folder of a run: whether there is one already, and whether one can be written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tune_lpc.results.export import RUN_FILE
from tune_lpc.results.journal import JOURNAL_FILE


def holds_run(directory: Path) -> bool:
    """Whether `directory` holds a run, whole or not."""
    return (directory / JOURNAL_FILE).exists() or (directory / RUN_FILE).exists()


def folder_problems(directory: Path) -> list[str]:
    """Why a run can't be written to `directory`, empty when it can; found by trying, and leaving nothing behind."""
    if holds_run(directory):
        return [f"{directory} already holds a run; choose another folder with --out, or remove it"]
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        return [f"the output folder {directory} can't be written ({error.strerror}); choose another with --out"]
    finally:
        for folder in missing:
            if folder.is_dir():
                folder.rmdir()
    return []
