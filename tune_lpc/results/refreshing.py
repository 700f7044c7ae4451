"""Bringing the tables of a run up to its journal, where that can be trusted more than they can."""

from __future__ import annotations

from collections.abc import Sequence
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
    if not journal.is_file():
        return problems_of(directory)
    if not (directory / TRIALS_FILE).is_file() and not (directory / MANIFEST_FILE).is_file():
        export(directory)  # it was killed before it had written any
        return problems_of(directory)
    problems = problems_of(directory)
    if _knows_more(directory, problems) or not (directory / TRIALS_FILE).is_file():
        export(directory)
    return problems


def _knows_more(directory: Path, problems: Sequence[str]) -> bool:
    """Whether the journal, as far as the problems say, knows more than the tables."""
    # A search that was killed leaves a last line that is cut off.
    is_sound = all(" is cut off: " in line for line in problems if line.startswith(JOURNAL_FILE))
    since = _bytes_since(directory)
    return is_sound and (since > 0 or (since == 0 and bool(problems)))


def _bytes_since(directory: Path) -> int:
    """By how many bytes the journal is longer than when the tables were made; 1 where nobody knows."""
    manifest = read_manifest(directory)
    if isinstance(manifest, str) or manifest[1] is None:
        return 1
    return (directory / JOURNAL_FILE).stat().st_size - int(manifest[1]["bytes"])
