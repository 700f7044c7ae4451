"""ResNet-18: images a second beside the plain loop of benchmarks/step.py, and the share of what the device can do."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.running import Bench
from benchmarks.gpu.trainings import CIFAR_IMAGES, ENDLESS, RESNET, images_per_second, noise, on_noise
from tune_lpc.plan import TrialSpec
from tune_lpc.plan.resources import cpus_here
from tune_lpc.training.device import autocast_type
from tune_lpc.training.models import build_network

SIDE = 32
MOST_WORKERS = 8
"""Processes of the plain loop's DataLoader, as far as there are CPUs."""


def resnet18(bench: Bench) -> None:
    """Each batch size by turns: ours, then the plain loop, then the roof."""
    seconds = 0.5 if bench.small else 6.0
    kind = autocast_type(TrialSpec.build(RESNET), bench.device) or torch.float32
    roof = _product_speed(bench, kind)
    bench.tell(f"the fastest product of large matrices here, {str(kind)[6:]}", f"{roof / 1e12:.3g} TFLOP/s")
    flops = _flops_an_image()
    bench.tell("ResNet-18, an image forward and backward", f"{flops / 1e9:.2f} GFLOP (counted by torch)")
    for batch in (8, 16) if bench.small else (128, 1024):
        what = f"ResNet-18, batch {batch}"
        with bench.guarded(what):
            training = on_noise(
                bench, {**RESNET, "batch_size": batch, "epochs": ENDLESS}, 4 * batch if bench.small else CIFAR_IMAGES
            )
            ours = images_per_second(bench, training, seconds)
            share = flops * ours / roof
            bench.tell(what, f"{ours:,.0f} images/s, {share:.1%} of the roof of matrix products")
        with bench.guarded(f"{what}, plain loop"):
            plain, workers = _plain_speed(bench, batch, seconds)
            told = (
                f"{plain:,.0f} images/s (DataLoader with {workers} processes, float32); ours {ours / plain:.1f} times"
            )
            bench.tell(f"{what}, plain loop", told)


def _product_speed(bench: Bench, kind: torch.dtype) -> float:
    """Floating-point operations a second of the best of some products of square matrices, seen here."""
    size = 512 if bench.small else 8192
    one = torch.randn(size, size, device=bench.device, dtype=kind)
    other, best = torch.randn(size, size, device=bench.device, dtype=kind), 0.0
    for _ in range(3):  # the first is slower
        bench.wait()
        start = time.perf_counter()
        for _ in range(8):
            one @ other
        bench.wait()
        best = max(best, 8 * 2 * size**3 / (time.perf_counter() - start))
    return best


def _flops_an_image() -> float:
    """Of a step of ResNet-18, counted on the CPU: convolutions and products alone."""
    network = build_network(TrialSpec.build(RESNET), 10, 3, SIDE)
    images = torch.randn(2, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as counted:
        network(images).logits.sum().backward()
    return float(counted.get_total_flops()) / len(images)


def _plain_speed(bench: Bench, batch: int, seconds: float) -> tuple[float, int]:
    """Images a second of the plain loop, and the processes that read its images."""
    from benchmarks import step  # not above: it needs scipy, pillow and torchvision's transforms

    workers = 0 if bench.small else min(MOST_WORKERS, cpus_here())
    pixels, labels = noise(4 * batch if bench.small else CIFAR_IMAGES, SIDE, 3)
    spec = TrialSpec.build({**RESNET, "batch_size": batch})
    steps = step.plain_loop("resnet18", spec, pixels, labels, bench.device, workers)
    for _ in range(2 if bench.small else 10):
        next(steps)
    done, start = 0, time.perf_counter()
    while done < 2 or time.perf_counter() - start < seconds:
        next(steps)  # which waits for the device, as it reads the loss
        done += 1
    speed = done * batch / (time.perf_counter() - start)
    steps.close()  # type: ignore[attr-defined]
    return speed, workers
