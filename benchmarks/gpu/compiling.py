"""What torch.compile and CUDA graphs gain."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from benchmarks.gpu.running import Bench, NotMeasuredError
from benchmarks.gpu.trainings import CIFAR_IMAGES, ENDLESS, RESNET, SIDES, SMALL_CNN, images_per_second, on_noise
from tune_lpc.plan import TrialSpec
from tune_lpc.plan.settings import Value
from tune_lpc.training.models import build_network

MODES = ("default", "reduce-overhead", "max-autotune")
LONGEST_START = {"default": 45.0, "reduce-overhead": 45.0, "max-autotune": 150.0}
"""Seconds that must be left before a mode is tried: it can't be broken off while it compiles."""
BATCH = 128


def compiled(bench: Bench) -> None:
    """Training steps of a search, with each mode and without."""
    cases: list[dict[str, Value]] = [RESNET, SMALL_CNN]
    if bench.small:
        cases, modes = [{"network": "mlp"}], MODES[:1]  # the small CNN takes half a minute to start on a CPU
    else:
        modes = MODES
    seconds, images = (0.3, 4 * BATCH) if bench.small else (3.0, CIFAR_IMAGES)
    plain: dict[str, float] = {}
    for mode in ("off", *modes):  # of both networks, before the next one, which takes longer to start
        for values in cases:
            name = str(values["network"])
            what = f"{name}, compile {mode}"
            if not bench.small and bench.left < LONGEST_START.get(mode, 0.0):
                bench.tell(what, f"left out: {max(0.0, bench.left):.0f} s are left")
                continue
            with bench.guarded(what):
                settings = {**values, "batch_size": BATCH, "epochs": ENDLESS, "compile": mode}
                training = on_noise(bench, settings, images)
                start = time.perf_counter()
                training.train_on([next(training.batches(1))], 1)
                began = time.perf_counter() - start
                speed = images_per_second(bench, training, seconds)
                times = (
                    f", {speed / plain[name]:.2f} times; the first step takes {began:.0f} s" if name in plain else ""
                )
                bench.tell(what, f"{speed:,.0f} images/s{times}")
                if mode == "off":
                    plain[name] = speed


def graphs(bench: Bench) -> None:
    """A whole step of cross-entropy, recorded once and played again, beside the same step as torch runs it.

    Without the parts of our loss: it shows what starting kernels one by one costs at most.
    """
    if bench.device.type != "cuda":
        raise NotMeasuredError("CUDA graphs need a GPU")
    for values in (SMALL_CNN, RESNET):
        what = f"{values['network']}, batch {BATCH}, a step as a CUDA graph"
        with bench.guarded(what):
            step = _step(bench, values)
            stream = torch.cuda.Stream(bench.device)
            stream.wait_stream(torch.cuda.current_stream(bench.device))
            with torch.cuda.stream(stream):
                for _ in range(5):
                    step()
            torch.cuda.current_stream(bench.device).wait_stream(stream)
            eager = _speed(bench, step)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            recorded = _speed(bench, graph.replay)
            bench.tell(what, f"{recorded:,.0f} images/s, {recorded / eager:.2f} times the {eager:,.0f} without")


def _step(bench: Bench, values: dict[str, Value]) -> Callable[[], None]:
    """A step on one batch that stays where it is."""
    side, channels = SIDES[str(values["network"])]
    network = build_network(TrialSpec.build(values), 10, channels, side)
    network = network.to(bench.device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=True, capturable=True)
    images = torch.randn(BATCH, channels, side, side, device=bench.device).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH, device=bench.device) % 10

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):  # a cast that is kept can't be recorded
            output = network(images)
        cross_entropy(output.logits, labels).backward()
        optimizer.step()

    return step


def _speed(bench: Bench, step: Callable[[], object]) -> float:
    """Images a second over 200 steps."""
    step()
    bench.wait()
    start = time.perf_counter()
    for _ in range(200):
        step()
    bench.wait()
    return 200 * BATCH / (time.perf_counter() - start)
