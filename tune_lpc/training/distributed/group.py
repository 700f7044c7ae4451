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
    """The rows of a batch that one process trains on: from `start` up to `stop`, of `whole` in all.

    counts: how many each process has, by rank.
    """

    whole: int
    start: int
    stop: int
    counts: tuple[int, ...]

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
        counts = tuple((each + (rank < more)) * rows_of_a_unit for rank in range(self.size))
        start = sum(counts[: self.rank])
        return Share(sum(counts), start, start + counts[self.rank], counts)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        dist.all_reduce(values)
        return values

    def stack(self, values: Tensor) -> Tensor:
        """What each process has, (size, *shape), all of the same shape."""
        parts = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(parts, values.contiguous())
        return torch.stack(parts)

    def rows_of_all(self, rows: Tensor, share: Share) -> Tensor:
        """The rows of all processes in order, (whole, *shape), where each has its share of them, this one `rows`.

        With a gradient: what all processes make of the rows of one comes back to it.
        """
        gathered: Tensor = _RowsOfAll.apply(rows, share, self)
        return gathered

    def from_first(self, value: T) -> T:
        """What the first process gives; the others' value is ignored. Anything that can be pickled."""
        box: list[Any] = [value]
        dist.broadcast_object_list(box, device=torch.device("cpu"))
        found: T = box[0]
        return found


class _RowsOfAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, share: Share, group: Group) -> Tensor:
        ctx.share, ctx.group = share, group
        padded = rows.new_zeros(max(share.counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = group.stack(padded)
        return torch.cat([part[:count] for part, count in zip(parts, share.counts, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None, None]:
        return ctx.group.sum(slopes.contiguous().clone())[ctx.share.rows], None, None
