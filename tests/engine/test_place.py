"""Where the trials of a search run: whether a node has room for all processes of one."""

from __future__ import annotations

from typing import Any

import pytest

from tune_lpc.engine.place import refuse_scattered
from tune_lpc.plan import UserError
from tune_lpc.plan.resources import Resources


def node(cpus: float, gpus: float = 0.0, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}


def test_the_processes_of_a_trial_need_one_node_with_room_for_all() -> None:
    resources = Resources(1, 4, 2.0, processes_per_trial=2)
    refuse_scattered(resources, [node(8), node(4, 2)])
    with pytest.raises(UserError) as raised:
        refuse_scattered(resources, [node(8, 1), node(8, 1), node(2, 2), node(8, 8, alive=False)])
    assert raised.value.problems == [
        "a trial in 2 processes needs a node with 4 CPUs and 2 GPUs, but none of the cluster has them; ask for fewer "
        "processes"
    ]


def test_on_cpus_no_gpu_is_needed_and_of_a_trial_in_one_process_nothing_is_asked() -> None:
    refuse_scattered(Resources(1, 4, 0.0, processes_per_trial=2), [node(4)])
    refuse_scattered(Resources(1, 4, 0.0), [node(1)])
