from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.golden import TOLERANCE, golden_arrays, golden_json
from tune_lpc.training.losses import point_collapse_penalty

EXPECTED = golden_json("expected.json")


@pytest.mark.parametrize("case", range(len(EXPECTED)))
def test_the_mean_square_agrees_with_the_golden_values(case: int) -> None:
    z = torch.from_numpy(golden_arrays(f"case{case}.npz")["x"][:64])
    assert float(point_collapse_penalty(z)) == pytest.approx(EXPECTED[case]["l2_penalty_mean_square"], rel=TOLERANCE)


def test_the_mean_is_over_batch_and_dimensions_and_the_sum_over_dimensions() -> None:
    z = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert float(point_collapse_penalty(z, "mean")) == 30 / 4
    assert float(point_collapse_penalty(z, "sum")) == 30 / 2


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 64), st.floats(1e-4, 1e6), st.integers(0, 2**31))
def test_both_conventions_give_one_loss_when_gamma_is_scaled_by_the_dimension(
    batch: int, dim: int, gamma: float, seed: int
) -> None:
    z = torch.randn(batch, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mean = gamma * point_collapse_penalty(z, "mean")
    torch.testing.assert_close(mean, gamma / dim * point_collapse_penalty(z, "sum"))


@pytest.mark.parametrize("convention", ["mean", "sum"])
def test_half_precision_is_lifted_so_that_squares_do_not_overflow(convention: str) -> None:
    z = torch.full((4, 8), 300.0, dtype=torch.float16)  # its square is beyond float16
    penalty = point_collapse_penalty(z, convention)
    assert penalty.dtype == torch.float32
    assert float(penalty) == {"mean": 9e4, "sum": 72e4}[convention]


def test_the_gradient_pulls_every_point_to_the_origin() -> None:
    z = torch.tensor([[1.0, -2.0], [3.0, 0.0]], requires_grad=True)
    point_collapse_penalty(z).backward()
    assert z.grad is not None
    torch.testing.assert_close(z.grad, 2 * z.detach() / 4)


def test_another_convention_is_an_error() -> None:
    with pytest.raises(ValueError, match="'median'"):
        point_collapse_penalty(torch.ones(2, 2), "median")
