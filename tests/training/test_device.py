from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest
import torch

from tune_lpc.plan import TrialSpec
from tune_lpc.training.device import (
    autocast_type,
    best_device,
    computes_in_bfloat16,
    gpus_here,
    keep_freed_memory,
    resolved_precision,
    use_threads,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def _type(device: torch.device, network: str = "small_cnn", precision: str = "auto") -> torch.dtype | None:
    return autocast_type(TrialSpec.build({"network": network, "precision": precision}), device)


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A CPU that computes in bfloat16, or not; the parameter says which instructions it has."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: request.param == "amx")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: request.param == "avx512")


@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_precision_that_is_asked_for_is_taken(device: torch.device) -> None:
    assert _type(device, precision="bfloat16") is torch.bfloat16
    assert _type(device, precision="float32") is None


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("processor", ["amx", "avx512"], indirect=True)
def test_auto_takes_bfloat16_on_a_cpu_that_computes_in_it_but_not_for_the_mlp() -> None:
    assert computes_in_bfloat16(CPU)
    assert _type(CPU) is torch.bfloat16
    assert _type(CPU, "mlp") is None


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("processor", ["neither"], indirect=True)
def test_auto_takes_float32_on_another_cpu() -> None:
    assert not computes_in_bfloat16(CPU)
    assert _type(CPU) is None


@pytest.mark.parametrize("capable", [True, False])
def test_auto_takes_bfloat16_on_a_gpu_that_computes_in_it(capable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: capable)
    assert computes_in_bfloat16(GPU) == capable
    assert _type(GPU) is (torch.bfloat16 if capable else None)
    assert _type(GPU, "mlp") is None


@pytest.mark.parametrize("network", ["mlp", "small_cnn", "resnet18"])
@pytest.mark.parametrize("capable", [True, False])
def test_precision_is_resolved_from_what_the_hardware_computes_in_alone(
    network: str, capable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The driver asks, which may have another processor than the workers and no GPU.
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: not capable)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: not capable)
    expected = "bfloat16" if capable and network != "mlp" else "float32"
    assert resolved_precision("auto", network, capable) == expected
    for asked in ("float32", "bfloat16"):
        assert resolved_precision(asked, network, capable) == asked


@pytest.mark.parametrize(("available", "kind"), [(True, "cuda"), (False, "cpu")])
def test_the_best_device_is_a_gpu_when_there_is_one(
    available: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert best_device().type == kind


def test_gpus_are_those_that_torch_sees() -> None:
    assert gpus_here() == torch.cuda.device_count()


def test_threads_are_set_for_the_process() -> None:
    before = torch.get_num_threads()
    try:
        use_threads(2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


FAULTS_OF_NEW_TENSORS = """
import resource, torch
from tune_lpc.training.device import keep_freed_memory
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
if {keep}:
    keep_freed_memory()
for i in range(12):
    before = faults()
    torch.ones(40 << 20, dtype=torch.uint8)
print(faults() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_memory_once_freed_is_at_hand_for_the_next_tensor() -> None:
    found = {}
    for keep in (False, True):
        code = FAULTS_OF_NEW_TENSORS.format(keep=keep)
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found[keep] = int(run.stdout)
    assert found[True] < 100
    assert found[False] > 1000  # else this test shows nothing: 10,240 pages of 4 KiB


def test_without_glibc_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()
