"""What the tests of several processes share: trials, their records, and a program that starts a team of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.own_code import OwnCode
from tune_lpc.plan.record import EpochRecord
from tune_lpc.plan.trial import Value
from tune_lpc.training.loop import Training
from tune_lpc.training.prepare import Prepared
from tune_lpc.training.team import Team
from tune_lpc.training.trainer import Beginning, Conditions, Trainer, Trains

EPOCHS = 3
BOTH_REGULARISERS: dict[str, Value] = {
    "dataset": "digits",
    "image_size": 16,
    "train_size": 240,
    "epochs": EPOCHS,
    "penultimate_width": 16,
    "gamma_ramp": "two_regime",
    "gamma_start": 1e-3,
    "gamma_end": 10.0,
    "gamma_ramp_length": 0.6,
    "topological_weight_schedule": "rising",
    "topological_weight": 0.05,
    "beta_schedule": "sliding",
    "beta": 1.5,
    "persistence_backend": "plain",  # nothing has to be compiled
    "groups": 5,
    "group_size": 8,
}
"""Batches of groups, not as many for one process of two as for the other; both ramps move in every epoch."""
CASES: dict[str, dict[str, Value]] = {
    "mlp": {"network": "mlp"},
    "small_cnn": {"network": "small_cnn"},
    "of_the_users_own": {"network": "mine.py:build", "augmentation": "mine.py:augment"},
    "all_that_is_random": {
        "network": "small_cnn",
        "topological_weight_schedule": "off",
        "batch_size": 25,
        "classification": "arcface",
        "contrastive": "supervised",
        "dropout": 0.3,
        "augmentation": "flip_crop",
        "input_noise": 0.2,
    },
}
OWN_CODE = OwnCode(
    {
        "mine.py": b"""
import torch
from torch import nn

def build(classes, channels, side):
    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())

def augment(images, generator):
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(mirrored, images.flip(3), images)
"""
    }
)
EXACT = Conditions(None, 8, threads=1, dtype=torch.float64, code=OWN_CODE)
CPU = torch.device("cpu")
OF_THE_CLOCK = ("seconds", "images_per_second")


def trial(case: str, **changes: Value) -> TrialSpec:
    return TrialSpec.build({**BOTH_REGULARISERS, **CASES[case], **changes})


def begun(trainer: Trains, spec: TrialSpec, checkpoints: Path | None = None) -> Beginning:
    trainer.prepare(spec)
    return trainer.begin(spec, [spec.epochs], checkpoints, {(spec.epochs, epoch) for epoch in range(1, spec.epochs)})


def records(trainer: Trains, epochs: int = EPOCHS) -> list[EpochRecord]:
    return [trainer.next_epoch().record for _ in range(epochs)]


def alone(spec: TrialSpec, conditions: Conditions = EXACT) -> list[EpochRecord]:
    """The records of one process, this one."""
    trainer = Trainer(conditions, CPU)
    begun(trainer, spec)
    return records(trainer, spec.epochs)


def differences(found: Sequence[EpochRecord], wanted: Sequence[EpochRecord]) -> dict[str, float]:
    """By column the largest relative difference in any epoch; infinite where only one has a value."""
    assert len(found) == len(wanted)
    return {
        name: max(
            _relative(one.as_dict()[name], other.as_dict()[name]) for one, other in zip(found, wanted, strict=True)
        )
        for name in wanted[0].as_dict()
        if name not in OF_THE_CLOCK
    }


def _relative(one: Any, other: Any) -> float:
    if one is None or other is None or isinstance(one, str):
        return 0.0 if one == other else math.inf
    return abs(one - other) / max(abs(other), 1e-300) if one != other else 0.0


def alive(pids: Iterable[int]) -> list[int]:
    """Those processes that have not ended; one that nobody has waited for has."""
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def wait_for_the_end(pids: Sequence[int], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while alive(pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(pids)


# Asked of a team: by its full name it is the same function there


def weights(training: Training, prepared: Prepared) -> list[float]:
    """The sum of each parameter, and the number of images that train."""
    return [float(parameter.sum()) for parameter in training.network.parameters()] + [float(len(prepared.split.train))]


def raise_value_error(training: Training, prepared: Prepared) -> None:
    raise ValueError("the question is wrong\nsecond line")


def work_for_long(training: Training, prepared: Prepared) -> None:
    time.sleep(600)


if __name__ == "__main__":  # a program that is killed while one process of its team works, and the other waits
    from tests.training import teams  # where the team finds it, too

    team = Team(EXACT, 2)
    begun(team, trial("mlp"))
    print(*team.pids, flush=True)
    team.ask(teams.work_for_long)
