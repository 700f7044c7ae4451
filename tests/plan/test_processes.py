"""What a search may not ask for where a trial is trained in several processes."""

from __future__ import annotations

import pytest

from tune_lpc.plan import Choice, Int, Space
from tune_lpc.plan.dimensions import Dimension
from tune_lpc.plan.processes import process_problems
from tune_lpc.plan.trial import Value


def space(dimensions: dict[str, Dimension] | None = None, **settings: Value) -> Space:
    return Space(
        name="small",
        about="for tests",
        trials=4,
        settings={"dataset": "digits", "epochs": 3, **settings},
        dimensions=dimensions or {},
    )


@pytest.mark.parametrize(
    ("searched", "told"),
    [
        (space(compile="default"), ["compile is 'default', but must be off"]),
        (space({"compile": Choice(["off", "default"])}), ["compile is 'default', but must be off"]),
        (space(batch_size=3), ["batch_size may be 3, but must be 4 or more"]),
        (space({"batch_size": Int(2, 64)}), ["batch_size may be 2, but must be 4 or more"]),
        (space(batching="grouped", groups=3), ["groups may be 3, but must be 4 or more"]),
        (space(topological_weight_schedule="rising", groups=3), ["groups may be 3, but must be 4 or more"]),
        (
            space(
                {"topological_weight_schedule": Choice(["off", "rising"])}, groups=3, batch_size=2, compile="default"
            ),
            ["compile is", "groups may be 3", "batch_size may be 2"],
        ),
        (space(network="timm/resnet18"), ["network is 'timm/resnet18', but must be one that comes with the package"]),
        (space(augmentation="own.py:augment"), ["augmentation is 'own.py:augment', but must be none of your own"]),
        (space(extra_loss="own.py:term"), ["extra_loss is 'own.py:term', but must be off"]),
        (space(groups=1), []),
        (space(topological_weight_schedule="rising", batch_size=2), []),
        (space(batching="grouped", groups=4), []),
    ],
)
def test_each_process_needs_its_share_of_every_batch_and_nothing_is_compiled(searched: Space, told: list[str]) -> None:
    found = process_problems(searched, 4)
    assert len(found) == len(told)
    assert all(line.startswith(beginning) for line, beginning in zip(found, told, strict=True))
    assert all("4 processes" in line for line in found)
    assert process_problems(searched, 1) == []
