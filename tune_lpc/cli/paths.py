"""Paths that users give."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.places import is_address


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


def folders_given(texts: Iterable[str]) -> list[Path]:
    """The folders of results that a user names to read them; of addresses the local copies, brought up to date now.

    Raises UserError with all that is wrong with the addresses.
    """
    folders: list[Path] = []
    problems: list[str] = []
    for text in texts:
        if not is_address(text):
            folders.append(Path(text))
            continue
        from tune_lpc.storage.reading import fetched  # only where it is needed

        try:
            folders.append(fetched(text, print))
            print(f"{text} is read from its copy in {folders[-1]}")
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return folders


def address_problems(text: str | None) -> list[str]:
    """What is wrong with a place for results, where that is an address; nothing where it is a folder."""
    if not is_address(text):
        return []
    from tune_lpc.storage.address import Address  # only where it is needed

    try:
        Address.parse(str(text))
    except UserError as error:
        return error.problems
    return []
