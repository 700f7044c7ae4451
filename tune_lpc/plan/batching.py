"""What batches are made of: shuffled images, or same-class groups (arXiv 2002.04805)."""

from __future__ import annotations

from dataclasses import dataclass

from tune_lpc.plan.settings import in_effect, setting
from tune_lpc.plan.topology import ON as TOPOLOGICAL

SHUFFLED = ({"batching": ("shuffled",)}, {"batching": ("auto",), "topological_weight_schedule": ("off",)})
GROUPED = ({"batching": ("grouped",)}, {"batching": ("auto",), **TOPOLOGICAL})


@dataclass(frozen=True)
class ShuffledBatches:
    """Full batches of images in random order; what doesn't fill a last batch sits the epoch out."""

    batch_size: int

    def steps(self, images: int) -> int:
        """Batches of an epoch over so many training images."""
        return max(1, images // self.batch_size)

    def images_per_epoch(self, images: int) -> int:
        """Images that an epoch trains on."""
        return min(images, self.steps(images) * self.batch_size)


@dataclass(frozen=True)
class GroupedBatches:
    """Batches of `groups` groups of `group_size` images of one class: an anchor, the others drawn with replacement.

    epoch_unit: "images", an epoch draws as many images as there are, or "anchors", it takes each image once as anchor.
    """

    groups: int
    group_size: int
    epoch_unit: str

    def steps(self, images: int) -> int:
        """Batches of an epoch over so many training images."""
        per_batch = self.groups if self.epoch_unit == "anchors" else self.groups * self.group_size
        return max(1, images // per_batch)

    def images_per_epoch(self, images: int) -> int:
        """Images that an epoch trains on; one drawn twice counts twice."""
        return self.steps(images) * self.groups * self.group_size


@dataclass(frozen=True)
class BatchSettings:
    """The settings of batches, by their public names."""

    batching: str = setting(
        "auto",
        "shuffled batches, or same-class groups; auto takes groups when the topological weight is on",
        choices=("auto", "shuffled", "grouped"),
    )
    batch_size: int | None = setting(128, "images in a shuffled batch", low=2, high=10**9, needs=SHUFFLED)
    groups: int | None = setting(8, "same-class groups in a grouped batch", low=1, high=65536, needs=GROUPED)
    group_size: int | None = setting(
        16, "images in a group: an anchor, the others drawn with replacement", low=2, high=10**9, needs=GROUPED
    )
    epoch_unit: str | None = setting(
        "images",
        "an epoch of groups draws as many images as there are, or takes each image once as the anchor of a group",
        choices=("images", "anchors"),
        needs=GROUPED,
    )

    @property
    def batches(self) -> ShuffledBatches | GroupedBatches:
        """What a batch is made of."""
        if self.batch_size is not None:
            return ShuffledBatches(self.batch_size)
        return GroupedBatches(in_effect(self.groups), in_effect(self.group_size), in_effect(self.epoch_unit))
