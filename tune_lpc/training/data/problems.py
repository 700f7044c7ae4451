"""Collecting what is wrong with a data set, so that a user sees it together and in few lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tune_lpc.plan.errors import UserError

LINES = 5
"""Problems told one by one; the others are only counted."""


class NotDownloadedError(UserError):
    """The data set is not on this machine, and must not be downloaded now."""


class Problems:
    """The problems of one data set, in the order in which they were found."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._found = 0

    def __bool__(self) -> bool:
        return self._found > 0

    def add(self, line: str) -> None:
        """Note one problem: a line that names the value, the rule and the mend."""
        self._found += 1
        if len(self._lines) < LINES:
            self._lines.append(line)

    def add_uncounted(self, count: int) -> None:
        """Note `count` further problems that have no line of their own."""
        self._found += count

    def raise_if_any(self) -> None:
        """Raise UserError with the first lines and the number of the others."""
        if self._found:
            more = self._found - len(self._lines)
            raise UserError([*self._lines, f"and {more:,} more problems like these"] if more else self._lines)


def one_line(error: BaseException) -> str:
    """The text of an error without line breaks; its type where it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn a folder or file of the user's that can't be read into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder} can't be read ({one_line(error)}); mend its permissions or --data-dir") from error
