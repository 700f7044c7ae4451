"""Training with the kernels for CPUs, and with them taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import trainings
from tune_lpc.training import fast_path
from tune_lpc.training.persistence import h0_deaths

ROOT = Path(__file__).parents[2]
LOSSES = ("train_loss", "train_classification", "train_topological", "validation_loss", "mean_norm")
WITHOUT = """
import runpy, sys
sys.modules[{module!r}] = None  # what importing it meets where it is not there
sys.argv[1:] = [{path!r}]
runpy.run_module("tests.training.trainings", run_name="__main__")
assert not any(name.partition(".")[0] == "numba" for name, module in sys.modules.items() if module), "numba was loaded"
"""

pytestmark = pytest.mark.skipif(not fast_path.AVAILABLE, reason="the kernels are not here to compare with")


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """What the trainings give with the kernels."""
    return {case: trainings.results(case) for case in trainings.CASES}


@pytest.fixture(scope="module", params=["tune_lpc.training.fast", "numba"])
def taken_away(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same from a process that can't import the folder of the kernels, or numba."""
    path = tmp_path_factory.mktemp("without") / "results.pt"
    code = WITHOUT.format(module=request.param, path=str(path))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = torch.load(path, weights_only=True)
    return found


@pytest.mark.parametrize("case", trainings.CASES)
def test_without_the_kernels_training_begins_alike_and_gives_the_same_numbers(
    case: str, kept: dict[str, Any], taken_away: dict[str, Any]
) -> None:
    ours, plain = kept[case], taken_away[case]
    assert ours["available"] and not plain["available"]
    assert any("training.fast" in kind for kind in ours["kinds"])
    assert not any("training.fast" in kind for kind in plain["kinds"])
    assert list(ours["before"]) == list(plain["before"])
    assert all(torch.equal(value, plain["before"][name]) for name, value in ours["before"].items())
    assert len(ours["records"]) == len(plain["records"]) > 0
    for one, other in zip(ours["records"], plain["records"], strict=True):
        for name in LOSSES:
            assert one[name] == pytest.approx(other[name], rel=1e-4), name
    torch.testing.assert_close(ours["state"]["network"], plain["state"]["network"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", trainings.CASES)
def test_a_checkpoint_goes_on_where_the_kernels_are_and_where_they_are_not(
    case: str, kept: dict[str, Any], taken_away: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kernels = trainings.training(case)
    monkeypatch.setattr(fast_path, "AVAILABLE", False)
    without = trainings.training(case)
    for to, found in ((with_kernels, taken_away), (without, kept)):
        to.restore(found[case]["state"])
        restored = to.state()["network"]
        assert all(torch.equal(value, restored[name]) for name, value in found[case]["state"]["network"].items())


def test_deaths_on_cpus_are_plain_torchs_without_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    expected = h0_deaths(z)
    monkeypatch.setattr(fast_path, "AVAILABLE", False)
    found = h0_deaths(z)
    assert "Deaths" in type(expected.grad_fn).__name__ and "Deaths" not in type(found.grad_fn).__name__
    torch.testing.assert_close(found, expected)
