"""The journal of a running search, written even when the disk is full for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.results import Journal
from tune_lpc.results.events import Continued, Event, Paused

TRY_AGAIN_EVERY = 1.0
"""Seconds between two tries while the disk is full."""


class View(Protocol):
    """Who shows a running search to people."""

    def show(self, event: Event) -> None:
        """Something has happened, and the ledger has it."""

    def say(self, text: str) -> None:
        """Tell something beside it."""

    def say_once(self, text: str) -> None:
        """Tell it the first time only."""

    def pause(self, reason: str | None) -> None:
        """The search stands still for a reason, or goes on (None)."""


class WaitingLog:
    """Writes every event to the journal as it happens.

    An exception in a callback would bring the whole of Ray Tune down. So when the journal can't be written the search
    waits until it can, and says so; only who asks the search to end meanwhile ends it, and then what was not written
    is trained again after a resume.
    """

    def __init__(self, journal: Journal, view: View, interrupt: Interrupt) -> None:
        self.journal = journal
        self._view, self._interrupt = view, interrupt
        self.gave_up = False
        """Whether an entry is missing. A later one would hide the gap, so none is written any more."""

    def write(self, event: Event) -> bool:
        """Append an event; while that fails, wait. False when the search was asked to end meanwhile."""
        problems: list[OSError] = []

        def is_written() -> bool:
            try:
                self.journal.write(event)
            except OSError as error:
                problems[:] = [error]
                return False
            return True

        if not self.gave_up and not is_written():
            reason = f"{self.journal.path} can't be written ({problems[0].strerror or problems[0]})"
            self.gave_up = not self._wait(is_written, reason)
        return not self.gave_up

    def wait_until(self, is_well: Callable[[], bool], reason: str) -> None:
        """Let the whole search stand still until all is well again, or until it is asked to end."""
        self.write(Paused(reason))
        if self._wait(is_well, reason):
            self.write(Continued(reason))

    def _wait(self, is_well: Callable[[], bool], reason: str) -> bool:
        if self._interrupt.requested is not None:
            return False
        self._view.pause(f"{reason}; the search waits: free space, or end it with Ctrl-C and resume it later")
        well = False
        while not well and self._interrupt.requested is None:
            time.sleep(TRY_AGAIN_EVERY)
            well = is_well()
        if well:
            self._view.pause(None)
        return well
