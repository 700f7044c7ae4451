"""Folders of searches that cost nothing, of any size and fate, for the tests of pages."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.search.curves import run_of
from tune_lpc.plan import Choice, Float, Space
from tune_lpc.plan.record import EpochRecord
from tune_lpc.results import JOURNAL_FILE, Journal, Ledger, export, write_run
from tune_lpc.results.events import Event, Measured, RunEnded, RunStarted, Status, TrialEnded, TrialStarted, trial_id_of
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director
from tune_lpc.search.importance import write_importance
from tune_lpc.search.sampler import RandomSampler
from tune_lpc.search.simulated import Record, simulate

SPACE = Space(
    name="made",
    about="for tests",
    dimensions={
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "gamma_ramp": Choice(["off", "exponential"]),
        "gamma_end": Float(1.0, 1e6, log=True),
        "dropout": Float(0.0, 0.5),
    },
    settings={"epochs": 27, "gamma_start": 1e-4},
)
FACTS = {
    "command": "python -m tune_lpc.run made",
    "started": "2026-11-27T10:00:00+00:00",
    "method": "lpc",
    "versions": {"tune_lpc": "0.2.0", "torch": "2.14.1"},
    "git": {"commit": "0" * 40, "dirty": False},
    "hardware": {"machine": "x86_64", "cpus": 2, "gpus": 0},
    "data": {"source": "digits, 1,437 images", "fingerprint": "f" * 64, "validation_images": 144},
    "measures": {},
}


class _Log:
    """A journal as a director has it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def write(self, event: Event) -> bool:
        self._journal.write(event)
        return True


def made_run(
    folder: Path, trials: int, *, fate: str = "mixed", objectives: tuple[str, ...] = (), control: int = 0
) -> Path:
    """The folder of a search of so many configs, as the tool leaves it.

    fate: "mixed", some diverge and one reports a huge loss; "diverged" or "failed", all of them do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    space = replace(SPACE, trials=max(1, trials), control_trials=control)
    if trials > 1000:
        space = replace(space, rung_rule="stop")  # quicker to simulate
    if objectives:
        space = replace(space, objectives=objectives)
    about = run_of(space, **FACTS)
    write_run(folder, about)
    with Journal(folder / JOURNAL_FILE) as journal:
        journal.write(RunStarted(about))
        ledger = Ledger([RunStarted(about)])
        director = Director(space, ledger, _Log(journal), RandomSampler(space))
        if trials and fate == "failed":
            for number in range(trials):
                name = trial_id_of(number)
                journal.write(TrialStarted(name, number, space.trial({"learning_rate": 1e-3, "gamma_ramp": "off",
                                                                      "dropout": 0.1}).as_dict()))  # fmt: skip
                journal.write(TrialEnded(name, Status.FAILED, f"RuntimeError: out of memory at {number} MiB"))
        elif trials:
            simulate(director, _diverging if fate == "diverged" else _curve, slots=4, measures=_measured)
        journal.write(RunEnded("finished", "all trials ended"))
    export(folder)
    write_importance(folder)
    return folder


def _measured(assignment: Assignment, position: tuple[int, int]) -> Measured | None:
    spec = assignment.spec
    collapse = 1.0 / (1.0 + math.log10(1.0 + (spec.gamma_end or 0.0)))
    place = None if position == (spec.epochs, spec.epochs) else position
    return Measured(assignment.trial_id, {"nc2_equinorm": collapse}, {}, place)


def _curve(assignment: Assignment) -> Iterator[Record]:
    """Better near a learning rate of 3e-3, and a little with a gamma; large learning rates may diverge."""
    spec = assignment.spec
    draw = random.Random(f"{sorted(assignment.drawn.items(), key=str)} {spec.seed}")
    height = 0.95 - 0.08 * abs(math.log10(spec.learning_rate / 3e-3)) + (0.01 if spec.gamma_ramp != "off" else 0.0)
    diverges = draw.randint(2, spec.epochs) if spec.learning_rate > 0.05 and draw.random() < 0.7 else None
    for epoch in range(1, spec.epochs + 1):
        if epoch == diverges:
            yield _record(assignment, epoch, None, f"train_loss became nan in epoch {epoch}")
            return
        score = height * (1 - 0.5 * math.exp(-0.3 * epoch)) + draw.gauss(0, 0.01)
        yield _record(assignment, epoch, min(0.999, max(0.1, round(score, 4))))


def _diverging(assignment: Assignment) -> Iterator[Record]:
    yield _record(assignment, 1, None, "train_loss became inf in epoch 1")


def _record(assignment: Assignment, epoch: int, score: float | None, diverged: str | None = None) -> Record:
    spec = assignment.spec
    share = epoch / spec.epochs
    return EpochRecord(
        spec.epochs,
        epoch,
        train_loss=1.0 / epoch,
        train_classification=1.0 / epoch,
        train_penalty=0.0,
        train_topological=None,
        train_contrastive=0.0,
        train_accuracy=score,
        validation_loss=1e30 if assignment.number == 3 else 1.5 / epoch,
        validation_accuracy=score,
        gamma=0.0 if spec.gamma_ramp == "off" else 1e-4 * (spec.gamma_end or 1.0) ** share,
        beta=None,
        topological_weight=0.0,
        learning_rate=spec.learning_rate * (1 - share) + 1e-8,
        mean_norm=5.0 / epoch,
        nc1=1.0 / epoch,
        images_per_second=1e4,
        seconds=1.0,
        diverged=diverged,
    ).as_dict()
