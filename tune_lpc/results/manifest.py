"""The manifest of a run: the digest of each of its files, so that a byte that changes is found.

`manifest.json` holds for each file its bytes and SHA-256, for the journal, which may grow, those of the part that the
tables were made from, and a digest of all that itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MANIFEST_FILE = "manifest.json"
JOURNAL = "journal"
FILES = "files"
DIGEST = "sha256"
_AT_ONCE = 2**20

Entry = dict[str, Any]
"""Of a file: its bytes and their SHA-256."""


def entry_of(path: Path, most: int | None = None) -> Entry:
    """What the manifest says of a file, or of its first `most` bytes. Raises OSError when it can't be read."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_AT_ONCE if most is None else min(_AT_ONCE, most - size)):
            digest.update(block)
            size += len(block)
    return {"bytes": size, DIGEST: digest.hexdigest()}


def manifest_text(files: Mapping[str, Entry], journal: Entry | None) -> str:
    """The content of manifest.json."""
    content = {FILES: dict(sorted(files.items())), JOURNAL: journal}
    return json.dumps({**content, DIGEST: _digest(content)}, indent=1) + "\n"


def read_manifest(directory: Path) -> tuple[dict[str, Entry], Entry | None] | str:
    """The entries of the files by name, and that of the journal; or what is wrong with the manifest."""
    path = directory / MANIFEST_FILE
    try:
        content = json.loads(path.read_bytes())
        told = content.pop(DIGEST)
        files, journal = content[FILES], content[JOURNAL]
    except FileNotFoundError:
        return f"{MANIFEST_FILE} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{MANIFEST_FILE} is damaged ({type(error).__name__})"
    if told != _digest(content) or manifest_text(files, journal) != path.read_text(encoding="utf-8"):
        return f"{MANIFEST_FILE} was altered: it is not what its own digest says"
    return files, journal


def with_noted(directory: Path, names: Iterable[str]) -> str | None:
    """The manifest with the files of these names as they are now; None where there is no whole manifest to add to.

    Raises OSError when a file can't be read.
    """
    found = read_manifest(directory)
    if isinstance(found, str):
        return None
    files, journal = found
    return manifest_text({**files, **{name: entry_of(directory / name) for name in names}}, journal)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
