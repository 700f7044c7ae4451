"""Ctrl-C and SIGTERM: the first asks the search to end in good order, the second ends it at once."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from ray.tune.stopper import Stopper


class Interrupted(BaseException):
    """Raised by a signal where there is nothing to bring to an order; carries its number."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Interrupt(Stopper):  # type: ignore[misc]
    """Notes a signal, and tells Ray Tune through its Stopper interface to end the search.

    `graceful` is set while trials run; before and after, a signal raises `Interrupted` at once, as does a second one.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.graceful = False
        self.requested: str | None = None

    def install(self) -> None:
        """Take over SIGINT and SIGTERM for the rest of the process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        second = self.signal_number is not None
        self.signal_number = number
        if second or not self.graceful:
            raise Interrupted(number)
        self.request(signal.Signals(number).name)

    def request(self, reason: str) -> None:
        """Ask the search to end; the first reason stays."""
        self.requested = self.requested or reason

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial that has just reported ends now."""
        return self.requested is not None

    def stop_all(self) -> bool:
        """Whether the whole search ends now."""
        return self.requested is not None

    def __getstate__(self) -> dict[str, Any]:
        """Nothing that belongs to this process goes into Ray's saved state."""
        return {"signal_number": None, "graceful": False, "requested": None}
