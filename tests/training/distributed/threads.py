"""Threads in the place of processes: what several of them make of their shares, in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from tune_lpc.training.distributed.group import Group

T = TypeVar("T")


class Threads(Group):
    """A group of threads that meet at a barrier."""

    def __init__(self, rank: int, size: int, barrier: threading.Barrier, table: dict[int, Tensor]) -> None:
        super().__init__(rank, size)
        object.__setattr__(self, "_barrier", barrier)
        object.__setattr__(self, "_table", table)

    def sum(self, values: Tensor) -> Tensor:
        values.copy_(self.stack(values).sum(dim=0))
        return values

    def stack(self, values: Tensor) -> Tensor:
        mine: Any = self
        mine._table[self.rank] = values.detach().clone()
        mine._barrier.wait(20)
        found = torch.stack([mine._table[rank] for rank in range(self.size)])
        mine._barrier.wait(20)
        return found


def together(size: int, work: Callable[[Group], T]) -> list[T]:
    """What `work` gives in each of the threads, by rank."""
    barrier, table = threading.Barrier(size), dict[int, Tensor]()
    results: dict[int, T] = {}

    def run(rank: int) -> None:
        results[rank] = work(Threads(rank, size, barrier, table))

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[rank] for rank in range(size)]
