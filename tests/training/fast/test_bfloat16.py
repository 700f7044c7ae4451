"""bfloat16 in numba against torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tune_lpc.training.fast.bfloat16 import narrow, widen
from tune_lpc.training.fast.compiling import compiled

EXACT: frozenset[str] = frozenset()


def _narrowed(values: Any, bits: Any) -> None:
    narrow(values, bits)


def _widened(bits: Any, values: Any) -> None:
    widen(bits, values)


def _all_halves() -> Tensor:
    """Each value that bfloat16 has, NaN included."""
    return torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)


def test_each_value_is_widened_as_torch_does() -> None:
    halves = _all_halves()
    values = np.empty(len(halves), np.float32)
    compiled(_widened, "void(uint16[::1], float32[::1])", EXACT)(halves.view(torch.int16).numpy().view("u2"), values)
    torch.testing.assert_close(torch.from_numpy(values), halves.float(), rtol=0, atol=0, equal_nan=True)


def test_values_are_narrowed_as_torch_does() -> None:
    exact = _all_halves().float()
    words = exact.view(torch.int32)
    # Of what lies between two values: next to the lower, next to the middle on both sides, the middle, and the last.
    between = torch.tensor([0x0, 0x1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], dtype=torch.int32)
    values = (words[:, None] + between).view(torch.float32)
    bits = np.empty(values.shape, np.uint16)
    compiled(_narrowed, "void(float32[:,::1], uint16[:,::1])", EXACT)(values.numpy(), bits)
    found = torch.from_numpy(bits.view("i2")).view(torch.bfloat16)
    torch.testing.assert_close(found, values.bfloat16(), rtol=0, atol=0, equal_nan=True)
