"""The training loop: one network from its description, one record an epoch. No Ray inside."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tune_lpc.plan.batching import GroupedBatches
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import NO_CODE, OWN, OwnCode
from tune_lpc.plan.record import EpochRecord
from tune_lpc.plan.schedules import progress
from tune_lpc.plan.strengths import Strengths
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.brought.functions import OwnAugmentation
from tune_lpc.training.brought.weights import normalisation_of_weights
from tune_lpc.training.data.batches import BatchStream, Images, select_rows
from tune_lpc.training.data.disk import DiskImages, DiskReader
from tune_lpc.training.device import autocast_type, keep_freed_memory
from tune_lpc.training.distributed.batches import share_of_batches
from tune_lpc.training.distributed.group import Group, Share
from tune_lpc.training.distributed.layers import synchronise, with_common_gradient
from tune_lpc.training.measures import Evaluated, MeasureError, mean_norm, nc1
from tune_lpc.training.models import Network, Output, build_network
from tune_lpc.training.models import warm_up as warm_up_network
from tune_lpc.training.objective import Loss, Objective
from tune_lpc.training.persistence import warm_up as warm_up_deaths

EVALUATION_PIXELS = {"cpu": 512 * 32 * 32, "cuda": 2048 * 32 * 32}
"""Pixels of one channel in a batch that is only evaluated: as many images as still add speed."""
ATTACKED_IMAGES = 1000
NOISE_SEEDS = 2**31
"""Added to the seeds of input noise, so that it is drawn from other numbers than the order of the same epoch.

Of a seed torch's generator on CPUs takes the lowest 32 bits alone, so it has to differ in those."""


