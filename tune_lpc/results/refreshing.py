"""Bringing the tables of a run up to its journal, where that can be trusted more than they can."""

from __future__ import annotations

from pathlib import Path

from tune_lpc.results.checking import problems_of
from tune_lpc.results.export import TRIALS_FILE, export
from tune_lpc.results.journal import JOURNAL_FILE, journal_in_use
from tune_lpc.results.manifest import MANIFEST_FILE, read_manifest


def refresh(directory: Path) -> list[str]:
    """Make the tables of a run anew where they are old, missing or damaged; what was found wrong with its files.

    A search that is still going has older tables, or none yet. From a journal that is damaged itself nothing is made
    anew but what is not there at all: the tables may know more than it does.
    Raises UserError where there is nothing of a run, OSError when a file can't be read or written.
    """
    journal = directory / JOURNAL_FILE
    if journal_in_use(journal):
        export(directory)
        return []
    if journal.is_file() and not any((directory / name).exists() for name in (TRIALS_FILE, MANIFEST_FILE)):
        export(directory)  # it was killed before it had written any
        return problems_of(directory)
    problems = problems_of(directory)
    # A search that was killed leaves a last line that is cut off.
    is_sound = all(" is cut off: " in line for line in problems if line.startswith(JOURNAL_FILE))
    is_needed = problems or _has_grown(directory)
    if journal.is_file() and (not (directory / TRIALS_FILE).is_file() or (is_sound and is_needed)):
        export(directory)
    return problems


def _has_grown(directory: Path) -> bool:
    """Whether the journal holds more than the tables were made from, as far as is known."""
    manifest = read_manifest(directory)
    if isinstance(manifest, str) or manifest[1] is None:
        return True
    return (directory / JOURNAL_FILE).stat().st_size > int(manifest[1]["bytes"])
