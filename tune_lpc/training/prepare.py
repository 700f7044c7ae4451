"""From settings to a training that can start: the images, in memory or on disk, the split, the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.brought.checks import Shape, to_try
from tune_lpc.training.brought.trying import problems_of
from tune_lpc.training.data import (
    ImageFiles,
    Split,
    TrainingImages,
    find_image_files,
    load_training_images,
    split_off_validation,
)
from tune_lpc.training.data.disk import DiskReader
from tune_lpc.training.distributed.group import Group
from tune_lpc.training.loop import Training
from tune_lpc.training.models.backbones import SMALLEST_SIDE


@dataclass(frozen=True)
class Prepared:
    """A data set with its split; shared by all trials of a process, pixels in memory by all of a machine.

    images: (n, height, width, channels) uint8, or where to read them; its `shape` tells the same of both.
    source: the images that a search may see, and what is known of those that it never sees.
    code: of the user's own, that trainings on them may need.
    """

    source: TrainingImages | ImageFiles
    split: Split
    images: Tensor | ImageFiles
    labels: Tensor
    code: OwnCode = NO_CODE

    @property
    def test_images(self) -> int | None:
        """How many images there are for a final test, none of them in `images`; None where nobody has counted."""
        return self.source.final_test.images

    def describe(self) -> str:
        """One line for people."""
        height, width, channels = self.images.shape[1:]
        parts = [
            self.source.source,
            f"{len(self.source.class_names)} classes, {height} x {width} x {channels}",
            f"{len(self.split.train):,} to train, {len(self.split.validation):,} to validate",
            self.source.final_test.describe(),
            self.split.copies.describe(),
        ]
        return "; ".join(part for part in parts if part is not None)


def prepare(
    spec: TrialSpec,
    data_dir: Path | None = None,
    group_size: int | None = None,
    code: OwnCode = NO_CODE,
    *,
    may_download: bool = True,
) -> Prepared:
    """Load or find the data set that `spec` names and split off its validation set; test data are never opened.

    Where the data have no test part of their own, the share `hold_out` is kept apart before anything else.
    group_size: the largest same-class group that a trial may ask for, None where none does. code: of the user's own.
    may_download: otherwise a data set that is not on this machine is a NotDownloadedError.
    Raises UserError with everything that is wrong with the data.
    """
    source: TrainingImages | ImageFiles
    if spec.data_from == "disk":
        source = find_image_files(spec.dataset, data_dir, spec.image_size, hold_out=spec.hold_out)
    else:
        source = load_training_images(
            spec.dataset,
            data_dir,
            image_size=spec.image_size,
            hold_out=spec.hold_out,
            may_download=may_download,
        )
    split = split_off_validation(
        source.labels,
        train_size=spec.train_size,
        validation_share=spec.validation_share or 0.0,  # none beside train_size, where it decides nothing
        validation_size=spec.validation_size,
        split=spec.split,
        group_size=group_size,
        class_names=source.class_names,
        digests=source.digests,
    )
    images = source if isinstance(source, ImageFiles) else torch.from_numpy(source.images)
    return Prepared(source, split, images, torch.from_numpy(source.labels), code)


def check_image_size(network: str, prepared: Prepared) -> None:
    """Raise UserError when the images are too small for the backbone, or not square."""
    height, width = prepared.images.shape[1:3]
    problems = []
    if height != width:
        problems.append(
            f"the images are {height} x {width}, but must be square; "
            f"scale them with --set image_size={min(height, width)}"
        )
    elif height < SMALLEST_SIDE.get(network, 1):  # of others a trial tells
        problems.append(
            f"the images are {height} x {width}, but {network} needs {SMALLEST_SIDE[network]} pixels or more; "
            f"scale them with --set image_size={SMALLEST_SIDE[network]} or choose --set network=mlp"
        )
    if problems:
        raise UserError(problems)


def check_brought(spaces: Iterable[Space], prepared: Prepared) -> None:
    """Try the networks, augmentations and loss terms of others that any trial of the spaces may need.

    Raises UserError with a line for each that does not work.
    """
    shape = Shape(int(prepared.labels.max()) + 1, prepared.images.shape[3], prepared.images.shape[1])
    if problems := problems_of(to_try(spaces, shape, prepared.code)):
        raise UserError(problems)


def start_training(
    spec: TrialSpec,
    prepared: Prepared,
    device: torch.device | str = "cpu",
    group: Group | None = None,
    dtype: torch.dtype = torch.float32,
) -> Training:
    """The training that `spec` describes, at its first epoch. group, dtype: as `Training` takes them."""
    images: Tensor | DiskReader
    if isinstance(prepared.images, ImageFiles):
        assert spec.data_workers is not None
        # Those of a trial are shared out over its processes, which each need one.
        workers = spec.data_workers if group is None else -(-spec.data_workers // group.size)
        images = DiskReader(prepared.images, workers, torch.device(device))
    else:
        images = prepared.images
    return Training(
        spec,
        images,
        prepared.labels,
        torch.from_numpy(prepared.split.train),
        torch.from_numpy(prepared.split.validation),
        device,
        prepared.code,
        group,
        dtype,
    )
