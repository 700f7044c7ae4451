"""The reference implementations of the deaths, and the setting that chooses them."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.errors import UserError
from tune_lpc.training.loop import Training
from tune_lpc.training.losses import densification_loss
from tune_lpc.training.persistence import check_backend, h0_deaths, peers, warm_up

METRICS = ("l2", "l1")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
needs_gudhi = pytest.mark.skipif(importlib.util.find_spec("gudhi") is None, reason="gudhi is not installed")


def _doubled(shape: tuple[int, int, int]) -> torch.Tensor:
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z[:, 3] = z[:, 0]
    return z


def _records(backend: str, distance: str = "l2", epochs: int = 3) -> list[dict[str, Any]]:
    """Of a small training with the topological loss."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (96, 6, 6, 1), generator=random).to(torch.uint8)
    spec = TrialSpec.build(
        {
            "epochs": epochs,
            "topological_weight_schedule": "constant",
            "topological_weight": 0.1,
            "distance": distance,
            "persistence_backend": backend,
            "groups": 4,
            "group_size": 6,
            "penultimate_width": 8,
        }
    )
    rows = torch.arange(96)
    return [record.as_dict() for record in Training(spec, images, rows % 3, rows[:80], rows[80:]).epochs()]


def _pretend(monkeypatch: pytest.MonkeyPatch, **functions: Any) -> None:
    """A torchph that can be imported."""
    package, module = ModuleType("torchph"), ModuleType("torchph.pershom")
    package.__spec__ = importlib.util.spec_from_loader("torchph", None)
    for name, function in functions.items():
        setattr(module, name, function)
    monkeypatch.setitem(sys.modules, "torchph", package)
    monkeypatch.setitem(sys.modules, "torchph.pershom", module)


@needs_gudhi
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


@needs_gudhi
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_what_is_not_finite_shows_in_the_deaths_of_gudhi(value: float, metric: str) -> None:
    z = torch.tensor([[[0.0, 0.0], [value, -value], [1.0, 0.0], [2.0, 0.0]]])
    torch.testing.assert_close(h0_deaths(z, metric, "gudhi"), h0_deaths(z, metric, "plain"), equal_nan=True)


@needs_gudhi
@pytest.mark.parametrize("metric", METRICS)
def test_a_training_has_the_same_losses_with_every_backend(metric: str) -> None:
    ours = _records("auto", metric)
    assert all(record["train_topological"] > 0 for record in ours)
    for backend in ("plain", "gudhi"):
        for one, other in zip(ours, _records(backend, metric), strict=True):
            for name in ("train_loss", "train_topological", "validation_loss"):
                assert other[name] == pytest.approx(one[name], rel=1e-4), (backend, name)


def test_the_backend_of_a_trial_is_the_one_that_computes_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(
        "tune_lpc.training.persistence.deaths.gudhi_deaths", lambda z, _: called.append(z) or z[:, 1:, 0]
    )
    _records("auto", epochs=1)
    assert not called
    _records("gudhi", epochs=1)
    assert len(called) > 1  # each step, not the warming up alone
    assert float(densification_loss(torch.ones(1, 3, 2), 0.0, "l2", "gudhi")) == 2


@pytest.mark.parametrize("name", ["gudhi", "torchph"])
@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_missing_package_is_named_in_one_line(
    name: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        UserError, match=f"persistence_backend is '{name}', which needs the package {name}, .*=auto"
    ) as told:
        check_backend(name, device)
    assert len(str(told.value).splitlines()) == 1
    assert ("GPUs alone" in str(told.value)) == (name == "torchph" and device == CPU)


@pytest.mark.parametrize("name", ["gudhi", "torchph"])
def test_deaths_by_a_missing_package_are_the_users_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    for ask in (lambda: h0_deaths(torch.zeros(1, 2, 3), backend=name), lambda: warm_up((1, 2, 3), backend=name)):
        with pytest.raises(UserError, match=f"needs the package {name}"):
            ask()


def test_torchph_without_a_gpu_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch)
    for ask in (lambda: check_backend("torchph", CPU), lambda: h0_deaths(torch.zeros(1, 2, 3), backend="torchph")):
        with pytest.raises(
            UserError, match=r"'torchph', which computes on GPUs alone \(.* on the cpu\); .*=auto"
        ) as told:
            ask()
        assert len(str(told.value).splitlines()) == 1
    check_backend("torchph", GPU)


@pytest.mark.parametrize("error", [ImportError, RuntimeError, OSError])
def test_a_package_that_fails_to_be_imported_is_the_users_error(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch)

    def fail(module: str) -> ModuleType:
        raise error("no compiler\nmore of the message")

    monkeypatch.setattr("tune_lpc.training.persistence.backends.importlib.import_module", fail)
    with pytest.raises(UserError, match=r"importing torchph.pershom failed here: no compiler \(clone") as told:
        check_backend("torchph", GPU)
    assert len(str(told.value).splitlines()) == 1


def test_our_own_backends_are_good_everywhere_and_an_unknown_one_nowhere() -> None:
    for device in (CPU, GPU):
        check_backend("auto", device)
        check_backend("plain", device)
        with pytest.raises(ValueError, match="'ripser'"):
            check_backend("ripser", device)


def test_torchph_is_asked_for_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "check_backend", lambda *_: None)
    with pytest.raises(ValueError, match="float64, but torchph takes"):
        peers.torchph_deaths(_doubled((1, 5, 2)), "l2")


@pytest.mark.parametrize("metric", METRICS)
def test_the_deaths_of_torchph_are_completed_and_what_is_not_finite_shows(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torchph answers barcodes by dimension, of each births and deaths, and leaves out those that die at once.
    answer = [[torch.tensor([[0.0, 2.0], [0.0, 1.0]])]]
    _pretend(monkeypatch, vr_persistence=lambda *_: answer, vr_persistence_l1=lambda *_: answer)
    monkeypatch.setattr(peers, "check_backend", lambda *_: None)
    z = torch.zeros(2, 4, 3)
    z[1, 2, 1] = torch.nan
    found = peers.torchph_deaths(z, metric)
    assert found[0].tolist() == [0, 1, 2]
    assert bool(found[1].isnan().all())


def test_pairs_that_a_library_drops_come_back_as_zeros() -> None:
    z = torch.zeros(2, 4, 1)
    kept = [torch.tensor([2.0, 1.0]), torch.tensor([3.0, 5.0, 4.0])]
    assert peers.complete(kept, z).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert peers.complete([], z[:0]).shape == (0, 3)
