"""The processes of one training as each of them sees the others, and its share of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """The rows of a batch that one process trains on: from `start` up to `stop`, of `whole` in all."""

    whole: int
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """The rows, to index a whole batch with."""
        return slice(self.start, self.stop)

    @property
    def weight(self) -> float:
        """What a mean over these rows counts in the mean over the whole batch."""
        return (self.stop - self.start) / self.whole


@dataclass(frozen=True)
class Group:
    """The processes of a training, `size` of them, this one number `rank` from 0. They meet in torch.distributed's
    default group: each method that moves numbers returns only when all have called it, in the same order.
    """

    rank: int
    size: int

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes checkpoints and takes measures."""
        return self.rank == 0

    def share(self, units: int, rows_of_a_unit: int = 1) -> Share:
        """This process's part of a batch of `units` that stay whole, each of so many rows: the same for all, or one
        more for the first ones.
        """
        each, more = divmod(units, self.size)
        start = self.rank * each + min(self.rank, more)
        stop = start + each + (self.rank < more)
        return Share(units * rows_of_a_unit, start * rows_of_a_unit, stop * rows_of_a_unit)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        dist.all_reduce(values)
        return values

    def stack(self, values: Tensor) -> Tensor:
        """What each process has, (size, *shape), all of the same shape."""
        parts = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(parts, values.contiguous())
        return torch.stack(parts)

    def rows_of_all(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in their order, where each has a `share` of them: (rows, *shape)."""
        counts = self.stack(torch.tensor([len(rows)], device=rows.device))[:, 0].tolist()
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = self.stack(padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def differentiable_rows_of_all(self, rows: Tensor) -> Tensor:
        """As `rows_of_all`, with a gradient: what all processes make of the rows of one comes back to it."""
        gathered: Tensor = _RowsOfAll.apply(rows, self)
        return gathered

    def from_first(self, value: T) -> T:
        """What the first process gives; the others' value is ignored. Anything that can be pickled."""
        box: list[Any] = [value]
        dist.broadcast_object_list(box, device=torch.device("cpu"))
        found: T = box[0]
        return found


class _RowsOfAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: Group) -> Tensor:
        ctx.group, ctx.count = group, len(rows)
        return group.rows_of_all(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
        total = ctx.group.sum(slopes.contiguous().clone())
        counts = ctx.group.stack(torch.tensor([ctx.count], device=slopes.device))[:, 0].tolist()
        start = sum(counts[: ctx.group.rank])
        return total[start : start + ctx.count], None
