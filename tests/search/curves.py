"""Learning curves that cost nothing, for searches under the simulated engine."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from typing import Any

from tune_lpc.plan import Space
from tune_lpc.plan.record import EpochRecord
from tune_lpc.results import Ledger
from tune_lpc.results.events import RunStarted
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director
from tune_lpc.search.samplers import SAMPLERS
from tune_lpc.search.simulated import MemoryLog, Record


def record(budget: int, epoch: int, score: float | None, seconds: float = 1.0, diverged: str | None = None) -> Record:
    """An epoch of which only budget, epoch and score matter."""
    return EpochRecord(
        budget, epoch, train_loss=1.0, train_classification=1.0, train_penalty=0.0, train_topological=0.0,
        train_contrastive=0.0, train_accuracy=0.5, validation_loss=1.0, validation_accuracy=score, gamma=0.0, beta=None,
        topological_weight=0.0, learning_rate=1e-3, mean_norm=1.0, nc1=1.0, images_per_second=100.0, seconds=seconds,
        diverged=diverged,
    ).as_dict()  # fmt: skip


def noisy_curve(assignment: Assignment) -> Iterator[Record]:
    """A curve that rises to a height of its own, with noise, a function of the config alone; one in ten diverges.

    A further seed has the height of its config and another noise, a function of its seed and split too.
    """
    config = repr(sorted(assignment.drawn.items(), key=str))
    draw = random.Random(config)
    height, rate = draw.random(), draw.uniform(0.05, 0.5)
    if assignment.repeat_of is not None:
        draw = random.Random(f"{config} {assignment.spec.seed} {assignment.spec.split}")
    epochs = assignment.spec.epochs
    diverges = draw.randint(1, epochs) if draw.random() < 0.1 else None
    for epoch in range(1, epochs + 1):
        if epoch == diverges:
            yield record(epochs, epoch, None, diverged=f"train_loss became nan in epoch {epoch}")
            return
        score = height * (1 - math.exp(-rate * epoch)) + draw.gauss(0, 0.02)
        yield record(epochs, epoch, round(score, 3), seconds=draw.uniform(0.9, 1.1))


def run_of(space: Space, **more: Any) -> dict[str, Any]:
    """What run.json says of a search of `space`, as far as a director needs it; as it comes back from JSON."""
    run = {"space": space.as_dict(), "rungs": space.fidelity.rungs(), "seeds": {"sampler": space.seed}, **more}
    restored: dict[str, Any] = json.loads(json.dumps(run))
    return restored


def begin(space: Space, sampler: str = "random", slots: int = 1, log: MemoryLog | None = None) -> Director:
    """A director of a search that begins, or goes on from what `log` holds."""
    log = log or MemoryLog()
    if not log.events:
        log.write(RunStarted(run_of(space)))
    director = Director(space, Ledger(log.events), log, SAMPLERS[sampler](space, slots, ()))
    director.settle()
    return director
