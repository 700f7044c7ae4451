"""Shares of a batch, and what crosses between those that have them."""

from __future__ import annotations

import pytest
import torch

from tests.training.distributed.threads import together
from tune_lpc.training.distributed.group import Group, Share


@pytest.mark.parametrize(
    ("units", "size", "counts"), [(8, 2, [4, 4]), (5, 2, [3, 2]), (7, 3, [3, 2, 2]), (3, 3, [1] * 3)]
)
def test_shares_cover_the_batch_in_order_as_evenly_as_it_goes(units: int, size: int, counts: list[int]) -> None:
    shares = [Group(rank, size).share(units) for rank in range(size)]
    assert [share.stop - share.start for share in shares] == counts
    covered = [row for share in shares for row in range(units)[share.rows]]
    assert covered == list(range(units))
    assert sum(share.weight for share in shares) == pytest.approx(1)


def test_what_belongs_together_is_never_parted() -> None:
    assert [Group(rank, 2).share(5, rows_of_a_unit=8) for rank in (0, 1)] == [
        Share(40, 0, 24, (24, 16)),
        Share(40, 24, 40, (24, 16)),
    ]


def test_only_one_is_the_first() -> None:
    assert [Group(rank, 3).is_first for rank in range(3)] == [True, False, False]


def test_rows_come_together_in_order_however_many_each_has() -> None:
    whole = torch.arange(10).reshape(5, 2)
    found = together(2, lambda group: group.rows_of_all(whole[(share := group.share(5)).rows], share))
    assert all(torch.equal(rows, whole) for rows in found)


def test_the_gradient_of_gathered_rows_is_that_of_all_that_use_them() -> None:
    rows = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = rows.clone().requires_grad_()
    (wanted @ wanted.T).square().sum().backward()

    def work(group: Group) -> torch.Tensor:
        own = rows[(share := group.share(5)).rows].clone().requires_grad_()
        gathered = group.rows_of_all(own, share)
        # The rows of the product that are its own.
        (gathered[share.rows] @ gathered.T).square().sum().backward()
        assert own.grad is not None
        return own.grad

    found = torch.cat(together(2, work))
    assert wanted.grad is not None
    torch.testing.assert_close(found, wanted.grad)
