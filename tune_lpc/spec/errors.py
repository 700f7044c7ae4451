"""What a user can cause: an error to mend, and an interruption."""

from __future__ import annotations

import difflib
import signal
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


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM where there is nothing to bring to an order; carries the signal's number."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean 'cifar10'?``, or '' when nothing known is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
