"""Where the trials of a search run, known once Ray does, and what they compute in there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from rich.console import Console

from tune_lpc.engine.cluster import nodes_without_bfloat16
from tune_lpc.engine.packing import choose_resources
from tune_lpc.engine.request import Request
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.resources import Resources
from tune_lpc.plan.space import Space
from tune_lpc.search.opening import OpenRun
from tune_lpc.training.device import resolved_precision


@dataclass(frozen=True)
class Place:
    """Where the searches run. resources: None where nothing is to come. without_bfloat16: hosts that lack it."""

    resources: Resources | None
    without_bfloat16: tuple[str, ...] = ()

    def precision(self, space: Space) -> str:
        """The precision of a run that begins here, as run.json tells it: float32 or bfloat16, or both if searched."""
        if leaves_precision(space):
            return "float32" if self.without_bfloat16 else "bfloat16"
        asked = {resolved_precision(str(value), "mlp", False) for value in space.possible("precision")}
        return " or ".join(sorted(asked))


def leaves_precision(space: Space) -> bool:
    """Whether the machines decide in which precision trials train: with auto, and a network that gains by bfloat16."""
    gains = any(resolved_precision("auto", str(network), True) == "bfloat16" for network in space.possible("network"))
    return gains and "auto" in space.possible("precision")


def find_place(request: Request, runs: Sequence[OpenRun], resources: Resources | None, console: Console) -> Place:
    """Where the trials of `runs` run. resources: None where Ray must tell.

    Raises UserError when the cluster has not what was asked for, or a node not the data.
    """
    if resources is None:
        to_come, again = max(run.to_come for run in runs), not all(run.is_new for run in runs)
        resources = choose_resources(
            request.resources, request.space, request.data_dir, to_come, console, again=again, code=request.code
        )
    refuse_scattered(resources, ray.nodes())
    console.print(f"trials: {resources.describe()}", markup=False, highlight=False, soft_wrap=True)
    asks = any(leaves_precision(run.space) for run in runs)
    lacking = nodes_without_bfloat16(request.address, use_gpus=resources.gpus_per_trial > 0) if asks else ()
    return Place(resources, tuple(lacking))


def refuse_scattered(resources: Resources, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError where no node has room for all processes of a trial; nodes as `ray.nodes` tells of them."""
    needed = {"CPU": resources.cpus_per_trial, "GPU": resources.gpus_per_trial}
    there = [node["Resources"] for node in nodes if node["Alive"]]
    if resources.processes_per_trial == 1 or any(
        all(node.get(name, 0) >= count for name, count in needed.items()) for node in there
    ):
        return
    gpus = f" and {resources.gpus_per_trial:g} GPUs" if resources.gpus_per_trial else ""
    raise UserError(
        f"a trial in {resources.processes_per_trial} processes needs a node with {resources.cpus_per_trial} CPUs{gpus}"
        ", but none of the cluster has them; ask for fewer processes"
    )


def refuse_other_precision(run: OpenRun, place: Place) -> None:
    """A search that chose bfloat16 for its machines does not go on where they don't compute in it.

    Raises UserError.
    """
    if not leaves_precision(run.space) or run.ledger.run.get("precision") != "bfloat16":
        return
    if run.to_come and place.without_bfloat16:
        raise UserError(
            f"{run.folder} can't be resumed here: it trains in bfloat16, in which these nodes don't compute: "
            f"{', '.join(place.without_bfloat16)}; go on where it began, or begin again in another folder with --out"
        )
