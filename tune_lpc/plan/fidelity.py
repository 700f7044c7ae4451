"""Rungs and budgets: when early stopping looks at a trial, what it trains until then, and what a search costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tune_lpc.plan.errors import nearest, shown

MODES = ("compressed", "truncated", "full")
"""How rungs are reached: by complete short runs, by one long run looked at early, or no rungs at all."""
RUNG_RULES = ("promote", "stop")
"""What becomes of a trial that a rung leaves: it waits, and goes on when it is among the best later, or it ends."""
MOST_RUNGS = 3
"""Rungs placed below the full budget, at most, when no first rung is asked for."""
EARLIEST_LOOK = 3
"""No rung is placed before this epoch unless asked for: one or two epochs tell more of luck than of a config."""


@dataclass(frozen=True)
class Fidelity:
    """Asynchronous successive halving (ASHA; Li et al., MLSys 2020) over epochs.

    At each rung only the best ``1 / reduction_factor`` of the trials seen there go on.

    epochs: the full budget of a trial.
    mode: "compressed": a trial trains a complete run of as many epochs as each rung says, with every schedule squeezed
        into it, one after another, then that of the full budget; a rung's score is that of its run's last epoch.
        "truncated": one run of the full budget; a rung is an epoch of it. "full": one run, no rungs.
    reduction_factor: 2 or more.
    first_rung: epochs of the first rung; None places `most_rungs`, at epochs / factor, epochs / factor^2 and so on,
        those before epoch 3 left out. At the full budget there is none.

    A trial stands at a (budget, epoch): the length of the run that it is in, one of `runs`, and the epoch of that run.
    """

    epochs: int
    mode: str = "truncated"
    reduction_factor: int = 3
    first_rung: int | None = None
    most_rungs: int = MOST_RUNGS

    @classmethod
    def of_run(cls, run: Mapping[str, Any]) -> Fidelity | None:
        """The rungs that were in force in a run, from the content of its run.json; None where it does not say."""
        try:
            space, rungs = run["space"], run["rungs"]
            most = space.get("most_rungs", 2)  # before it could be chosen there were two
            as_asked = cls(space["settings"]["epochs"], space["fidelity_mode"], space["reduction_factor"], None, most)
        except KeyError:
            return None
        # The usual rungs are no multiples of the first; any others are.
        others = replace(as_asked, first_rung=rungs[0] if rungs else as_asked.epochs)
        return next((found for found in (as_asked, others) if found.rungs() == rungs), None)

    def problems(self) -> list[str]:
        """Every rule that the values break, one line each."""
        found = []
        if self.mode not in MODES:
            found.append(
                f"mode is {shown(self.mode)}, but must be one of {', '.join(MODES)}{nearest(self.mode, MODES)}"
            )
        if self.reduction_factor < 2:
            found.append(f"reduction_factor is {self.reduction_factor}, but must be 2 or more")
        if self.first_rung is not None and not 1 <= self.first_rung <= self.epochs:
            found.append(f"first_rung is {self.first_rung}, but must be from 1 to epochs ({self.epochs})")
        return found

    def rungs(self) -> list[int]:
        """Epochs after which a trial may be stopped, rising, all below the full budget."""
        if self.mode == "full":
            return []
        if self.first_rung is None:
            powers = range(self.most_rungs, 0, -1)
            candidates = [math.ceil(self.epochs / self.reduction_factor**power) for power in powers]
            candidates = [rung for rung in candidates if rung >= EARLIEST_LOOK]
        else:
            candidates = []
            rung = self.first_rung
            while rung < self.epochs:
                candidates.append(rung)
                rung *= self.reduction_factor
        return sorted({rung for rung in candidates if rung < self.epochs})

    def runs(self) -> list[int]:
        """Lengths in epochs of the runs that a trial trains one after another when it is never stopped."""
        return [*self.rungs(), self.epochs] if self.mode == "compressed" else [self.epochs]

    def rung_positions(self) -> list[tuple[int, int]]:
        """Where a trial stands when it comes to each rung."""
        return [(rung if self.mode == "compressed" else self.epochs, rung) for rung in self.rungs()]

    def rung_at(self, budget: int, epoch: int) -> int | None:
        """The rung at which the score of `epoch` of the run of `budget` epochs counts, None where it counts at none."""
        if self.mode == "compressed":
            return budget if epoch == budget and budget in self.rungs() else None
        return epoch if budget == self.epochs and epoch in self.rungs() else None

    def trained(self, budget: int, epoch: int) -> int:
        """Epochs that a trial has trained in all when it stands there, the earlier runs of its climb included."""
        return sum(run for run in self.runs() if run < budget) + epoch

    def after(self, position: tuple[int, int] | None) -> tuple[int, int]:
        """Where a trial stands after the next epoch, the first one for None; after the last there is no other."""
        runs = self.runs()
        if position is None:
            return runs[0], 1
        budget, epoch = position
        if epoch < budget:
            return budget, epoch + 1
        return (budget, epoch) if budget == runs[-1] else (runs[runs.index(budget) + 1], 1)

    @property
    def climb_epochs(self) -> int:
        """Epochs that a trial trains in all when it is never stopped."""
        return self.trained(self.epochs, self.epochs)

    def expected_epochs(self, trials: int, control_trials: int = 0) -> int:
        """Epochs that `trials` trials cost when they arrive at the rungs in random order.

        The first arrival at a rung always passes, so small searches cost more than the ideal; the k-th of n
        arrivals passes with probability 1 / reduction_factor, and never less than one trial goes on.
        `control_trials` of them are never stopped.
        """
        stoppable = float(trials - control_trials)
        total, alive, before = float(control_trials * self.climb_epochs), stoppable, 0
        for reached in self.stage_ends():
            total += alive * (reached - before)
            alive = min(stoppable, max(1.0, alive / self.reduction_factor))
            before = reached
        return round(total)

    def expected_trained(self, trials: int, control_trials: int = 0) -> int:
        """How many of them train their full budget, reckoned in the same way."""
        stoppable = alive = float(trials - control_trials)
        for _ in self.rungs():
            alive = min(stoppable, max(1.0, alive / self.reduction_factor))
        return control_trials + math.ceil(alive)

    def stage_ends(self) -> list[int]:
        """Epochs that a trial has trained in all when it comes to each rung, and at its end."""
        rungs = [self.trained(rung, rung) if self.mode == "compressed" else rung for rung in self.rungs()]
        return [*rungs, self.climb_epochs]
