"""The Triton kernels, on the CPU: run by Triton's interpreter, and compiled for GPUs that are not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tune_lpc.training.persistence import h0_deaths

triton = pytest.importorskip("triton", reason="Triton is not installed; torch brings it on Linux with CUDA only")
ROOT = Path(__file__).parents[2]

INTERPRETED = """
import json, torch
from tune_lpc.training.persistence import cuda, h0_deaths

def close(one, other):
    torch.testing.assert_close(one, other, equal_nan=True)

singles, doubles = ((3, 2, 5), (2, 16, 128), (2, 9, 200)), ((2, 1, 3), (2, 33, 6))
for dtype, shapes in ((torch.float32, singles), (torch.float64, doubles)):
    for shape in shapes:
        for metric in ("l2", "l1"):
            z = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
            z[0, -1] = z[0, 0]
            z.requires_grad_()
            plain = h0_deaths(z, metric, "plain")
            slopes = torch.rand(plain.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
            (plain * slopes).sum().backward()
            deaths, ends = cuda.forward(z.detach(), metric)
            close(deaths, plain.detach())
            close(cuda.backward(slopes, z.detach(), deaths, ends, metric), z.grad)
found = {}
for value in (float("nan"), float("inf"), 3e38):
    for metric in ("l2", "l1"):
        z = torch.tensor([[[0.0, 0.0], [value, -value], [1.0, 0.0], [2.0, 0.0]]])
        found[f"{value} {metric}"] = str(cuda.forward(z, metric)[0][0].tolist())
print(json.dumps(found))
"""

COMPILED = """
import torch, triton
from triton.backends.compiler import GPUTarget
from tune_lpc.training.persistence import cuda

def compiled(kernel, arguments, constants, warps):
    signature = arguments | dict.fromkeys(constants, "constexpr")
    source = triton.compiler.ASTSource(kernel, signature=signature, constexprs=constants)
    return triton.compile(source, target=GPUTarget("cuda", 80, 32), options={"num_warps": warps}).asm["ptx"]

for kind, dtype, euclidean in (("fp32", torch.float32, True), ("fp64", torch.float64, False)):
    array, whole = "*" + kind, {"points": "i32", "dim": "i32"}
    constants = {"largest": torch.finfo(dtype).max, "euclidean": euclidean, "rows": 128, "columns": 64}
    arrays = {"z": array, "lengths": array, "parents": "*i32"}
    assert ".entry _spanning_trees" in compiled(cuda._spanning_trees, arrays | whole, constants, 8)
    arrays = {"z": array, "deaths": array, "ends": "*i32", "slopes": array, "gradient": array}
    constants = {"euclidean": euclidean, "columns": 128}
    assert ".entry _pull_edges" in compiled(cuda._pull_edges, arrays | whole, constants, 4)
"""


def _run(code: str, folder: Path, **environment: str) -> str:
    """What a new process prints: whether Triton interprets is settled when it is imported."""
    kept = {**os.environ, "TRITON_CACHE_DIR": str(folder), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=kept, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_interpreted_kernels_agree_with_plain_torch(tmp_path: Path) -> None:
    found = json.loads(_run(INTERPRETED, tmp_path, TRITON_INTERPRET="1"))
    assert len(found) == 6
    for deaths in found.values():
        # What can't be reached comes last; the two whole steps between the other points are there.
        assert deaths.startswith("[1.0, 1.0, ") and ("inf" in deaths or "nan" in deaths)


@pytest.mark.slow
def test_the_kernels_compile_for_a_gpu(tmp_path: Path) -> None:
    _run(COMPILED, tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("metric", ["l2", "l1"])
@pytest.mark.parametrize("shape", [(8, 16, 128), (10, 100, 64), (2, 1024, 128), (1, 4097, 3)])
def test_a_gpu_gives_what_the_cpu_gives(shape: tuple[int, int, int], metric: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        z = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
        z[:, 3] = z[:, 0]
        z.requires_grad_()
        deaths = h0_deaths(z, metric)
        deaths.sum().backward()
        assert z.grad is not None
        found.append((deaths.detach().cpu(), z.grad.cpu()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_is_never_waited_for() -> None:
    z = torch.randn(8, 16, 128, device="cuda", requires_grad=True)
    h0_deaths(z).sum().backward()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        h0_deaths(z).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode(before)
