"""What a trial takes of a machine, and how many trials run at once."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tune_lpc.spec.errors import shown

MOST = 10**6
"""Of trials at once, of CPUs and of GPUs that can be asked for."""


@dataclass(frozen=True)
class Resources:
    """What a trial takes, and how many run at once."""

    concurrent: int
    cpus_per_trial: int
    gpus_per_trial: float

    def describe(self) -> str:
        """One line for people."""
        gpus = f", {self.gpus_per_trial:g} GPU" if self.gpus_per_trial else ""
        return f"{self.concurrent} at once, {self.cpus_per_trial} CPU{gpus} each"


@dataclass(frozen=True)
class ResourcesAsked:
    """What the user asked for; None leaves it to `plan`."""

    concurrent: int | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None

    def problems(self) -> list[str]:
        """Every rule that the values break on any machine, one line each."""
        whole = {"--concurrent": self.concurrent, "--cpus-per-trial": self.cpus_per_trial}
        found = [
            f"{option} is {shown(value)}, but must be from 1 to {MOST}"
            for option, value in whole.items()
            if value is not None and not 1 <= value <= MOST
        ]
        gpus = self.gpus_per_trial
        if gpus is not None and not (0 <= gpus <= 1 or (1 < gpus <= MOST and gpus == gpus // 1)):
            rule = f"0, a share up to 1, or a whole number up to {MOST}"
            found.append(f"--gpus-per-trial is {gpus:g}, but must be {rule}")
        return found

    def plan(self, cpus: float, gpus: float) -> tuple[Resources | None, list[str]]:
        """Complete what was asked for, given the CPUs and GPUs there are in all; None and every problem otherwise.

        A trial takes one CPU, and a whole GPU when there are any; as many run at once as fit. More may be asked for:
        they wait until there is room, on a node that joins later, say.
        """
        cpus_each = 1 if self.cpus_per_trial is None else self.cpus_per_trial
        gpus_each = (1.0 if gpus else 0.0) if self.gpus_per_trial is None else self.gpus_per_trial
        problems = self.problems()
        if cpus_each > cpus:
            problems.append(f"--cpus-per-trial is {cpus_each}, but there are {cpus:g} CPUs; ask for fewer")
        if gpus_each > gpus:
            problems.append(f"--gpus-per-trial is {gpus_each:g}, but there are {gpus:g} GPUs; ask for fewer, or for 0")
        if problems:
            return None, problems
        fitting = int(cpus // cpus_each)
        if gpus_each:
            fitting = min(fitting, int(gpus / gpus_each + 1e-9))
        return Resources(self.concurrent or max(1, fitting), cpus_each, gpus_each), []


def cpus_here() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
