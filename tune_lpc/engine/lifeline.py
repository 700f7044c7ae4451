"""Whether the head of the cluster still lives. Without it Ray blocks this process, and in the end kills it.

A head that is started again knows nothing of the search, and Ray ends the process, without a word, that has asked the
old one a question which the new one answers. So while the head may be gone nobody asks it anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from ray._private.state import GlobalState

from tune_lpc.engine.head import Head, Standing

ASKED_EVERY = 2.0
ASKED_AGAIN_EVERY = 0.2
"""Seconds, while it may be gone."""
LOST_AFTER = 45.0
"""Seconds without an answer; Ray's nodes end themselves after 60."""
PARKING_SECONDS = 5.0
"""For the search's own thread to come to rest: in a call of Ray's that does not return, or in `Lifeline.park`."""

SILENT, ANEW = "does not answer any more", "was started anew and knows nothing of the search"


class HeadLost(BaseException):  # Ray Tune would take an Exception for one of a trial
    """The head of the cluster is lost, and the search with it.

    is_mended: whether there is another one by now.
    """

    def __init__(self, reason: str, *, is_mended: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_mended = reason, is_mended


class Lifeline:
    """Watches the head in a thread of its own, and lets all others stand still where they would ask it.

    Once it is lost the search's own thread has HeadLost. Where that one hangs in Ray, or where Ray would end the
    process any moment, `end` brings the search to its end instead, and ends the process.
    """

    def __init__(
        self, head: Head, end: Callable[[HeadLost], None], say: Callable[[str], None], asked_to_end: Callable[[], bool]
    ) -> None:
        """say: tells the user something. asked_to_end: whether the user wants the search to end."""
        self._head, self._end, self._say, self._asked_to_end = head, end, say, asked_to_end
        self._search = threading.current_thread()
        self._is_there, self._over, self._lost = threading.Event(), threading.Event(), threading.Event()
        self._is_there.set()
        self._reason = HeadLost(f"the head of the cluster ({head.address}) {SILENT}")
        self._waits = False
        self._lock, self._questions = threading.Lock(), 0
        self._ending: threading.Thread | None = None  # the one that brings the search to its end

    # The threads that use Ray

    def park(self) -> None:
        """Stand still while the head may be gone. Raises HeadLost once it is lost, or where the user ends it all."""
        while not self._is_there.wait(ASKED_AGAIN_EVERY):
            if self._lost.is_set() or self._asked_to_end():
                if threading.current_thread() is self._search:
                    self._end_here()
                raise self._reason

    @contextmanager
    def question(self) -> Iterator[None]:
        """Within, the head is asked something."""
        self.park()
        with self._lock:
            self._questions += 1
        try:
            yield
        finally:
            with self._lock:
                self._questions -= 1

    def close(self) -> None:
        """The search is over."""
        self._end_here()
        self._over.set()

    def _end_here(self) -> None:
        if not self._may_end():
            threading.Event().wait()  # the end is being written, and then the process ends

    def _may_end(self) -> bool:
        """Whether it is this thread that brings the search to its end."""
        with self._lock:
            self._ending = self._ending or threading.current_thread()
            return self._ending is threading.current_thread()

    # The thread that watches

    def watch(self) -> None:
        """Look until the search is over, or the head lost."""
        silent_since: float | None = None  # found so at least twice: this process may have stood still meanwhile
        while not self._over.is_set():
            standing, now = self._head.look(), time.monotonic()
            if standing is Standing.HERE:
                silent_since = None
                self._is_back()
            elif standing is Standing.ANOTHER:
                return self._lose(ANEW)
            elif silent_since is not None and now - silent_since > LOST_AFTER:
                return self._lose(SILENT)
            else:
                silent_since = silent_since or now
                if standing is Standing.GONE:
                    self._is_there.clear()
                    if self._questions:  # Ray ends this process as soon as another head answers
                        return self._lose(SILENT)
                    if now - silent_since > ASKED_EVERY:
                        self._tell_of_waiting()
            if self._head.broke_off(ASKED_EVERY if self._is_there.is_set() else ASKED_AGAIN_EVERY):
                self._is_there.clear()
        return None

    def _tell_of_waiting(self) -> None:
        if not self._waits:
            self._waits = True
            self._say(f"the head of the cluster is gone; the search waits {LOST_AFTER:.0f} s for it to come back")

    def _is_back(self) -> None:
        self._is_there.set()
        if self._waits:
            self._waits = False
            self._say("the head of the cluster is back, and the search goes on")

    def _lose(self, how: str) -> None:
        self._reason = HeadLost(f"the head of the cluster ({self._head.address}) {how}", is_mended=how is ANEW)
        self._is_there.clear()
        self._lost.set()
        if not self._questions and self._over.wait(PARKING_SECONDS):
            return
        if self._may_end():
            self._end(self._reason)


class _Asked:
    """What asks the head for Ray's Python; each question is one of a lifeline."""

    def __init__(self, accessor: Any, line: Lifeline) -> None:
        self._accessor, self._line = accessor, line

    def __getattr__(self, name: str) -> Callable[..., Any]:
        ask = getattr(self._accessor, name)

        def asked(*arguments: Any, **named: Any) -> Any:
            with self._line.question():
                return ask(*arguments, **named)

        return asked


@contextmanager
def _nobody_asks_one_that_is_gone(line: Lifeline) -> Iterator[None]:
    rays_state: Any = GlobalState
    connect = rays_state._connect_and_get_accessor
    rays_state._connect_and_get_accessor = lambda state: _Asked(connect(state), line)
    try:
        yield
    finally:
        rays_state._connect_and_get_accessor = connect


@contextmanager
def lifeline(
    head: Head | None,
    end: Callable[[HeadLost], None],
    say: Callable[[str], None] = lambda _: None,
    asked_to_end: Callable[[], bool] = lambda: False,
) -> Iterator[Lifeline | None]:
    """Within, a head that is lost ends the search, see `Lifeline`. head: None where there is none to watch."""
    if head is None:
        yield None
        return
    line = Lifeline(head, end, say, asked_to_end)

    def watch() -> None:
        with closing(head):
            line.watch()

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
    try:
        with _nobody_asks_one_that_is_gone(line):
            yield line
    finally:
        line.close()
