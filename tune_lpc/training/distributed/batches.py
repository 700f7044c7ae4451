"""Which part of each batch a process trains on."""

from __future__ import annotations

from tune_lpc.plan.batching import GroupedBatches
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.processes import FIXED, value_problems
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.distributed.group import Group, Share


def share_of_batches(spec: TrialSpec, images: int, group: Group | None) -> Share:
    """The part of each batch that this process of the group trains on; without a group the whole batch.

    images: to train on. Same-class groups stay whole, as the topological loss is of each of them.
    Raises UserError where the group can't share the batches, or can't train as the trial asks.
    """
    batches = spec.batches
    rows = batches.images_per_epoch(images) // batches.steps(images)
    rows_of_a_unit = batches.group_size if isinstance(batches, GroupedBatches) else 1
    units = rows // rows_of_a_unit
    if group is None:
        return Share(rows, 0, rows, (rows,))
    problems = [problem for name in FIXED for problem in value_problems(name, [getattr(spec, name)], group.size)]
    if units < group.size:
        name = "groups" if rows_of_a_unit > 1 else "images"
        problems.append(f"a batch has {units} {name}, but each of {group.size} processes needs one or more")
    if problems:
        raise UserError(problems)
    return group.share(units, rows_of_a_unit)
