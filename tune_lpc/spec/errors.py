"""The one error that a user can cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something in the input must be mended; holds every problem found, one line each.

    Commands print the lines and exit with status 2, before anything is written or started.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[UserError], tuple[list[str]]]:
        """Keep the list of problems when the error crosses from a worker process."""
        return type(self), (self.problems,)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean 'cifar10'?``, or '' when nothing known is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
