"""The training loop: one network from its description, one record an epoch. No Ray inside."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tune_lpc.spec.record import EpochRecord
from tune_lpc.spec.schedules import (
    BETA_SCHEDULES,
    WEIGHT_SCHEDULES,
    GammaRamp,
    learning_rate,
    progress,
)
from tune_lpc.spec.trial import TrialSpec
from tune_lpc.training.data.batches import BatchStream, Images
from tune_lpc.training.device import autocast_type
from tune_lpc.training.losses import densification_loss, point_collapse_penalty
from tune_lpc.training.metrics import MeasureError, mean_norm, nc1
from tune_lpc.training.models import build_network

EVALUATION_BATCH = 512


@dataclass(frozen=True)
class Strengths:
    """What the schedules say for one epoch."""

    learning_rate: float
    gamma: float
    topological_weight: float
    beta: float | None

    @classmethod
    def at(cls, spec: TrialSpec, epoch: int) -> Strengths:
        """The strengths with which `epoch` (from 1) trains."""
        t = progress(epoch, spec.epochs)
        gamma = weight = 0.0
        beta = None
        if spec.gamma_ramp != "off":
            assert spec.gamma_start is not None and spec.gamma_end is not None
            assert spec.gamma_ramp_begin is not None and spec.gamma_ramp_length is not None
            ramp = GammaRamp(
                spec.gamma_ramp, spec.gamma_start, spec.gamma_end, spec.gamma_ramp_begin, spec.gamma_ramp_length
            )
            gamma = ramp(t)
        if spec.topological:
            assert spec.topological_weight is not None and spec.beta is not None and spec.beta_schedule is not None
            weight = spec.topological_weight * WEIGHT_SCHEDULES[spec.topological_weight_schedule](t)
            beta = spec.beta * BETA_SCHEDULES[spec.beta_schedule](t)
        rate = learning_rate(t, spec.learning_rate, spec.learning_rate_end, spec.learning_rate_hold)
        return cls(rate, gamma, weight, beta)


class Training:
    """The training of one network.

    images: (n, height, width, channels) uint8. labels: (n,) whole numbers from 0. train, validation: row numbers.
    Everything random is a function of the seed and the epoch, so a restored run goes on with the numbers of one that
    was not interrupted.
    """

    def __init__(
        self,
        spec: TrialSpec,
        images: Tensor,
        labels: Tensor,
        train: Tensor,
        validation: Tensor,
        device: torch.device | str = "cpu",
    ) -> None:
        self.spec = spec
        self.device = torch.device(device)
        self.epochs_done = 0
        self._training = Images(images, labels, train, self.device)
        self._validation = Images(images, labels, validation, self.device)
        self._stream = BatchStream(self._training, spec)
        classes, side, channels = int(labels.max()) + 1, images.shape[1], images.shape[3]
        with torch.random.fork_rng(devices=self._own_devices()):
            torch.manual_seed(spec.seed)
            network = build_network(spec, classes, channels, side)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self._optimizer = _build_optimizer(spec, self.network)
        self._autocast = autocast_type(spec, self.device)

    def epochs(self) -> Iterator[EpochRecord]:
        """Train the epochs that remain, yielding the record of each; ends early when training has diverged."""
        while self.epochs_done < self.spec.epochs:
            record = self._run_epoch(self.epochs_done + 1)
            self.epochs_done = record.epoch
            yield record
            if record.diverged:
                return

    def save(self, path: Path) -> None:
        """Write the state after the last whole epoch to `path`."""
        state = {
            "epochs_done": self.epochs_done,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(state, path)

    def restore(self, path: Path) -> None:
        """Go on from the state in `path`, which must come from the same description; nothing is unpickled."""
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.epochs_done = state["epochs_done"]

    def _run_epoch(self, epoch: int) -> EpochRecord:
        start = time.perf_counter()
        strengths = Strengths.at(self.spec, epoch)
        with torch.random.fork_rng(devices=self._own_devices()):
            # Dropout draws from torch's global state; order and augmentation from a generator of their own.
            torch.manual_seed(_epoch_seed(self.spec.seed, epoch))
            trained = self._train(strengths, torch.Generator().manual_seed(_epoch_seed(self.spec.seed, epoch)))
        train_seconds = time.perf_counter() - start
        validated = self._validate()
        diverged = _divergence({**trained, **validated}, epoch)
        measured = {name: _finite_or_none(value) for name, value in {**trained, **validated}.items()}
        images = measured.pop("images")
        assert images is not None
        return EpochRecord(
            epoch=epoch,
            gamma=strengths.gamma,
            beta=strengths.beta,
            topological_weight=strengths.topological_weight,
            learning_rate=strengths.learning_rate,
            images_per_second=images / train_seconds,
            seconds=time.perf_counter() - start,
            diverged=diverged,
            **measured,
        )

    def _train(self, strengths: Strengths, generator: torch.Generator) -> dict[str, float]:
        spec = self.spec
        self.network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = strengths.learning_rate
        # Sums stay on the device and are read once, so that no step waits for the one before.
        sums = torch.zeros(5, dtype=torch.float64, device=self.device)
        steps = images = 0
        for batch, labels in self._stream.epoch(generator):
            with torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None):
                logits, z = self.network(batch)
            fit = cross_entropy(logits, labels)
            loss, penalty, topological = fit, torch.zeros_like(fit), torch.zeros_like(fit)
            if strengths.gamma:
                assert spec.penalty_convention is not None
                penalty = strengths.gamma * point_collapse_penalty(z, spec.penalty_convention)
                loss = loss + penalty
            if strengths.beta is not None and strengths.topological_weight:
                groups = z.unflatten(0, (-1, spec.group_size))
                distance = densification_loss(groups, strengths.beta, spec.distance)  # type: ignore[arg-type]
                topological = strengths.topological_weight * distance
                loss = loss + topological
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
            right = (logits.detach().argmax(dim=1) == labels).sum()
            sums += torch.stack([loss.detach(), fit.detach(), penalty.detach(), topological.detach(), right]).double()
            steps += 1
            images += len(labels)
        loss_sum, fit_sum, penalty_sum, topological_sum, right_sum = sums.tolist()
        return {
            "train_loss": loss_sum / steps,
            "train_cross_entropy": fit_sum / steps,
            "train_penalty": penalty_sum / steps,
            "train_topological": topological_sum / steps,
            "train_accuracy": right_sum / images if math.isfinite(loss_sum) else math.nan,
            "images": images,
        }

    @torch.inference_mode()
    def represent(self, images: Images) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (n, classes), representations z (n, penultimate_width) and labels (n,) of `images`, not augmented."""
        self.network.eval()
        logits, representations = [], []
        for batch, _ in self._stream.in_order(images, EVALUATION_BATCH):
            with torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None):
                batch_logits, z = self.network(batch)
            logits.append(batch_logits)
            representations.append(z)
        return torch.cat(logits), torch.cat(representations), images.labels.to(self.device)

    def _validate(self) -> dict[str, float]:
        scores, z, labels = self.represent(self._validation)
        known = bool(torch.isfinite(scores).all())
        return {
            "validation_loss": float(cross_entropy(scores, labels)),
            # The largest of several NaN is an arbitrary class, so the accuracy of such a network does not exist.
            "validation_accuracy": float((scores.argmax(dim=1) == labels).double().mean()) if known else math.nan,
            "mean_norm": _measured(lambda: mean_norm(z)),
            "nc1": _measured(lambda: nc1(z, labels)),
        }

    def _own_devices(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []


def _build_optimizer(spec: TrialSpec, network: torch.nn.Module) -> torch.optim.Optimizer:
    if spec.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay)
    assert spec.momentum is not None and spec.nesterov is not None
    return torch.optim.SGD(
        network.parameters(),
        lr=spec.learning_rate,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        weight_decay=spec.weight_decay,
    )


def _epoch_seed(seed: int, epoch: int) -> int:
    """A seed for each epoch; the multiplier keeps the epochs of neighbouring seeds apart."""
    return seed * 1_000_003 + epoch


def _measured(measure: Any) -> float:
    try:
        return float(measure())
    except MeasureError:
        return math.nan  # becomes a null in the record


def _divergence(values: dict[str, float], epoch: int) -> str | None:
    """Why training can't go on, or None; only what a finite network always has counts."""
    for name in ("train_loss", "validation_loss"):
        if not math.isfinite(values[name]):
            return f"{name} became {values[name]} in epoch {epoch}"
    if not math.isfinite(values["validation_accuracy"]):
        return f"outputs on the validation images became infinite or not a number in epoch {epoch}"
    return None


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
