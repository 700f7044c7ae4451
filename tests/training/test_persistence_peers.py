from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
import torch

from tune_lpc.plan.errors import UserError
from tune_lpc.training.persistence import h0_deaths, peers

METRICS = ("l2", "l1")


def _doubled(shape: tuple[int, int, int]) -> torch.Tensor:
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z[:, 3] = z[:, 0]
    return z


@pytest.mark.parametrize("backend", ["gudhi", "torchph"])
def test_a_missing_package_is_named_in_one_line(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(UserError, match=f"needs the package {backend}: ") as raised:
        h0_deaths(torch.zeros(1, 2, 3), backend=backend)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.skipif(importlib.util.find_spec("gudhi") is None, reason="gudhi is not installed")
@pytest.mark.parametrize("metric", METRICS)
def test_gudhi_gives_the_same_deaths_and_gradients(metric: str) -> None:
    found = []
    for backend in ("auto", "gudhi"):
        z = _doubled((3, 12, 5)).requires_grad_()
        deaths = h0_deaths(z, metric, backend)
        (deaths * torch.arange(11)).sum().backward()
        assert z.grad is not None
        found.append((deaths.detach(), z.grad))
    torch.testing.assert_close(found[0], found[1])
    assert h0_deaths(torch.zeros(2, 1, 3), metric, "gudhi").shape == (2, 0)


def test_torchph_takes_float32_on_gpus_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchph", ModuleType("torchph"))
    monkeypatch.setitem(sys.modules, "torchph.pershom", ModuleType("torchph.pershom"))
    with pytest.raises(ValueError, match="float64 on cpu, but torchph takes"):
        h0_deaths(_doubled((1, 5, 2)), backend="torchph")


def test_pairs_that_a_library_drops_come_back_as_zeros() -> None:
    z = torch.zeros(2, 4, 1)
    kept = [torch.tensor([2.0, 1.0]), torch.tensor([3.0, 5.0, 4.0])]
    assert peers.complete(kept, z).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert peers.complete([], z[:0]).shape == (0, 3)
