"""The Parquet files of a search while it runs, written anew every so often, so that a notebook can look at them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tune_lpc.plan.errors import UserError
from tune_lpc.results import export

EVERY = 10.0
"""Seconds from one writing to the next, at least."""
SHARE = 0.01
"""Of the time, at most, is spent on it."""


@contextmanager
def tables_meanwhile(folder: Path, say: Callable[[str], None], every: float = EVERY) -> Iterator[None]:
    """Within, the tables of the run in `folder` follow its journal, whole files put in place together.

    They are made from the journal alone, in a thread of its own: nothing waits for them. Where they can't be written,
    those of before stay, `say` is told, and it is tried again later.
    """
    is_over = threading.Event()
    thread = threading.Thread(target=_keep_up, args=(folder, say, every, is_over), name="tables", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()  # the last tables are written after it, in the same places


def _keep_up(folder: Path, say: Callable[[str], None], every: float, is_over: threading.Event) -> None:
    wait = every
    while not is_over.wait(wait):
        start = time.monotonic()
        try:
            export(folder)
        except (OSError, UserError) as error:
            say(f"the Parquet files can't be written for now: {error}")
        wait = max(every, (time.monotonic() - start) / SHARE)
