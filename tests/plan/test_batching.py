"""What a batch is made of, and how many an epoch has."""

from __future__ import annotations

import pytest

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.batching import GroupedBatches, ShuffledBatches


def test_a_trial_says_what_its_batches_are_made_of() -> None:
    assert TrialSpec.build({"batch_size": 32}).batches == ShuffledBatches(32)
    grouped = TrialSpec.build({"topological_weight_schedule": "rising", "groups": 4, "group_size": 3})
    assert grouped.batches == GroupedBatches(4, 3, "images")


@pytest.mark.parametrize(("images", "steps", "trained"), [(100, 3, 96), (96, 3, 96), (32, 1, 32), (20, 1, 20)])
def test_what_does_not_fill_a_shuffled_batch_sits_out(images: int, steps: int, trained: int) -> None:
    batches = ShuffledBatches(32)
    assert (batches.steps(images), batches.images_per_epoch(images)) == (steps, trained)


@pytest.mark.parametrize(
    ("unit", "images", "steps", "trained"),
    [("images", 100, 8, 96), ("anchors", 100, 25, 300), ("images", 5, 1, 12), ("anchors", 3, 1, 12)],
)
def test_groups_draw_each_image_once_or_take_each_as_anchor(unit: str, images: int, steps: int, trained: int) -> None:
    batches = GroupedBatches(4, 3, unit)
    assert (batches.steps(images), batches.images_per_epoch(images)) == (steps, trained)
