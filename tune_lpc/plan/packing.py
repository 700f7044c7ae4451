"""How many trials share a node or a GPU: what there is to choose from, and what measuring it gave."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

TOGETHER = (1, 2, 4)
"""So many trials together are tried."""
EQUAL_SHARE = 0.03
"""Packings that differ by less are taken as equally fast, since measuring again would differ as much."""


@dataclass(frozen=True)
class Packing:
    """Trials that run together: on a node, or on one of its GPUs with that GPU's share of the CPUs.

    together: how many. cpus_per_trial, gpus_per_trial: what each takes.
    """

    together: int
    cpus_per_trial: int
    gpus_per_trial: float


@dataclass(frozen=True)
class Measured:
    """What measuring a packing gave; images, epochs and trials are those of all its trials together.

    memory_each: bytes of the largest trial, on the GPU where it has one. out: why the packing can't be had, None when
    it can.
    """

    packing: Packing
    images_per_second: float | None = None
    epochs_per_hour: float | None = None
    memory_each: int | None = None
    out: str | None = None


@dataclass(frozen=True)
class PackingTable:
    """Every packing that was tried on a node, and the one to take.

    place: the node, in words. config: the trial that was measured. seconds: what measuring took.
    """

    place: str
    config: str
    seconds: float
    measured: tuple[Measured, ...]

    def best(self) -> Packing | None:
        """The packing with most epochs per hour, the smallest of those equally fast; None when none can be had.

        With fewer trials at once each one ends sooner, takes less memory in all, and is drawn knowing more.
        """
        speeds = {m.packing: m.epochs_per_hour for m in self.measured if m.out is None and m.epochs_per_hour}
        fast = [packing for packing, speed in speeds.items() if speed >= (1 - EQUAL_SHARE) * max(speeds.values())]
        return min(fast, key=lambda packing: (packing.together, packing.cpus_per_trial), default=None)

    def as_dict(self) -> dict[str, Any]:
        """The table as plain data."""
        best = self.best()
        return {
            "place": self.place,
            "config": self.config,
            "seconds": round(self.seconds, 1),
            "chosen": None if best is None else asdict(best),
            "measured": [{**asdict(m.packing), **_without_packing(m)} for m in self.measured],
        }


def split_cpus(cpus: int, at_most: int) -> list[Packing]:
    """The packings of a node without a GPU, or whose GPU is not used: 1, 2 and 4 trials, and one a CPU.

    The last is what a search does when nobody asks for anything. at_most: trials that there are to run; few of them
    may still run best on fewer CPUs than they could have, as small networks do.
    """
    each = sorted({max(1, cpus // together) for together in (*TOGETHER, cpus)}, reverse=True)
    return [Packing(min(at_most, cpus // share), share, 0.0) for share in each]


def split_gpu(cpus: int, cpus_per_trial: int | None, at_most: int) -> list[Packing]:
    """The packings of one GPU with so many CPUs: 1, 2 and 4 trials on it, as far as there are CPUs for them.

    cpus_per_trial: None splits the CPUs evenly. at_most: trials that there are to run.
    """
    found = []
    for together in TOGETHER:
        each = cpus // together if cpus_per_trial is None else cpus_per_trial
        if together == 1 or (together <= at_most and each and together * each <= cpus):
            found.append(Packing(together, max(1, each), 1 / together))
    return found


def _without_packing(measured: Measured) -> dict[str, Any]:
    return {name: value for name, value in asdict(measured).items() if name != "packing"}
