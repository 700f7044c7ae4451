"""Every network takes a step."""

from __future__ import annotations

import torch

from benchmarks.gpu.running import Bench, WrongError
from benchmarks.gpu.trainings import noise
from tune_lpc.plan import TrialSpec
from tune_lpc.plan.trial import NETWORKS
from tune_lpc.training.loop import Training

LARGE = {"wide_resnet50_2": 64}
"""Sides, in pixels, of networks for larger images than CIFAR's."""


def every_network(bench: Bench) -> None:
    """One step and one validation each, by the loop of a search; those that fail are told one by one."""
    right = 0
    batch = 4 if bench.small else 32
    for name in NETWORKS:
        side = 16 if bench.small else LARGE.get(name, 32)
        with bench.guarded(f"a step of {name}"):
            pixels, labels = noise(2 * batch, side, 3)
            spec = TrialSpec.build({"network": name, "batch_size": batch, "epochs": 1, "learning_rate": 1e-4})
            rows = torch.arange(2 * batch)
            training = Training(spec, pixels, labels, rows[:batch], rows[batch:], bench.device)
            (record,) = training.epochs()
            if record.diverged or record.validation_accuracy is None:
                raise WrongError(f"it diverged: {record.diverged}")
            right += 1
    if right == len(NETWORKS):
        bench.tell("every network takes a step", f"right: all {right}, batches of {batch}")
