"""What a search may take in time, as the user asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tune_lpc.plan.errors import shown

MOST_HOURS = 10**6
HOUR = 3600.0
"""Seconds."""


@dataclass(frozen=True)
class HoursAsked:
    """hours: by the clock. gpu_hours: of all trials together, each counted by its share of GPUs. None: no limit."""

    hours: float | None = None
    gpu_hours: float | None = None

    @property
    def is_limited(self) -> bool:
        """Whether time limits the search at all."""
        return self.hours is not None or self.gpu_hours is not None

    def problems(self) -> list[str]:
        """Every rule that the values break on any machine, one line each."""
        given = {"--hours": self.hours, "--gpu-hours": self.gpu_hours}
        return [
            f"{option} is {shown(value)}, but must be a number above 0 and up to {MOST_HOURS}"
            for option, value in given.items()
            if value is not None and not 0 < value <= MOST_HOURS
        ]

    def gpu_problems(self, gpus_per_trial: float) -> list[str]:
        """What is wrong with GPU hours where a trial takes so many GPUs."""
        if self.gpu_hours is None or gpus_per_trial:
            return []
        return [f"--gpu-hours is {self.gpu_hours:g}, but the trials use no GPU; limit the search with --hours"]

    def describe(self) -> str:
        """The limits in words, such as "2 hours and 5 GPU hours"."""
        given = [(self.hours, "hour"), (self.gpu_hours, "GPU hour")]
        return " and ".join(
            f"{value:g} {unit}{'' if value == 1 else 's'}" for value, unit in given if value is not None
        )

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"hours": self.hours, "gpu_hours": self.gpu_hours}
