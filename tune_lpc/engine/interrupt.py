"""Ctrl-C, SIGTERM and their like: the first asks the search to end in good order, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from tune_lpc.plan.errors import Interrupted

_ALWAYS = (signal.SIGINT, signal.SIGTERM)
_UNLESS_IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
"""What a terminal sends that closes, and batch systems before a job's time is up. nohup, say, lets them be ignored."""


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
        """Take over the signals until the context ends. In another thread than the first there are none to take."""
        if threading.current_thread() is not threading.main_thread():
            return self
        self._before = {number: signal.getsignal(number) for number in _ALWAYS}
        # None: a handler that was not set from Python, and can't be given back.
        others = {number: signal.getsignal(number) for number in _UNLESS_IGNORED}
        self._before |= {number: handler for number, handler in others.items() if handler not in (signal.SIG_IGN, None)}
        self.take_over()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take_over(self) -> None:
        """Set the handlers, again where a library has put its own in their place.

        ray.init does for SIGTERM, and Ray Tune for SIGUSR1, after which it would end as if all trials had ended.
        """
        for number in self._before:
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
