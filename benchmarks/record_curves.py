"""Real learning curves for `efficiency.py`: random configs of a space, each trained fully with several seeds.

One Parquet file a seed and split in `benchmarks/curves/<set>/`, a row a config: the validation accuracy, the validation
loss and NC1 of each epoch, and the accuracy at the end on labelled images that were neither trained nor validated on
(at most 5,000 left over; for digits the test part too). A killed recording goes on with the same command.

    python benchmarks/record_curves.py digits
    python benchmarks/record_curves.py mnist250 --runs 0:0 3:0 --data-dir ../shared/data

`--runs` are `seed:split`. Seeds 0 to 2 are those that a search may see, 3 and 4 the truth, all on split 0; seeds 1 and
2 also on splits of their own. On mnist250 and cifar10 a second score is taken at some epochs: that of a larger
validation set, made of the validation images and as many others as stand in `Recipe.extra`, none of them in the truth.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tune_lpc.plan import Float, Space, TrialSpec, UserError, Value, load_space
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.dimensions import Dimension
from tune_lpc.training.data.batches import select_rows
from tune_lpc.training.device import use_threads
from tune_lpc.training.loop import Training
from tune_lpc.training.prepare import Prepared, prepare, start_training

FOLDER = Path(__file__).parent / "curves"
LEFT_OVER = 5000
"""The most left-over images that judge a trained network."""
WINDOW = 3
"""The larger validation set is scored in the last so many epochs before each possible rung, and before the end."""


@dataclass(frozen=True)
class Recipe:
    """What is recorded: `configs` random ones of a space with changes, and the runs, seeds and splits, of each.

    extra: left-over images that, with the validation images, make a larger validation set.
    """

    space: str
    configs: int
    settings: Mapping[str, Value]
    dimensions: Mapping[str, Dimension] = field(default_factory=dict)
    extra: int = 0

    def build(self) -> Space:
        """The space that the configs are drawn from."""
        space = load_space(self.space)
        dimensions = {**space.dimensions, **self.dimensions}
        return dataclasses.replace(
            space, dimensions=dimensions, settings={**space.settings, **self.settings}, first=()
        ).checked()


RUNS = ((0, 0), (3, 0), (4, 0), (1, 0), (2, 0), (1, 1), (2, 2))
"""Seed and split of each run of a config, the most needed first."""
RECIPES = {
    "digits": Recipe("digits", 128, {"epochs": 90}),
    "digits250": Recipe("digits", 64, {"epochs": 90, "train_size": 250}),
    "mnist250": Recipe("mnist250", 96, {"epochs": 100}, extra=750),
    # 2,000 images, so that 48 configs train in an hour on one core; a network so small needs larger learning rates and
    # bears weaker penalties than the ResNet of the shipped space.
    "cifar10": Recipe(
        "cifar10",
        48,
        {"epochs": 30, "network": "small_cnn", "train_size": 2000, "augmentation": "none", "batch_size": 64},
        {
            "learning_rate": Float(3e-4, 3e-2, log=True),
            "weight_decay": Float(1e-4, 2e-1, log=True),
            "gamma_end": Float(1e-1, 1e3, log=True),
        },
        extra=1000,
    ),
}


def specs_of(recipe: Recipe) -> list[TrialSpec]:
    """The configs of a recipe, always the same."""
    space, chooser = recipe.build(), RandomChooser(0)
    return [space.trial(space.draw(chooser)) for _ in range(recipe.configs)]


def drawn_of(recipe: Recipe) -> list[dict[str, Value]]:
    """The searched values of the same configs."""
    space, chooser = recipe.build(), RandomChooser(0)
    return [space.draw(chooser) for _ in range(recipe.configs)]


def wide_epochs(epochs: int) -> list[int]:
    """The epochs at which the larger validation set is scored."""
    looks = {math.ceil(epochs / 3**power) for power in range(4)} | {math.ceil(epochs / 2**power) for power in range(5)}
    return sorted({look - back for look in looks for back in range(WINDOW) if look > back})


class Judge:
    """Images that a search never sees: rows of the larger validation set, and images that judge at the end."""

    def __init__(self, recipe: Recipe, prepared: Prepared) -> None:
        assert isinstance(prepared.images, torch.Tensor)
        images, labels = prepared.images, prepared.labels
        used = np.concatenate([prepared.split.train, prepared.split.validation])
        rest = np.random.default_rng(0).permutation(np.setdiff1d(np.arange(len(labels)), used))
        extra, rest = rest[: recipe.extra], rest[recipe.extra : recipe.extra + LEFT_OVER]
        self.wide = (
            self._select(images, labels, np.concatenate([prepared.split.validation, extra])) if recipe.extra else None
        )
        if recipe.space == "digits":
            test_images, test_labels = digits_test_part(images)
            images = torch.cat([images[torch.from_numpy(rest)], test_images])
            labels = torch.cat([labels[torch.from_numpy(rest)], test_labels])
            rest = np.arange(len(labels))
        self.rest = self._select(images, labels, rest)

    def _select(self, images: torch.Tensor, labels: torch.Tensor, rows: np.ndarray) -> Any:
        return select_rows(images, labels, torch.from_numpy(rows), torch.device("cpu"))


def digits_test_part(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The digits that are kept apart for a final test: those that are not among the `images` of a search."""
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    every = np.round(values * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    seen = {image.tobytes() for image in images.numpy()}
    rows = [row for row, image in enumerate(every) if image.tobytes() not in seen]
    return torch.from_numpy(every[rows]), torch.from_numpy(labels[rows].astype(np.int64))


def accuracy(training: Training, images: Any) -> float:
    """The share of `images` that the network gets right as it stands."""
    logits, _, labels = training.represent(images)
    return float((logits.argmax(dim=1) == labels).double().mean())


def train(spec: TrialSpec, prepared: Prepared, judge: Judge) -> dict[str, Any]:
    """The curves of one run."""
    begin, training = time.perf_counter(), start_training(spec, prepared)
    records, wide, looks = [], [], set(wide_epochs(spec.epochs))
    for record in training.epochs():
        records.append(record)
        if judge.wide is not None and record.epoch in looks and not record.diverged:
            wide.append(accuracy(training, judge.wide))
    columns = {
        name: np.array([getattr(record, name) for record in records], np.float32)
        for name in ("validation_accuracy", "validation_loss", "nc1")
    }
    return {
        **columns,
        "wide_accuracy": np.array(wide, np.float32),
        "left_over_accuracy": math.nan if records[-1].diverged else accuracy(training, judge.rest),
        "diverged": records[-1].diverged,
        "seconds": time.perf_counter() - begin,
    }


def record(name: str, seed: int, split: int, data_dir: Path | None, only: Sequence[int] | None) -> None:
    """Record what the file of that seed and split lacks, written after each tenth config and at the end."""
    recipe, file = RECIPES[name], FOLDER / name / f"seed{seed}-split{split}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.read_parquet(file).to_dict("records") if file.exists() else []
    there = {row["config"] for row in rows}
    specs = [dataclasses.replace(spec, seed=seed, split=split) for spec in specs_of(recipe)]
    numbers = [number for number in only or range(len(specs)) if number not in there]
    if not numbers:
        return
    prepared = prepare(specs[0], data_dir, recipe.build().largest_group)
    judge = Judge(recipe, prepared)
    for done, number in enumerate(numbers, 1):
        run = train(specs[number], prepared, judge)
        values = json.dumps(drawn_of(recipe)[number])
        rows.append({"config": number, "seed": seed, "split": split, "values": values, **run})
        print(name, seed, split, number, run["validation_accuracy"][-1], f"{run['left_over_accuracy']:.4f}", flush=True)
        if done % 10 == 0 or done == len(numbers):
            part = file.with_suffix(".part")  # a kill leaves the file as it was
            pd.DataFrame(rows).sort_values("config").to_parquet(part, index=False, compression="zstd")
            part.replace(file)


def main() -> None:
    """Read the options and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=RECIPES)
    parser.add_argument("--runs", nargs="+", default=[f"{seed}:{split}" for seed, split in RUNS], metavar="SEED:SPLIT")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--configs", type=int, help="only the first so many configs")
    options = parser.parse_args()
    use_threads(1)
    only = range(min(options.configs, RECIPES[options.set].configs)) if options.configs is not None else None
    for run in options.runs:
        seed, split = map(int, run.split(":"))
        record(options.set, seed, split, options.data_dir, only)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
