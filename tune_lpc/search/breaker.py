"""The circuit breaker: what fails again and again for the same reason is not tried for ever."""

from __future__ import annotations

import re
from collections import deque

FAILURES_IN_A_ROW = 3
"""So many trials that fail one after another for the same reason end the search: the next would fail too."""


class Breaker:
    """Counts trials that fail one after another for the same reason, numbers in it aside."""

    def __init__(self, limit: int = FAILURES_IN_A_ROW) -> None:
        self._limit = limit
        self._reasons: deque[str] = deque(maxlen=limit)

    def ended(self, failure: str | None) -> str | None:
        """Note the end of a trial, with its reason when it failed; why the search should end, or None."""
        if failure is None:
            self._reasons.clear()
            return None
        # What tells one worker or node from another: numbers, hexadecimal ones too.
        self._reasons.append(re.sub(r"\b[0-9a-f]*\d[0-9a-f]*\b", "#", failure))
        if len(self._reasons) < self._limit or len(set(self._reasons)) > 1:
            return None
        return f"{self._limit} trials in a row failed for the same reason: {failure}"
