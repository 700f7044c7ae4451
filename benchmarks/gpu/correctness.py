"""What must be right on a device: precision, memory format, resuming, measures."""

from __future__ import annotations

import copy
import io
import math

import torch

from benchmarks.gpu.running import Bench, WrongError
from benchmarks.gpu.trainings import RESNET, SMALL_CNN, digits, noise, on_noise, pictured
from tune_lpc.plan import TrialSpec
from tune_lpc.plan.record import EpochRecord
from tune_lpc.plan.settings import Value
from tune_lpc.training.device import exact_arithmetic
from tune_lpc.training.loop import Training
from tune_lpc.training.measures import MEASURES, compute_measures
from tune_lpc.training.prepare import start_training

FULL_RAMP: dict[str, Value] = {
    "epochs": 20,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "gamma_ramp": "two_regime",
    "gamma_start": 1e-4,
    "gamma_end": 1e6,
    "gamma_ramp_length": 0.9,
    "topological_weight_schedule": "constant",
    "topological_weight": 0.01,
    "beta_schedule": "sliding",
    "beta": 1.0,
}
"""As in tests/training/test_precision.py, whose bounds hold here too."""
LEARNING = 6
"""Epochs in which the network still tells the classes apart; what follows is chaotic, and only so near."""
CLOSE, LATER = 0.01, {"train_penalty": 0.5, "train_topological": 0.02}
SAME_WAY = 1e-3
"""Of two ways of the same float32 arithmetic: outputs relative to the largest."""
DETERMINISTIC = {"benchmark": False, "deterministic": True}


def precision(bench: Bench) -> None:
    """The multilayer perceptron on digits, from no penalty to a gamma of 1e6, in both precisions."""
    prepared, records = digits(), {}
    for kind in ("float32", "bfloat16"):
        spec = TrialSpec.build({**FULL_RAMP, "dataset": "digits", "precision": kind})
        records[kind] = list(start_training(spec, prepared, bench.device).epochs())
        if len(records[kind]) < spec.epochs or records[kind][-1].diverged:
            raise WrongError(f"{kind} ended after {len(records[kind])} epochs: {records[kind][-1].diverged}")
    pairs = list(zip(records["float32"], records["bfloat16"], strict=True))
    early = max(_gap(one, other, name) for one, other in pairs[:LEARNING] for name in LATER)
    later = {name: max(_gap(one, other, name) for one, other in pairs[LEARNING:]) for name in LATER}
    full, low = (records[kind][LEARNING - 1].validation_accuracy for kind in ("float32", "bfloat16"))
    told = f"losses {early:.2%} apart while it learns ({CLOSE:.0%} allowed), accuracy {_shown(low)} and {_shown(full)}"
    told += "; later " + ", ".join(f"{name} {gap:.1%} ({LATER[name]:.0%})" for name, gap in later.items())
    accurate = full is not None and low is not None and abs(full - low) <= 0.03
    if early > CLOSE or not accurate or any(gap > LATER[name] for name, gap in later.items()):
        raise WrongError(told)
    bench.tell("bfloat16 beside float32, digits, whole ramp", f"right: {told}")


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _gap(one: EpochRecord, other: EpochRecord, name: str) -> float:
    """Relative difference of a value of two records."""
    expected, found = getattr(one, name), getattr(other, name)
    return math.inf if expected is None or found is None else abs(found - expected) / abs(expected)


def channels_last(bench: Bench) -> None:
    """ResNet-18 as it trains, and the same one contiguous: outputs and gradients in float32."""
    training = on_noise(bench, {**RESNET, "batch_size": 8}, 16)
    network = training.network.eval()
    pixels, _ = next(training.batches(1))
    if not pixels.is_contiguous(memory_format=torch.channels_last):
        raise WrongError("the batches of a training are not channels-last")
    if not network.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last):
        raise WrongError("the weights of a training are not channels-last")
    other = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    found = []
    with exact_arithmetic():
        for one, images in ((network, pixels), (other, pixels.contiguous())):
            one.zero_grad(set_to_none=True)
            output = one(images)
            output.logits.square().sum().backward()
            gradient = one.backbone.conv1.weight.grad
            found.append((output.logits.detach(), gradient.contiguous()))
    gaps = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(*found, strict=True)]
    told = f"logits {gaps[0]:.1e} apart, gradients {gaps[1]:.1e} (float32; {SAME_WAY:g} allowed)"
    if not all(gap <= SAME_WAY for gap in gaps):
        raise WrongError(told)
    bench.tell("channels-last beside contiguous, ResNet-18", f"right: {told}")


def resume(bench: Bench) -> None:
    """Three epochs of the small CNN with the topological loss, and the same with a checkpoint after the first."""
    values = {**SMALL_CNN, "epochs": 3}

    def begun() -> Training:
        return on_noise(bench, values, 256, made=pictured)

    with torch.backends.cudnn.flags(enabled=True, **DETERMINISTIC):
        whole = begun()
        expected = list(whole.epochs())
        first, second, buffer = begun(), begun(), io.BytesIO()
        next(first.epochs())
        torch.save(first.state(), buffer)
        buffer.seek(0)
        second.restore(torch.load(buffer, map_location="cpu", weights_only=True))
        found = list(second.epochs())
    if [record.epoch for record in found] != [2, 3]:
        raise WrongError(f"it went on with epochs {[record.epoch for record in found]}, not 2 and 3")
    losses = [(one.train_loss, other.train_loss) for one, other in zip(expected[1:], found, strict=True)]
    gap = max(_largest_gap(whole, second), *(abs(a - b) / abs(a) for a, b in losses if a is not None and b is not None))
    told = "equal bit for bit" if gap == 0 else f"weights and losses up to {gap:.1e} apart"
    if gap > SAME_WAY:
        raise WrongError(told)
    bench.tell("a resumed training beside one that was not", f"right: {told}")


def _largest_gap(one: Training, other: Training) -> float:
    """Of the weights, relative to the largest of each tensor."""
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    gaps = [(a - b).detach().abs().max() / a.detach().abs().max().clamp(min=1e-6) for a, b in pairs]
    return max(map(float, gaps))


def every_measure(bench: Bench) -> None:
    """All measures of a small network, after an epoch."""
    if bench.small:
        spec = TrialSpec.build({"network": "mlp", "epochs": 2, "batch_size": 32, "learning_rate": 3e-3})
        pixels, labels = noise(324, 8, 1)
        rows = torch.arange(324)
        training = Training(spec, pixels, labels, rows[:300], rows[300:], bench.device)
    else:
        training = on_noise(bench, {**SMALL_CNN, "epochs": 4}, 2000, 500, pictured)
    for _ in training.epochs():
        pass
    values, reasons = compute_measures(MEASURES, training.evaluated())
    broken = {name: why for name, why in reasons.items() if f"{name} failed" in why}
    for name, why in reasons.items():
        bench.tell(f"measure {name}", f"{'FAILED' if name in broken else 'has no value here'}: {why}")
    if broken:
        raise WrongError(f"{len(broken)} of {len(values)} failed: {', '.join(broken)}")
    bench.tell("every measure is computed", f"right: {len(values) - len(reasons)} of {len(values)} have a value")
