"""CIFAR-10: latent point collapse against the same network without the penalty, at the same seeds.

Trains `linear_penultimate` and `lpc` (gamma exponentially from 1e-3 to --gamma-end over 0.7 of training; the output
layer keeps its learning rate, as in arXiv 2310.08224) and prints accuracy, DeepFool score and the measures of collapse
on the validation images.

    python benchmarks/cifar10_collapse.py --data-dir ../shared/data [--network resnet18] [--epochs 30] [--seeds 1]

Seen on 2026-11-22 with --network small_cnn --epochs 60 --gamma-end 1e2 1e3 (9,000 training images, one seed, one thread
of an AMD EPYC): the representations collapse and shrink, but the DeepFool score hardly moves in so short a training.
The paper reports it after 800 to 1000 epochs of ResNet-18.

| method | accuracy | deepfool | deepfool_correct | mean_norm | nc1 | pgd_l2 | seconds |
|---|---|---|---|---|---|---|---|
| linear_penultimate | 0.762 | 0.01051 | 0.01249 | 10.2 | 2.294 | 0.003 | 118.4 |
| lpc, gamma to 100 | 0.757 | 0.01048 | 0.01246 | 0.4613 | 1.251 | 0.005 | 120.2 |
| lpc, gamma to 1000 | 0.742 | 0.01137 | 0.01362 | 0.1556 | 1.2 | 0.01 | 118.5 |
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from tune_lpc.spec import TrialSpec
from tune_lpc.spec.trial import Value
from tune_lpc.training.device import best_device, use_threads
from tune_lpc.training.metrics import compute_measures
from tune_lpc.training.prepare import prepare, start_training

MEASURES = ("deepfool", "deepfool_correct", "mean_norm", "nc1", "pgd_l2")


def main() -> int:
    """Train both and print the table."""
    parser = argparse.ArgumentParser(description="CIFAR-10: latent point collapse against no penalty.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--gamma-end", type=float, nargs="+", default=[1e2])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    use_threads(options.threads)
    common: dict[str, Value] = {
        "dataset": "cifar10",
        "network": options.network,
        "augmentation": "flip_crop",
        "learning_rate": options.learning_rate,
        "learning_rate_hold": 0.7,
        "learning_rate_end": 1e-8,
        "output_learning_rate": "constant",
        "epochs": options.epochs,
    }
    ramp: dict[str, Value] = {"gamma_ramp": "exponential", "gamma_start": 1e-3, "gamma_ramp_length": 0.7}
    methods = {"linear_penultimate": common}
    methods |= {f"lpc, gamma to {end:g}": {**common, **ramp, "gamma_end": end} for end in options.gamma_end}
    prepared = prepare(TrialSpec.build(common), options.data_dir)
    print(f"{prepared.describe()}; {options.network}, {options.epochs} epochs\n")
    print(f"| method | accuracy | {' | '.join(MEASURES)} | seconds |\n|{'---|' * (len(MEASURES) + 3)}")
    for name, settings in methods.items():
        rows = []
        for seed in range(options.seeds):
            start = time.perf_counter()
            training = start_training(TrialSpec.build({**settings, "seed": seed}), prepared, best_device())
            *_, last = training.epochs()
            values, reasons = compute_measures(MEASURES, training.evaluated())
            for measure, reason in reasons.items():
                print(f"{name}, seed {seed}: no {measure}: {reason}", file=sys.stderr)
            rows.append([last.validation_accuracy, *values.values(), time.perf_counter() - start])
        columns = [[value for value in column if value is not None] for column in zip(*rows, strict=True)]
        cells = [f"{statistics.mean(column):.4g}" if column else "none" for column in columns]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
