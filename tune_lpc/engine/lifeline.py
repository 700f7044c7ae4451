"""Whether the head of the cluster still lives. Without it Ray blocks this process, and in the end kills it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tune_lpc.engine.address import answer_problems

ASKED_EVERY = 2.0
LOST_AFTER = 45.0
"""Seconds without an answer; Ray's nodes end themselves after 60."""
PARKING_SECONDS = 5.0
"""For the search's own thread to come to rest: in a call of Ray's that does not return, or in `Lifeline.park`."""


class Lifeline:
    """Asks the head again and again, in a thread of its own.

    Once it is lost, that thread brings the search to its end: the first one may hang in Ray for good.
    """

    def __init__(self, address: str, end: Callable[[], None]) -> None:
        self._address, self._end = address, end
        self._lost, self._over = threading.Event(), threading.Event()

    def park(self) -> None:
        """Stand still for good, where the head is lost: the search is brought to its end elsewhere."""
        if self._lost.is_set():
            threading.Event().wait()

    def watch(self) -> None:
        """Ask until the search is over, or the head lost."""
        silent_since: float | None = None  # found so at least twice: this process may have stood still meanwhile
        while not self._over.wait(ASKED_EVERY):
            if not answer_problems(self._address):
                silent_since = None
            elif silent_since is None:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > LOST_AFTER:
                self._lost.set()
                if not self._over.wait(PARKING_SECONDS):
                    self._end()
                return

    def close(self) -> None:
        """The search is over."""
        self.park()  # the end is being written
        self._over.set()


@contextmanager
def lifeline(address: str | None, end: Callable[[], None]) -> Iterator[Lifeline]:
    """Within, `end` is called in another thread once the head at HOST:PORT is lost; it must end the process.

    address: None where there is none to watch.
    """
    line = Lifeline(address or "", end)
    if address is not None:
        threading.Thread(target=line.watch, name="lifeline", daemon=True).start()
    try:
        yield line
    finally:
        line.close()
