"""H0 deaths: the device's kernel beside the CPU's, and its speed beside other ways."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.gpu.running import Bench, NotMeasuredError, WrongError, in_one_line
from tune_lpc.training.persistence import h0_deaths, warm_up

SIZES = ((8, 16, 128), (10, 100, 64), (4, 256, 128), (1, 1024, 128))
"""Groups, points, dimensions, as in benchmarks/h0.py."""
ALLOWED = 1e-4
INTERPRETED = """
import torch
from tune_lpc.training.persistence import cuda, h0_deaths
gap = 0.0
for metric in ("l2", "l1"):
    z = torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(0))
    z[:, 3] = z[:, 0]
    z.requires_grad_()
    plain = h0_deaths(z, metric, "auto")
    plain.sum().backward()
    deaths, ends = cuda.forward(z.detach(), metric)
    gradient = cuda.backward(torch.ones_like(deaths), z.detach(), deaths, ends, metric)
    gap = max(gap, float((deaths - plain).abs().max()), float((gradient - z.grad).abs().max()))
print(gap)
"""


def agreement(bench: Bench) -> None:
    """Deaths and gradients of the Triton kernel, and of the kernel for CPUs; in a rehearsal Triton interprets it."""
    if bench.small:
        gap, how = _interpreted(), "interpreted by Triton, two groups of 16"
    else:
        gap, how = max(_gap(size, metric, bench.device) for size in SIZES for metric in ("l2", "l1")), "four sizes"
    told = f"deaths and gradients up to {gap:.1e} apart ({how}, both metrics, with duplicates; {ALLOWED:g} allowed)"
    if not gap <= ALLOWED:
        raise WrongError(told)
    bench.tell("the Triton kernel of H0 beside the CPU's", f"right: {told}")


def _gap(size: tuple[int, int, int], metric: str, device: torch.device) -> float:
    """The largest difference, relative to the largest value."""
    found = []
    for where in (torch.device("cpu"), device):
        z = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(where)
        z[:, 3] = z[:, 0]
        z.requires_grad_()
        deaths = h0_deaths(z, metric)
        deaths.sum().backward()
        assert z.grad is not None
        found.append((deaths.detach().cpu(), z.grad.cpu()))
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(*found, strict=True))


def _interpreted() -> float:
    """In a process of its own, as Triton settles with its import whether it interprets."""
    try:
        import triton  # noqa: F401
    except ImportError as error:
        raise NotMeasuredError("Triton is not installed") from error
    root = Path(__file__).parents[2]
    kept = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join([str(root), *sys.path[1:]])}
    done = subprocess.run([sys.executable, "-c", INTERPRETED], env=kept, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or "no message").splitlines()[-1])
    return float(done.stdout)


def speed(bench: Bench) -> None:
    """Milliseconds of deaths with their gradient, ours beside plain torch and torchph, which take turns."""
    from benchmarks import h0  # not above: it sets the threads of other libraries by the environment

    clock, seconds = time.perf_counter, 0.05 if bench.small else 1.0
    ways: dict[str, h0.Deaths] = {h0.OURS: h0_deaths, h0.PLAIN: lambda z, metric: h0_deaths(z, metric, "plain")}
    with bench.guarded("torchph, which H0 is compared with"):
        _try_torchph(bench.device)
        ways["torchph"] = lambda z, metric: h0_deaths(z, metric, "torchph")
    for size in SIZES[: 2 if bench.small else None]:
        for metric in ("l2", "l1"):
            z = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(bench.device).requires_grad_()
            warm_up(size, metric, bench.device)
            times = dict(zip(ways, h0.medians(ways, z, metric, clock, seconds), strict=True))
            others = ", ".join(
                f"{name} {taken:.3g} ms ({taken / times[h0.OURS]:.1f} times)"
                for name, taken in times.items()
                if name != h0.OURS
            )
            shape = " x ".join(map(str, size))
            bench.tell(f"H0 deaths and gradient, {shape}, {metric.upper()}", f"{times[h0.OURS]:.3g} ms; {others}")


def _try_torchph(device: torch.device) -> None:
    """Raise NotMeasuredError where torchph is not installed, does not build, or does not run here."""
    try:
        h0_deaths(torch.randn(2, 8, 4, device=device), "l2", "torchph")
    except Exception as error:  # a compiler's, a driver's or ours: all mean the same
        raise NotMeasuredError(in_one_line(error)) from error
