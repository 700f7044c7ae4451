"""Moments of a search at which it gets a signal from its own inside, since nobody outside can hit them.

Each function is called in the driver's process before the search begins, with the signal and, where something happens
many times, at which of these times from 1.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

A_WHILE = 0.3
"""Seconds that a checkpoint takes after the signal, so that the driver has acted on it before the file is whole."""


def in_sampling(number: int, at: int) -> None:
    """While the sampler draws a config."""
    from tune_lpc.search.sampler import EstimatorSampler

    count, draw = itertools.count(1), EstimatorSampler.draw

    def signal_and_draw(self: Any, trial: int, given: Any) -> Any:
        if given is None and next(count) == at:  # those of before are not drawn again
            os.kill(os.getpid(), number)
        return draw(self, trial, given)

    EstimatorSampler.draw = signal_and_draw


def in_export(number: int, at: int = 3) -> None:
    """While the Parquet files are made at the end: some are, some are not. Those meanwhile don't count."""
    import pyarrow.parquet as pq

    write_table, signal_and_write = pq.write_table, _signalling(pq.write_table, number, at)

    def write(*arguments: Any, **named: Any) -> Any:
        is_at_the_end = threading.current_thread() is threading.main_thread()
        return (signal_and_write if is_at_the_end else write_table)(*arguments, **named)

    pq.write_table = write


def in_checkpoint(number: int, at: int) -> None:
    """While a worker writes a checkpoint, its file begun and not yet whole."""
    from tune_lpc.engine import tuner
    from tune_lpc.engine.trainable import TrialTrainable

    driver = os.getpid()

    # Defined here, so that it goes to the workers by value, the driver's process id included.
    class Signalling(TrialTrainable):
        def setup(self, *arguments: Any, **named: Any) -> None:
            count, sync = itertools.count(1), os.fsync

            def signal_and_sync(descriptor: int) -> None:
                if next(count) == at:
                    os.kill(driver, number)
                    time.sleep(A_WHILE)
                sync(descriptor)

            os.fsync = signal_and_sync
            super().setup(*arguments, **named)

    tuner.TrialTrainable = Signalling


def _signalling(function: Callable[..., Any], number: int, at: int) -> Callable[..., Any]:
    """`function`, which at its call number `at` sends this process a signal first."""
    count = itertools.count(1)

    def signalling(*arguments: Any, **named: Any) -> Any:
        if next(count) == at:
            os.kill(os.getpid(), number)
        return function(*arguments, **named)

    return signalling
