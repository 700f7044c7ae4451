"""What a trial takes of a machine, and how many trials run at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tune_lpc.plan.errors import shown
from tune_lpc.plan.packing import Packing, PackingTable, split_cpus, split_gpu

MOST = 10**6
"""Of trials at once, of CPUs and of GPUs that can be asked for."""
MOST_PROCESSES = 1024
"""Of a trial."""
AUTO: Literal["auto"] = "auto"
"""Asks for what measuring finds best."""


@dataclass(frozen=True)
class Resources:
    """What a trial takes, and how many run at once.

    packing: what the choice rests on, where it was measured. processes_per_trial: that train it together, on one node:
    they share its CPUs evenly, and each has a GPU of its own where it has any.
    """

    concurrent: int
    cpus_per_trial: int
    gpus_per_trial: float
    packing: PackingTable | None = field(default=None, compare=False)
    processes_per_trial: int = 1

    @property
    def threads(self) -> int:
        """On which each process of a trial computes."""
        return max(1, self.cpus_per_trial // self.processes_per_trial)

    def describe(self) -> str:
        """One line for people."""
        gpus = f", {self.gpus_per_trial:g} GPU" if self.gpus_per_trial else ""
        processes = f", in {self.processes_per_trial} processes" if self.processes_per_trial > 1 else ""
        return f"{self.concurrent} at once, {self.cpus_per_trial} CPU{gpus} each{processes}"

    def as_dict(self) -> dict[str, Any]:
        """The resources as plain data."""
        return {
            "concurrent": self.concurrent,
            "cpus_per_trial": self.cpus_per_trial,
            "gpus_per_trial": self.gpus_per_trial,
            "processes_per_trial": self.processes_per_trial,
            "packing": None if self.packing is None else self.packing.as_dict(),
        }


@dataclass(frozen=True)
class ResourcesAsked:
    """What the user asked for; None leaves it to `plan`, or, beside an "auto", to measuring too."""

    concurrent: int | None = None
    cpus_per_trial: int | Literal["auto"] | None = None
    gpus_per_trial: float | Literal["auto"] | None = None
    processes_per_trial: int | None = None

    @property
    def processes(self) -> int:
        """That train a trial together: as many as it has GPUs, where nobody says."""
        if self.processes_per_trial is not None:
            return self.processes_per_trial
        return (
            int(self.gpus_per_trial) if isinstance(self.gpus_per_trial, int | float) and self.gpus_per_trial > 1 else 1
        )

    @property
    def _processes_from(self) -> str:
        """The option that decides how many processes a trial has."""
        return "gpus" if self.processes_per_trial is None else "processes"

    @property
    def is_auto(self) -> bool:
        """Whether something is to be measured."""
        return AUTO in (self.cpus_per_trial, self.gpus_per_trial)

    def problems(self) -> list[str]:
        """Every rule that the values break on any machine, one line each."""
        whole = {
            "--concurrent": (self.concurrent, MOST),
            "--cpus-per-trial": (self.cpus_per_trial, MOST),
            "--processes-per-trial": (self.processes_per_trial, MOST_PROCESSES),
        }
        found = [
            f"{option} is {shown(value)}, but must be from 1 to {most}"
            for option, (value, most) in whole.items()
            if isinstance(value, int) and not 1 <= value <= most
        ]
        gpus = self.gpus_per_trial
        if isinstance(gpus, int | float) and not (0 <= gpus <= 1 or (1 < gpus <= MOST and gpus == gpus // 1)):
            rule = f"0, a share up to 1, or a whole number up to {MOST}"
            found.append(f"--gpus-per-trial is {gpus:g}, but must be {rule}")
        return found or self._process_problems()

    def _process_problems(self) -> list[str]:
        """Why a trial can't be trained in as many processes as asked for."""
        processes, gpus, cpus = self.processes, self.gpus_per_trial, self.cpus_per_trial
        found = []
        if isinstance(gpus, int | float) and gpus and (processes > 1 or gpus > 1) and gpus != processes:
            found.append(
                f"--processes-per-trial is {processes}, but --gpus-per-trial is {gpus:g}: each process has a GPU of "
                f"its own; give --gpus-per-trial {processes}, or 0 to train on CPUs"
            )
        if processes == 1:
            return found
        if gpus == AUTO or (cpus == AUTO and not gpus):
            found.append(
                f"--processes-per-trial is {processes}, but {AUTO} packs trials of one process; give "
                "--cpus-per-trial and --gpus-per-trial as numbers"
            )
        if isinstance(cpus, int) and cpus < processes:
            found.append(
                f"--cpus-per-trial is {cpus}, but each of the {processes} processes of a trial needs one; give "
                f"{processes} or more"
            )
        if processes > MOST_PROCESSES:
            found.append(f"--gpus-per-trial is {processes}, but a trial has {MOST_PROCESSES} processes at most")
        return found

    def plan(self, cpus: float, gpus: float) -> tuple[Resources | None, list[str]]:
        """Complete what was asked for, given the CPUs and GPUs there are in all; None and every problem otherwise.

        Each process of a trial takes one CPU, and a whole GPU when there are any; as many trials run at once as fit.
        More may be asked for: they wait until there is room, on a node that joins later, say. An "auto" is completed in
        the same way: that is what a search falls back on when nothing can be measured.
        """
        cpus_each = self.cpus_per_trial if isinstance(self.cpus_per_trial, int) else self.processes
        default = float(self.processes) if gpus else 0.0
        gpus_each = self.gpus_per_trial if isinstance(self.gpus_per_trial, int | float) else default
        problems = self.problems()
        if cpus_each > cpus:
            decides = "cpus" if isinstance(self.cpus_per_trial, int) or self.processes == 1 else self._processes_from
            problems.append(f"--{decides}-per-trial is {cpus_each}, but there are {cpus:g} CPUs; ask for fewer")
        if gpus_each > gpus:
            decides = "gpus" if self.processes == 1 else self._processes_from
            mend = "or for 0" if decides == "gpus" else "or for --gpus-per-trial 0"
            problems.append(
                f"--{decides}-per-trial is {gpus_each:g}, but there are {gpus:g} GPUs; ask for fewer, {mend}"
            )
        if problems:
            return None, problems
        fitting = int(cpus // cpus_each)
        if gpus_each:
            fitting = min(fitting, int(gpus / gpus_each + 1e-9))
        concurrent = self.concurrent or max(1, fitting)
        return Resources(concurrent, cpus_each, gpus_each, processes_per_trial=self.processes), []

    def packings(self, cpus: int, gpus: int, trials: int) -> list[Packing]:
        """What there is to choose from for the "auto" on a node with so many CPUs and GPUs, fewest trials first.

        trials: how many there are to run on the node; more together are of no use.
        """
        trials = max(1, min(trials, self.concurrent or trials))
        share = max(1, cpus // gpus) if gpus else cpus
        fixed = self.cpus_per_trial if isinstance(self.cpus_per_trial, int) else None
        given = self.gpus_per_trial if isinstance(self.gpus_per_trial, int | float) else None
        if given:
            # So many trials have room on the GPUs, which no number of CPUs changes.
            together = max(1, int(1 / given + 1e-9))
            return [Packing(together, max(1, int(share * max(1.0, given)) // together), given)]
        if given is None and gpus:
            return split_gpu(share, fixed, trials)
        return split_cpus(cpus, trials) if fixed is None else [Packing(max(1, cpus // fixed), fixed, 0.0)]

    def as_packed(self, packing: Packing) -> ResourcesAsked:
        """The same with a packing in place of "auto"."""
        return replace(self, cpus_per_trial=packing.cpus_per_trial, gpus_per_trial=packing.gpus_per_trial)


def cpus_here() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
