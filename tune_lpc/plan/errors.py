"""What a user can cause: an error to mend, and an interruption."""

from __future__ import annotations

import difflib
import math
import signal
from collections.abc import Iterable

LONGEST = 200
"""Characters of a value that a message shows."""


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


def nearest(name: object, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean 'cifar10'?``, or '' when nothing known is close."""
    close = difflib.get_close_matches(name if isinstance(name, str) else shown(name), list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object) -> str:
    """A value as messages show it: Python's spelling, but 'none' for None, and shortened where it is very long."""
    if value is None:
        return "none"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"about {'-' if value < 0 else ''}10^{round(math.log10(abs(value)))}"
    try:
        text = repr(value)
    except ValueError:  # Python refuses to spell out whole numbers of more than 4,300 digits, inside a list, say
        return f"a {type(value).__name__} that can't be shown"
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def shown_limit(limit: float) -> str:
    """A limit as messages show it: a whole number in full, any other in the shortest spelling that loses nothing."""
    short = f"{limit:g}" if isinstance(limit, float) else ""
    return short if short and float(short) == limit else shown(limit)
