"""Small trainings that a test runs with the kernels for CPUs and, in another process, without."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.trial import Value
from tune_lpc.training import fast_path
from tune_lpc.training.loop import Training

CASES: dict[str, dict[str, Value]] = {
    "small_cnn": {
        "network": "small_cnn",
        "activation": "leaky_relu",
        "topological_weight_schedule": "constant",
        "topological_weight": 0.1,
        "groups": 4,
        "group_size": 8,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "epochs": 2,
    },
    "resnet18": {"network": "resnet18", "batch_size": 16, "optimizer": "sgd", "learning_rate": 0.001, "epochs": 1},
}
SIDES = {"small_cnn": 16, "resnet18": 8}
IMAGES = {"small_cnn": 160, "resnet18": 22}
"""Of which 16 are validated on, at resnet18 6: one step."""


def training(case: str) -> Training:
    """One of the cases, at its beginning, in float32."""
    random, count, side = torch.Generator().manual_seed(0), IMAGES[case], SIDES[case]
    images = torch.randint(0, 256, (count, side, side, 1), generator=random).to(torch.uint8)
    cut, rows = count * 9 // 10 if case == "small_cnn" else 16, torch.arange(count)
    spec = TrialSpec.build({**CASES[case], "precision": "float32"})
    return Training(spec, images, torch.arange(count) % 4, rows[:cut], rows[cut:])


def results(case: str) -> dict[str, Any]:
    """Whether the kernels took part; the state of the network before and after, its modules, and every loss."""
    run = training(case)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    records = [record.as_dict() for record in run.epochs()]
    kinds = sorted({type(part).__module__ for part in run.network.modules()})
    return {
        "available": fast_path.AVAILABLE,
        "before": before,
        "state": run.state(),
        "kinds": kinds,
        "records": records,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.save({case: results(case) for case in CASES}, Path(sys.argv[1]))
