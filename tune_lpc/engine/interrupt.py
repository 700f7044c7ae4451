"""Ctrl-C and SIGTERM: the first asks the search to end in good order, the second ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from tune_lpc.plan.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Notes a signal; a context manager.

    Within `graceful()` the first signal is only noted; outside, and the second time, it raises `Interrupted` at once.

    requested: the name of the signal that asked the search to end, None while none did.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.requested: str | None = None
        self._graceful = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take over SIGINT and SIGTERM until the context ends."""
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.take_over()
        return self

    def __exit__(self, *_: object) -> None:
        """Give both signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take_over(self) -> None:
        """Set the handlers, again where a library has put its own in their place (ray.init does for SIGTERM)."""
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    @contextmanager
    def graceful(self) -> Iterator[None]:
        """While trials run or files are written, who asks the search to end must let that come to an end."""
        self._graceful = True
        try:
            yield
        finally:
            self._graceful = False

    def _handle(self, number: int, _: FrameType | None) -> None:
        second = self.signal_number is not None
        self.signal_number = number
        if second or not self._graceful:
            raise Interrupted(number)
        self.requested = signal.Signals(number).name
