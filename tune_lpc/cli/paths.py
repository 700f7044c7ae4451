"""Paths that users give."""

from __future__ import annotations

import argparse
from pathlib import Path


def path_given(text: str) -> str:
    """A path as a user gives it to an option: `~` at its beginning is the home folder, also in `--out=~/results`.

    Raises argparse.ArgumentTypeError for a name that is not UTF-8, which no results could tell of.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(
            f"{text.encode('utf-8', 'backslashreplace').decode()} is not UTF-8, as names must be; rename it"
        ) from error
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:  # there is no such user
        return text
