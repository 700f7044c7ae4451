"""Is the DeepFool gain of a collapsed network real? The recipe that shows that it is not, with several seeds.

The MLP on all 1,437 digits of a search, 300 epochs, noise of 0.1 on the normalised training images; once without a
penalty and once with latent point collapse up to gamma 1e4. Attacked: the 360 digits that searches keep apart.

    python benchmarks/masking.py [--seeds 3]

prints, for each seed and for the mean of all, accuracy, DeepFool's relative perturbation (mean, as in the paper, and
median), the shortest flip by any of three attacks and by a fourth that takes the perturbation of the network without
penalty, and the share of images whose DeepFool perturbation is longer than the way to an image of another class.
About a minute a seed on one core. What it printed stands in docs/robustness.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence

import torch

from tune_lpc.final.test_images import opened_test_images
from tune_lpc.plan import TrialSpec
from tune_lpc.training.data.batches import select_rows
from tune_lpc.training.data.split import with_validation_images
from tune_lpc.training.device import exact_arithmetic, use_threads
from tune_lpc.training.measures.evaluated import Evaluated
from tune_lpc.training.measures.shortest_flip import shortest_flip
from tune_lpc.training.prepare import prepare, start_training

BASE: dict[str, str | int | float | bool | None] = {
    "dataset": "digits",
    "network": "mlp",
    "epochs": 300,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "learning_rate_hold": 0.2,
    "learning_rate_end": 1e-8,
    "output_learning_rate": "constant",
    "penultimate_width": 64,
    "input_noise": 0.1,
    "precision": "float32",
}
COLLAPSED = {**BASE, "gamma_ramp": "exponential", "gamma_start": 1e-4, "gamma_end": 1e4, "gamma_ramp_length": 0.3}


@dataclasses.dataclass(frozen=True)
class Found:
    """Of one network: everything relative is ||perturbation|| / ||image|| on normalised pixels."""

    accuracy: float
    nc1: float
    deepfool: float
    deepfool_median: float
    shortest_flip: float
    shortest_flip_mean: float
    transferred: float
    excess: float


def trained(settings: dict[str, str | int | float | bool | None], seed: int) -> Evaluated:
    """Train once, on all images that a search sees; what the measures need, on those that it does not."""
    spec = TrialSpec.build({**settings, "seed": seed})
    prepared = prepare(spec)
    prepared = dataclasses.replace(prepared, split=with_validation_images(prepared.split))
    training = start_training(spec, prepared)
    for record in training.epochs():
        if record.diverged:
            raise SystemExit(f"seed {seed} diverged: {record.diverged}")
    with opened_test_images(spec, None, prepared.source.class_names) as test:
        images = select_rows(test.images, test.labels, torch.arange(len(test.labels)), training.device)
        return training.evaluated(images)


def found(evaluated: Evaluated, other: Evaluated) -> Found:
    """The figures of a network; other: the one whose perturbations are tried on it as well."""
    from tune_lpc.training.measures import nc1

    fooling, flip = evaluated.fooling, evaluated.flip
    transferred = shortest_flip(evaluated.logits_of, evaluated.inputs, fooling, other.fooling.perturbation)
    return Found(
        accuracy=float((evaluated.logits.argmax(dim=1) == evaluated.labels).double().mean()),
        nc1=nc1(evaluated.z, evaluated.labels),
        deepfool=float(fooling.relative.mean()),
        deepfool_median=float(fooling.relative.median()),
        shortest_flip=float(flip.relative.median()),
        shortest_flip_mean=float(flip.relative.mean()),
        transferred=float(transferred.relative.mean()),
        excess=float((fooling.relative > flip.nearest).double().mean()),
    )


def mean(rows: Sequence[Found]) -> Found:
    """The means of all figures."""
    return Found(*(sum(values) / len(rows) for values in zip(*map(dataclasses.astuple, rows), strict=True)))


def main() -> int:
    """Train, attack, print."""
    parser = argparse.ArgumentParser(description="Gradient masking by collapse, on digits.")
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    use_threads(1)
    pairs: list[tuple[Found, Found]] = []
    for seed in range(seeds):
        with exact_arithmetic():
            base, collapsed = trained(BASE, seed), trained(COLLAPSED, seed)
            pairs.append((found(base, base), found(collapsed, base)))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    named = [(f"seed {seed}", *pair) for seed, pair in enumerate(pairs)]
    named.append((f"mean of {seeds}", mean([base for base, _ in pairs]), mean([other for _, other in pairs])))
    print(f"| figure | {' | '.join(name for name, *_ in named)} |\n|---|{'---|' * len(named)}")
    for field in dataclasses.fields(Found):
        cells = []
        for _, base, collapsed in named:
            before, after = getattr(base, field.name), getattr(collapsed, field.name)
            ratio = "" if field.name in ("accuracy", "excess") else f" (x {after / before:.2f})"
            cells.append(f"{before:.3g} -> {after:.3g}{ratio}")
        print(f"| {field.name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
