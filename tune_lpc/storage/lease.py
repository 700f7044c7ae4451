"""The lease of an address: an object that says which process writes there, renewed while that lives.

Its age is told by the server alone, so clocks of machines that differ do no harm. Where the server knows conditional
writes (If-None-Match, If-Match), of several that take or renew it at once exactly one succeeds. Where it does not, who
takes it waits a little and looks again, which leaves a gap for one whose write takes longer than that; it is found at
the next renewal.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tune_lpc.plan.errors import UserError
from tune_lpc.storage.store import Content, Store, StoreError

LEASE_FILE = "lease.json"
SECONDS = 60.0
"""After which a lease that is not renewed has expired."""
RENEWALS = 5
"""In the time of a lease, where nothing is in the way."""
SETTLES = 2.0
"""Seconds from taking a lease to looking again, on a server without conditional writes."""


class LeaseLost(Exception):  # noqa: N818 - it is a state, as is JournalLocked
    """Another process has taken the lease over; the text is one line."""


class Lease:
    """One that this process holds. `take` makes it. is_safe: whether the server knows conditional writes."""

    def __init__(self, store: Store, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._seconds, self._clock = store, seconds, clock
        self._owner = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._tag = ""
        self._renewed = clock()
        self.is_safe = True

    @property
    def is_due(self) -> bool:
        """Whether it should be renewed now."""
        return self._clock() - self._renewed >= self._seconds / RENEWALS

    def renew(self) -> None:
        """Hold it for another while. Raises LeaseLost, StoreError."""
        with self._lock:
            if not self.is_safe and (problem := self._other(self._store.read(LEASE_FILE))) is not None:
                raise LeaseLost(problem)
            tag = self._store.replace(LEASE_FILE, self._content(), self._tag)
            if tag is None:
                there = self._store.read(LEASE_FILE)
                if (problem := self._other(there)) is not None:
                    raise LeaseLost(problem)
                # Ours, though: an answer was lost, or somebody has removed it.
                tag = (
                    self._store.create(LEASE_FILE, self._content())
                    if there is None
                    else self._store.replace(LEASE_FILE, self._content(), there.tag)
                )
                if tag is None:
                    raise LeaseLost(self._other(self._store.read(LEASE_FILE)) or f"{self._store.where}: lease lost")
            self._tag, self._renewed = tag, self._clock()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within, a thread renews it; for what takes long before uploads begin, which renew it themselves."""
        is_over = threading.Event()

        def keep() -> None:
            while not is_over.wait(self._seconds / RENEWALS):
                # What is wrong shows at the next renewal, which those who upload make.
                with suppress(StoreError, LeaseLost):
                    self.renew()

        thread = threading.Thread(target=keep, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def release(self) -> None:
        """Let others have it; one that others hold stays. Raises StoreError."""
        with self._lock:
            there = self._store.read(LEASE_FILE)
            if there is not None and self._other(there) is None:
                self._store.remove(LEASE_FILE)

    def _content(self) -> bytes:
        about = {
            "owner": self._owner,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "seconds": self._seconds,
            "expires": time.time() + self._seconds,
            "renewal": uuid.uuid4().hex,  # another tag each time, also within a tick of the clock
        }
        return json.dumps(about).encode()

    def _other(self, there: Content | None) -> str | None:
        """Who else holds it, in a line; None where nobody does."""
        about = _about(there)
        if there is None or about.get("owner") == self._owner:
            return None
        return f"another search has taken over {self._store.where}, on {_holder(about)}"


def take(
    store: Store,
    say: Callable[[str], None],
    *,
    waits: bool,
    seconds: float = SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Take the lease of an address. waits: for the end of one that may be that of a process that was killed.

    Raises UserError where another process holds it: without `waits` at once, with it once it is seen to be renewed.
    Raises StoreError.
    """
    lease = Lease(store, seconds)
    there = store.read(LEASE_FILE)
    left = seconds_left(there)
    if there is not None and left > 0:
        if not waits:
            raise UserError(_refusal(store, there, left))
        told = f"{store.where} was last written by {_holder(_about(there))}, whose lease has not ended"
        say(f"{told}: if it does not renew it, this search goes on in {left:.0f} s")
        there = _outwaited(store, there, left, sleep)
    content = lease._content()
    tag = store.create(LEASE_FILE, content) if there is None else store.replace(LEASE_FILE, content, there.tag)
    if tag is None:
        raise UserError(_refusal(store, store.read(LEASE_FILE), seconds))
    lease._tag = tag
    lease._renewed = lease._clock()
    if (again := store.create(LEASE_FILE, content)) is not None:
        # The server passes over conditions.
        lease.is_safe, lease._tag = False, again
        sleep(SETTLES)
        there = store.read(LEASE_FILE)
        if lease._other(there) is not None:
            raise UserError(_refusal(store, there, seconds))
    return lease


def seconds_left(there: Content | None) -> float:
    """Until a lease ends that is not renewed; 0 without one, or where it can't be read."""
    seconds = _about(there).get("seconds")
    if there is None or not isinstance(seconds, int | float):
        return 0.0
    return max(0.0, float(seconds) - there.age)


def _outwaited(store: Store, there: Content, left: float, sleep: Callable[[float], None]) -> Content | None:
    """The lease once it has ended, None where it was given up. Raises UserError once it is seen to be renewed."""
    while left > 0:
        sleep(min(2.0, left + 0.5))
        now = store.read(LEASE_FILE)
        if now is None:
            return None
        if now.tag != there.tag:
            raise UserError(_refusal(store, now, seconds_left(now)))
        left = seconds_left(now)
    return there


def _refusal(store: Store, there: Content | None, left: float) -> str:
    return (
        f"a search is running in {store.where}, on {_holder(_about(there))}; wait for it, or end it first (if it was "
        f"killed, its lease ends in {left:.0f} s, which --resume waits for)"
    )


def _about(there: Content | None) -> dict[str, Any]:
    try:
        about = json.loads(there.data) if there is not None else {}
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}


def _holder(about: dict[str, Any]) -> str:
    return f"{about.get('host', 'another machine')} (process {about.get('pid', 'unknown')})"
