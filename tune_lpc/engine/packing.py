"""How many trials share a node or a GPU: measured at the start of a search that asks for "auto"."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.packing import Measured, Packing, PackingTable
from tune_lpc.plan.resources import Resources, ResourcesAsked
from tune_lpc.plan.searches import typical_trial
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.device import best_device
from tune_lpc.training.prepare import prepare
from tune_lpc.training.probe import Probe, Speed, memory_free, memory_used

ROUNDS = 3
"""Each packing is measured so often, in turns, and the median taken: another program may take the CPUs for a moment."""
WINDOW = 1.5
"""Seconds of one measurement."""
ENOUGH = 12.0
"""Seconds of measuring after which no further round begins: where steps are slow, one round has to do."""
LONGEST = 300.0
"""Seconds for everything; what is not measured by then is out."""
PATIENCE = 20.0
"""Seconds to wait for the node to be free, as others may use a shared cluster, and for processes to end."""
USABLE = 0.9
"""Of the memory that is free; the rest is for what measuring does not see, such as the measures of a trial."""


def choose_resources(
    asked: ResourcesAsked,
    space: Space,
    data_dir: Path | None,
    trials: int,
    console: Console,
    *,
    again: bool = False,
    code: OwnCode = NO_CODE,
) -> Resources:
    """What a trial takes on the Ray cluster that is running, and how many run at once.

    An "auto" is measured on one node, with the trial that the space begins with, and printed; where that fails, a line
    says why, and the default is taken. trials: how many there are to run. again: the search goes on, and an earlier
    choice may not hold any more, as it may run elsewhere. code: of the user's own.
    Raises UserError when the cluster has not what was asked for, or a node not the data.
    """
    totals = ray.cluster_resources()
    default = _planned(asked, totals)
    if not asked.is_auto:
        return default
    node = largest_node(ray.nodes(), use_gpus=asked.gpus_per_trial != 0)
    packings = asked.packings(node.cpus, node.gpus, -(-trials // node.of))
    if len(packings) == 1:
        told = f"auto: nothing to measure, there is one way to run these trials on {node}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
        return _planned(asked.as_packed(packings[0]), totals)
    spec, config = typical_trial(space)
    told = (
        f"auto: measuring {'again ' if again else ''}{len(packings)} ways to pack trials on {node}, for seconds each …"
    )
    console.print(told, markup=False, highlight=False, soft_wrap=True)
    start = time.monotonic()
    work = _Work(spec, data_dir.resolve() if data_dir else None, space.largest_group, code)
    measured, problem = _measure(node, packings, work)
    table = PackingTable(str(node), config, time.monotonic() - start, tuple(measured))
    console.print(_as_rich(table))
    if problem is not None:
        console.print(f"auto: measuring ended early: {problem}", markup=False, highlight=False, soft_wrap=True)
    best = table.best()
    if best is None:
        console.print("auto: nothing to choose from; taking the default", highlight=False)
    chosen = default if best is None else _planned(asked.as_packed(best), totals)
    return replace(chosen, packing=table)


def _planned(asked: ResourcesAsked, totals: dict[str, float]) -> Resources:
    resources, problems = asked.plan(totals.get("CPU", 0.0), totals.get("GPU", 0.0))
    if resources is None:
        raise UserError(problems)
    return resources


# The node


@dataclass(frozen=True)
class Node:
    """The node that is measured; its choice holds for all `of` nodes."""

    address: str
    cpus: int
    gpus: int
    of: int = 1

    def __str__(self) -> str:
        gpus = f" and {self.gpus} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else ""
        others = f", one of {self.of} nodes" if self.of > 1 else ""
        return f"{self.address} with {self.cpus} CPU{'s' if self.cpus > 1 else ''}{gpus}{others}"


def largest_node(nodes: Sequence[dict[str, Any]], *, use_gpus: bool) -> Node:
    """The node with most GPUs, if these are used, and then most CPUs; nodes as `ray.nodes` tells of them."""
    found = []
    for node in nodes:
        if node["Alive"] and (cpus := int(node["Resources"].get("CPU", 0))):
            gpus = int(node["Resources"].get("GPU", 0)) if use_gpus else 0
            found.append(Node(node["NodeManagerAddress"], cpus, gpus))
    if not found:
        raise UserError("the Ray cluster has no node with a CPU; start one")
    return replace(max(found, key=lambda node: (node.gpus, node.cpus)), of=len(found))


# Measuring


@dataclass(frozen=True)
class _Work:
    """What is measured."""

    spec: TrialSpec
    data_dir: Path | None
    group_size: int | None
    code: OwnCode


class _Worker:
    """One of the trials that are measured together, in a process like that of a trial."""

    def begin(self, work: _Work) -> tuple[int, int | None]:
        """Load the data and build the network; the memory used, and what is free besides, before that.

        Raises UserError when the data are not there.
        """
        device = best_device()
        before = memory_used(device), memory_free(device)
        self._probe = Probe(work.spec, prepare(work.spec, work.data_dir, work.group_size, work.code), device)
        return before

    def warm_up(self, threads: int) -> None:
        """See `Probe.warm_up`."""
        self._probe.warm_up(threads)

    def measure(self, seconds: float) -> Speed:
        """See `Probe.measure`."""
        return self._probe.measure(seconds)


class _NoRoomError(Exception):
    """The node is in use by others."""


class _Workers:
    """The processes that are measured, on one node, all on the same GPU if they use one.

    A context manager: at its end they are gone. room: bytes that they may take together, None where nobody knows.
    measuring: seconds spent on it so far, without those for the start of processes.
    """

    def __init__(self, node: Node, packings: Sequence[Packing], work: _Work) -> None:
        """Raise _NoRoomError when the node's CPUs or GPU stay in use."""
        self._smallest, self._work = packings[-1], work
        self._deadline = time.monotonic() + LONGEST
        self._actors: list[Any] = []
        self.room: float | None = None
        self.measuring = 0.0
        cpus = max(packing.together * packing.cpus_per_trial for packing in packings)
        bundle = {"CPU": float(cpus), f"node:{node.address}": 0.001}
        if self._smallest.gpus_per_trial:
            bundle["GPU"] = 1.0
        self._group = placement_group([bundle])

    def __enter__(self) -> Self:
        """Wait until the node is free."""
        if not self._group.wait(PATIENCE):
            remove_placement_group(self._group)
            raise _NoRoomError
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes, and wait for it: a search that begins must not find them."""
        for actor in self._actors:
            ray.kill(actor)
        for actor in self._actors:
            with suppress(RayError):  # the answer, once it is gone
                ray.get(actor.measure.remote(0.0), timeout=PATIENCE)
        remove_placement_group(self._group)

    def measure(self, packing: Packing) -> list[Speed]:
        """The speed of each of so many trials while they run together."""
        self._start(packing.together - len(self._actors))
        together, start = self._actors[: packing.together], time.monotonic()
        try:
            self._answers([actor.warm_up.remote(packing.cpus_per_trial) for actor in together])
            # Only when all are warm, so that none is measured while another still starts.
            return self._answers([actor.measure.remote(WINDOW) for actor in together])
        finally:
            self.measuring += time.monotonic() - start

    def _start(self, count: int) -> None:
        """Start so many more, at the same time."""
        actor_class = ray.remote(_Worker).options(
            num_cpus=self._smallest.cpus_per_trial,
            num_gpus=self._smallest.gpus_per_trial,
            scheduling_strategy=PlacementGroupSchedulingStrategy(self._group),
        )
        new: list[Any] = [actor_class.remote() for _ in range(count)]
        self._actors += new
        before = self._answers([actor.begin.remote(self._work) for actor in new])
        if self.room is None and before:
            used, free = before[0]
            self.room = None if free is None else USABLE * (used + free)

    def _answers(self, calls: list[Any]) -> list[Any]:
        return list(ray.get(calls, timeout=max(1.0, self._deadline - time.monotonic())))


def _measure(node: Node, packings: Sequence[Packing], work: _Work) -> tuple[list[Measured], str | None]:
    """What each packing gave, and why measuring ended early, None when it did not."""
    rounds: dict[Packing, list[list[Speed]]] = {}
    out: dict[Packing, str] = {}
    problem = None
    try:
        with _Workers(node, packings, work) as workers:
            # Fewest first: what does not fit ends the row, before the machine runs out of memory.
            for packing in packings:
                reason = _first_measurement(packing, workers, rounds)
                if reason is not None:
                    out[packing] = reason
                    break
            fitting = [packing for packing in rounds if packing not in out]
            for _ in range(ROUNDS - 1):
                for packing in fitting if workers.measuring < ENOUGH else ():
                    rounds[packing].append(workers.measure(packing))
    except UserError as error:
        raise UserError(error.problems) from error  # a worker's, without Ray's traceback in its text
    except _NoRoomError:
        problem = f"the CPUs or GPUs of {node.address} are in use"
    except RayError as error:
        problem = _reason(error)
    return [_summed(packing, rounds.get(packing, []), out.get(packing)) for packing in packings], problem


def _first_measurement(packing: Packing, workers: _Workers, rounds: dict[Packing, list[list[Speed]]]) -> str | None:
    """Measure a packing, unless the memory of a trial is known and does not fit so often; the reason why it is out."""
    known = max((speed.memory for of_one in rounds.values() for speeds in of_one for speed in speeds), default=0)
    if (reason := _too_large(packing, known, workers.room)) is not None:
        return reason
    try:
        speeds = workers.measure(packing)
    except UserError:
        raise
    except RayError as error:
        return _reason(error)
    rounds[packing] = [speeds]
    return _too_large(packing, max(speed.memory for speed in speeds), workers.room)


def _too_large(packing: Packing, memory_each: int, room: float | None) -> str | None:
    if room is None or packing.together * memory_each <= room:
        return None
    return f"{packing.together} x {_bytes(memory_each)} is more than the {_bytes(room)} there are"


def _summed(packing: Packing, rounds: Sequence[Sequence[Speed]], out: str | None) -> Measured:
    """A line of the table: the median of the rounds."""
    if not rounds:
        return Measured(packing, out=out or "not measured")
    return Measured(
        packing,
        images_per_second=statistics.median(sum(speed.images_per_second for speed in speeds) for speeds in rounds),
        epochs_per_hour=statistics.median(sum(3600 / speed.epoch_seconds for speed in speeds) for speeds in rounds),
        memory_each=max(speed.memory for speeds in rounds for speed in speeds),
        out=out,
    )


def _reason(error: RayError) -> str:
    """An error of a worker in one line."""
    if isinstance(error, GetTimeoutError):
        return f"not measured within {LONGEST:.0f} s"
    cause = error.cause if isinstance(error, RayTaskError) else error
    told = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return f"{type(cause).__name__}: {told}"


# Telling


def _as_rich(table: PackingTable) -> Table:
    shown = Table("at once", "each", "images/s", "epochs/h", "memory each", "", box=None, pad_edge=False)
    best = table.best()
    for line in table.measured:
        packing = line.packing
        gpus = f", {packing.gpus_per_trial:g} GPU" if packing.gpus_per_trial else ""
        shown.add_row(
            str(packing.together),
            f"{packing.cpus_per_trial} CPU{gpus}",
            "-" if line.images_per_second is None else _figure(line.images_per_second),
            "-" if line.epochs_per_hour is None else _figure(line.epochs_per_hour),
            "-" if line.memory_each is None else _bytes(line.memory_each),
            escape(line.out or "") or ("chosen" if packing == best else ""),
        )
    return shown


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bytes(count: float) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"
