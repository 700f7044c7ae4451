"""Rungs and budgets: when early stopping looks at a trial, and what a search costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

LOOKS = 2
"""Rungs placed below the full budget when no first rung is asked for."""
EARLIEST_LOOK = 3
"""No rung is placed before this epoch unless asked for: one or two epochs tell more of luck than of a config."""


@dataclass(frozen=True)
class Fidelity:
    """Asynchronous successive halving (ASHA; Li et al., MLSys 2020) over epochs.

    At each rung only the best ``1 / reduction_factor`` of the trials seen there go on.

    epochs: the full budget of a trial.
    reduction_factor: 2 or more.
    first_rung: epoch of the first look; None places two looks, at epochs / factor^2 and epochs / factor, those before
        epoch 3 left out.
    """

    epochs: int
    reduction_factor: int = 3
    first_rung: int | None = None

    def problems(self) -> list[str]:
        """Every rule that the values break, one line each."""
        found = []
        if self.reduction_factor < 2:
            found.append(f"reduction_factor is {self.reduction_factor}, but must be 2 or more")
        if self.first_rung is not None and not 1 <= self.first_rung <= self.epochs:
            found.append(f"first_rung is {self.first_rung}, but must be from 1 to epochs ({self.epochs})")
        return found

    def rungs(self) -> list[int]:
        """Epochs at which a trial may be stopped, rising, all below the full budget."""
        if self.first_rung is None:
            powers = range(LOOKS, 0, -1)
            candidates = [math.ceil(self.epochs / self.reduction_factor**power) for power in powers]
            candidates = [rung for rung in candidates if rung >= EARLIEST_LOOK]
        else:
            candidates = []
            rung = self.first_rung
            while rung < self.epochs:
                candidates.append(rung)
                rung *= self.reduction_factor
        return sorted({rung for rung in candidates if rung < self.epochs})

    def expected_epochs(self, trials: int) -> int:
        """Epochs that `trials` trials cost when they arrive at the rungs in random order.

        The first arrival at a rung always passes, so small searches cost more than the ideal; the k-th of n
        arrivals passes with probability 1 / reduction_factor, and never less than one trial goes on.
        """
        total, alive, last = 0.0, float(trials), 0
        for rung in [*self.rungs(), self.epochs]:
            total += alive * (rung - last)
            alive = max(1.0, alive / self.reduction_factor)
            last = rung
        return round(total)
