"""What one epoch of training leaves behind: the row that the loop yields, the search reports and the files hold."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

SCORE = "validation_accuracy"
"""The one metric of a search: that of the latest epoch, so that a peak before the ramps are up does not win."""


def _column(text: str, unit: str = "", **more: Any) -> Any:
    return field(metadata={"text": text, "unit": unit}, **more)


@dataclass(frozen=True)
class EpochRecord:
    """One epoch. None stands where a value does not exist (beta without topological loss) or could not be computed."""

    budget: int = _column(
        "epochs of the run that the epoch belongs to: the full budget, or less in a compressed climb", "epochs"
    )
    epoch: int = _column("epoch of that run, counted from 1")
    train_loss: float | None = _column("mean of the whole loss over the epoch's batches")
    train_classification: float | None = _column(
        "its part from classification (cross-entropy, ArcFace or CosFace)", "nats"
    )
    train_penalty: float | None = _column("its part from the L2 penalty: gamma times the mean (or sum) of z squared")
    train_topological: float | None = _column("its part from topological densification, weight included")
    train_contrastive: float | None = _column("its part from the contrastive loss, weight included")
    train_accuracy: float | None = _column("share of training images right, as seen during the epoch", "0 to 1")
    validation_loss: float | None = _column(
        "cross-entropy on the validation images after the epoch, of scaled cosines for ArcFace and CosFace", "nats"
    )
    validation_accuracy: float | None = _column("share of validation images right after the epoch", "0 to 1")
    gamma: float = _column("strength of the L2 penalty in force at its last step, 0 when off")
    beta: float | None = _column(
        "scale of the persistence in force at its last step; null without topological loss", "distance"
    )
    topological_weight: float = _column("weight of the topological loss in force at its last step, 0 when off")
    learning_rate: float = _column("learning rate in force at its last step")
    mean_norm: float | None = _column("mean Euclidean norm of z on the validation images")
    nc1: float | None = _column("neural collapse NC1 on the validation images, true labels: tr(S_W pinv(S_B)) / C")
    images_per_second: float = _column("training images per second", "1/s")
    seconds: float = _column("wall time of the epoch, validation included", "s")
    diverged: str | None = _column("why training can't go on: what became infinite or not a number; null when well")
    train_extra: float | None = _column(
        "part of the loss from a term of the user's own, weight included; null without one", default=None
    )

    def as_dict(self) -> dict[str, Any]:
        """The values by name, in the order of declaration."""
        return dict(vars(self))  # no copies, unlike dataclasses.asdict: every value is a number or a text


def record_fields() -> tuple[dataclasses.Field[Any], ...]:
    """The fields of a record, with text and unit in `metadata`."""
    return dataclasses.fields(EpochRecord)