class Training:
    """The training of one network.

    images: (n, height, width, channels) uint8, or what reads them from disk. labels: (n,) whole numbers from 0.
    train, validation: row numbers. code: of the user's own, where the spec names some.
    Everything random is a function of the seed and the epoch, so a restored run goes on with the numbers of one that
    was not interrupted.
    group: the processes that train the network together, each on its share of every batch; None for this one alone.
    All of them call the same methods in the same order, but for those that measure, save and tell.
    dtype: of all that is computed, but for what the trial has in bfloat16; float64, to compare ways to compute, is so
    throughout.
    """

    def __init__(
        self,
        spec: TrialSpec,
        images: Tensor | DiskReader,
        labels: Tensor,
        train: Tensor,
        validation: Tensor,
        device: torch.device | str = "cpu",
        code: OwnCode = NO_CODE,
        group: Group | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.spec = spec
        self._group, self._dtype = group, dtype
        self.device = torch.device(device)
        self.epochs_done = 0
        if self.device.type == "cpu":
            keep_freed_memory()
        self._training = select_rows(images, labels, train, self.device)
        self._validation = select_rows(images, labels, validation, self.device)
        self._share = share_of_batches(spec, len(self._training), group)
        classes, side, channels = int(labels.max()) + 1, images.shape[1], images.shape[3]
        own_augmentation = OwnAugmentation(spec.augmentation, code) if spec.augmentation in OWN else None
        normalisation = normalisation_of_weights(spec.network, channels) if spec.pretrained else None
        rows = slice(None) if group is None else self._share.rows
        self._stream = BatchStream(self._training, spec, own_augmentation, normalisation, dtype, rows)
        self._steps = spec.batches.steps(len(self._training))
        self._objective = Objective(spec, code, group, self._share)
        # Of this step and of the epoch's last one: many steps in a row have the same progress.
        self._strengths_at = functools.lru_cache(maxsize=2)(functools.partial(Strengths.at, spec))
        with torch.random.fork_rng(devices=self._own_devices()):
            torch.manual_seed(spec.seed)
            network = build_network(spec, classes, channels, side, code)
        if group is not None:
            synchronise(network, group, self._share)
        self.network = network.to(self.device, dtype).to(memory_format=torch.channels_last)
        # The network itself stays as it is, for its names in checkpoints and for measures.
        self._trained: Callable[[Tensor], Output] = self.network
        if group is not None:
            self._trained = with_common_gradient(self.network)
        elif spec.compile != "off":
            self._trained = _compiled(self.network, spec.compile)
        self._optimizer = _build_optimizer(spec, self.network)
        self._autocast = autocast_type(spec, self.device) if dtype == torch.float32 else None
        if self.device.type == "cpu" and group is None and dtype == torch.float32:
            warm_up_network(self.network, self._autocast)
        pixels = EVALUATION_PIXELS.get(self.device.type, EVALUATION_PIXELS["cpu"])
        self._evaluation_batch = max(32, pixels // (images.shape[1] * images.shape[2]))
        batches = spec.batches
        if spec.topology is not None and isinstance(batches, GroupedBatches):
            own = (self._share.stop - self._share.start) // batches.group_size
            groups = (own, batches.group_size, self.network.penultimate_width)
            warm_up_deaths(groups, spec.topology.distance, self.device, backend=spec.topology.backend)

    def epochs(self) -> Iterator[EpochRecord]:
        """Train the epochs that remain, yielding the record of each; ends early when training has diverged."""
        while self.epochs_done < self.spec.epochs:
            record = self._run_epoch(self.epochs_done + 1)
            self.epochs_done = record.epoch
            yield record
            if record.diverged:
                return

    def state(self) -> dict[str, Any]:
        """What is needed to go on after the last whole epoch: tensors, numbers and texts only."""
        return {
            "epochs_done": self.epochs_done,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    @property
    def normalisation(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel of the training images, pixels scaled to 0 … 1."""
        return self._stream.mean.tolist(), self._stream.deviation.tolist()

    def save(self, path: Path) -> None:
        """Write the state to `path`, for torch.load with weights_only."""
        torch.save(self.state(), path)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`, which must come from the same description."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.epochs_done = state["epochs_done"]

    def _run_epoch(self, epoch: int) -> EpochRecord:
        start = time.perf_counter()
        strengths = self._strengths(epoch * self._steps - 1)
        with torch.random.fork_rng(devices=self._own_devices()):
            # Dropout draws from torch's global state; order and augmentation from a generator of their own.
            torch.manual_seed(_epoch_seed(self.spec.seed, epoch))
            trained = self._train(epoch, self.batches(epoch))
        train_seconds, images = time.perf_counter() - start, trained.pop("images")
        validated = self._validate(strengths.scale)
        diverged = _divergence({**trained, **validated}, epoch)
        measured = {name: _finite_or_none(value) for name, value in {**trained, **validated}.items()}
        return EpochRecord(
            budget=self.spec.epochs,
            epoch=epoch,
            gamma=strengths.gamma,
            beta=strengths.beta if self.spec.topological else None,
            topological_weight=strengths.topological_weight,
            learning_rate=strengths.learning_rate,
            images_per_second=images / train_seconds,
            seconds=time.perf_counter() - start,
            diverged=diverged,
            **measured,
        )

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches on which an epoch, from 1, trains, each images and labels on the device."""
        seed = _epoch_seed(self.spec.seed, epoch)
        batches = self._stream.epoch(torch.Generator().manual_seed(seed))
        if not self.spec.input_noise:
            return batches
        generator = torch.Generator(self.device).manual_seed(NOISE_SEEDS + seed)
        return _with_noise(batches, self.spec.input_noise, generator, self._share)

    def train_on(self, batches: Iterable[tuple[Tensor, Tensor]], epoch: int) -> int:
        """Train on `batches` as in the first steps of an epoch, and wait for the device; the number of images.

        To measure speed: there is no record, and the epochs that remain are no longer those of the description.
        """
        return int(self._train(epoch, batches)["images"])

    @torch.inference_mode()
    def validate_in_parts(self) -> Iterator[int]:
        """Run the network on one batch of the validation images after another, yielding their numbers: for speed."""
        self.network.eval()
        for batch, _ in self._stream.in_order(self._validation, self._evaluation_batch):
            self._forward(self.network, batch)
            yield len(batch)

    def _strengths(self, step: int) -> Strengths:
        """The strengths at a step, from 0, of the whole run."""
        return self._strengths_at(progress(step, self.spec.epochs * self._steps))

    def _set_learning_rates(self, strengths: Strengths) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = strengths.output_learning_rate if group["is_output"] else strengths.learning_rate

    def _train(self, epoch: int, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        self.network.train()
        first = (epoch - 1) * self._steps
        strengths = self._strengths(first)
        self._set_learning_rates(strengths)
        # Sums stay on the device and are read once, so that no step waits for the one before.
        sums = torch.zeros(len(Loss._fields) + 1, dtype=torch.float64, device=self.device)
        steps = images = 0
        for batch, labels in batches:
            if (now := self._strengths(first + steps)) is not strengths:
                strengths = now
                self._set_learning_rates(strengths)
            output = self._forward(self._trained, batch)
            loss = self._objective(strengths, output, labels)
            self._optimizer.zero_grad(set_to_none=True)
            self._slope_of(loss.whole).backward()
            self._optimizer.step()
            right = (output.logits.detach().argmax(dim=1) == labels).sum()
            sums += torch.stack([*(part.detach() for part in loss), right]).double()
            steps += 1
            images += len(labels)
        if self._group is not None:
            sums[:-1] *= self._share.weight
            self._group.sum(sums)
            images = steps * self._share.whole
        *parts, right_sum = sums.tolist()
        whole, classification, penalty, topological, contrastive, extra = (part / steps for part in parts)
        return {
            "train_loss": whole,
            "train_classification": classification,
            "train_penalty": penalty,
            "train_topological": topological,
            "train_contrastive": contrastive,
            "train_extra": extra if self.spec.own_term is not None else math.nan,  # becomes a null in the record
            "train_accuracy": right_sum / images if math.isfinite(whole) else math.nan,
            "images": images,
        }

    def _slope_of(self, loss: Tensor) -> Tensor:
        """What to take the gradient of; with several processes it becomes the mean of theirs."""
        if self._group is None:
            return loss
        return loss * (self._group.size * self._share.weight)

    def _forward(self, network: Callable[[Tensor], Output], images: Tensor) -> Output:
        with torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None):
            return network(images)

    @torch.inference_mode()
    def represent(
        self, images: Images | DiskImages, *, precise: bool = False, rows: slice = slice(None)
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (n, classes), representations z (n, penultimate_width) and labels (n,) of `images`, not augmented.

        precise: in float32 throughout, whatever the precision of the training. rows: of the images, all by default.
        """
        self.network.eval()
        logits, representations = [], []
        for batch, _ in self._stream.in_order(images, self._evaluation_batch, rows):
            output = self.network(batch) if precise else self._forward(self.network, batch)
            logits.append(output.logits)
            representations.append(output.z)
        return torch.cat(logits), torch.cat(representations), images.labels[rows].to(self.device)

    def _represent_together(self, images: Images | DiskImages) -> tuple[Tensor, Tensor, Tensor]:
        """As `represent`; of several processes each does its part, and all get the whole."""
        if self._group is None or len(images) < self._group.size:
            return self.represent(images)
        share = self._group.share(len(images))
        logits, z, _ = self.represent(images, rows=share.rows)
        return self._group.rows_of_all(logits, share), self._group.rows_of_all(z, share), images.labels.to(self.device)

    def evaluated(self, images: Images | DiskImages | None = None) -> Evaluated:
        """What the measures need of the network as it stands, on `images`; attacks see 1,000 of them at most.

        images: the validation images, where none are given.
        """
        images = self._validation if images is None else images
        # Collapsed classes differ by less than the noise of bfloat16.
        logits, z, labels = self.represent(images, precise=True)
        # Evenly over the images, which may lie class by class.
        chosen = torch.linspace(0, len(images) - 1, min(len(images), ATTACKED_IMAGES)).long()
        kept, seen = [], 0
        for batch, _ in self._stream.in_order(images, self._evaluation_batch):
            here = chosen[(chosen >= seen) & (chosen < seen + len(batch))] - seen
            kept.append(batch[here.to(self.device)])
            seen += len(batch)
        return Evaluated(
            z=z,
            labels=labels,
            logits=logits,
            output_weight=self.network.output.weight.detach(),
            inputs=torch.cat(kept),
            input_labels=labels[chosen.to(self.device)],
            logits_of=lambda inputs: self.network(inputs).logits,
            pixel_deviation=self._stream.deviation,
            pixel_mean=self._stream.mean,
            training=lambda: self.represent(self._training, precise=True)[1:],
        )

    def _validate(self, scale: float) -> dict[str, float]:
        scores, z, labels = self._represent_together(self._validation)
        known = bool(torch.isfinite(scores).all())
        return {
            "validation_loss": float(cross_entropy(scale * scores, labels)),
            # The largest of several NaN is an arbitrary class, so the accuracy of such a network does not exist.
            "validation_accuracy": float((scores.argmax(dim=1) == labels).double().mean()) if known else math.nan,
            "mean_norm": _measured(lambda: mean_norm(z)),
            "nc1": _measured(lambda: nc1(z, labels)),
        }

    def _own_devices(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []


def _build_optimizer(spec: TrialSpec, network: Network) -> torch.optim.Optimizer:
    output = list(network.output.parameters())
    others = [parameter for parameter in network.parameters() if not any(parameter is own for own in output)]
    groups: list[dict[str, Any]] = [{"params": others, "is_output": False}, {"params": output, "is_output": True}]
    if spec.sgd is None:
        return torch.optim.AdamW(groups, lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True)
    return torch.optim.SGD(
        groups,
        lr=spec.learning_rate,
        momentum=spec.sgd.momentum,
        nesterov=spec.sgd.nesterov,
        weight_decay=spec.weight_decay,
        fused=True,
    )


def _compiled(network: Network, mode: str) -> Callable[[Tensor], Output]:
    """The network as torch.compile has it, on its first batch. Raises UserError where that does not work."""
    from torch._dynamo.exc import TorchDynamoException  # here, as its import takes a second and few trials need it

    compiled = torch.compile(network, mode=mode, dynamic=False)

    def forward(images: Tensor) -> Output:
        try:
            output: Output = compiled(images)
        except TorchDynamoException as error:
            told = (str(error).strip() or type(error).__name__).splitlines()[0]
            problem = f"compile is {mode!r}, but torch.compile failed here: {told}; choose compile=off"
            raise UserError(problem) from error
        return output

    return forward


def _with_noise(
    batches: Iterable[tuple[Tensor, Tensor]], deviation: float, generator: torch.Generator, share: Share
) -> Iterator[tuple[Tensor, Tensor]]:
    """Add Gaussian noise to the images of each batch, (own rows, channels, height, width), drawn on their device for
    the whole batch."""
    for images, labels in batches:
        by_pixel = images.permute(0, 2, 3, 1)  # the order in memory
        noise = torch.randn((share.whole, *by_pixel.shape[1:]), generator=generator, device=images.device)
        yield (by_pixel + deviation * noise[share.rows]).permute(0, 3, 1, 2), labels


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
