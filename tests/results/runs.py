"""Journals of made-up searches for the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.record import EpochRecord
from tune_lpc.plan.trial import Value
from tune_lpc.results import Journal

BUDGET = 4
RUN = {
    "command": "python -m tune_lpc.run digits",
    "seeds": {"search": 7},
    "share": 0.1,
    "space": {"reduction_factor": 3},
}

LPC: dict[str, Any] = {"gamma_ramp": "linear", "gamma_end": 10.0}
TOPOLOGICAL: dict[str, Any] = {"topological_weight_schedule": "rising", "beta": 0.5}
SGD: dict[str, Any] = {"optimizer": "sgd", "nesterov": True}


def record(epoch: int, accuracy: float | None = 0.5, budget: int = BUDGET, **values: Any) -> dict[str, Any]:
    """An epoch as the loop would report it; `values` replace the made-up ones."""
    made_up = EpochRecord(
        budget=budget,
        epoch=epoch,
        train_loss=1.5 / epoch,
        train_classification=1.0 / epoch,
        train_penalty=0.5 / epoch,
        train_topological=None,
        train_contrastive=0.0,
        train_accuracy=0.25,
        validation_loss=2.0 / epoch,
        validation_accuracy=accuracy,
        gamma=1e-3 * epoch,
        beta=None,
        topological_weight=0.0,
        learning_rate=1e-3,
        mean_norm=3.5,
        nc1=0.125,
        images_per_second=1000.0,
        seconds=2.0,
        diverged=None,
    )
    return made_up.as_dict() | values


class Search:
    """Writes the journal of a search, a call an event; trials are numbered as they start."""

    def __init__(self, directory: Path, **run: Any) -> None:
        """run: what run.json says besides RUN, or in its place."""
        self.directory = directory
        self.journal = Journal(directory / "journal.jsonl")
        self.journal.append("run_started", run={**RUN, **run})
        self.trials = 0

    def start(self, control: bool = False, repeat_of: int | None = None, **settings: Value) -> str:
        """Start a trial; returns its id. repeat_of: number of the trial of which it is a further seed."""
        trial_id = f"t{self.trials:03d}"
        config = TrialSpec.build({"epochs": BUDGET, **settings}).as_dict()
        started = {"trial_id": trial_id, "number": self.trials, "config": config, "control": control}
        self.journal.append("trial_started", **started, repeat_of=repeat_of)
        self.trials += 1
        return trial_id

    def epoch(self, trial_id: str, epoch: int, accuracy: float | None = 0.5, **values: Any) -> None:
        self.journal.append("epoch", trial_id=trial_id, record=record(epoch, accuracy, **values))

    def end(self, trial_id: str, status: str = "completed", reason: str = "full budget") -> None:
        self.journal.append("trial_ended", trial_id=trial_id, status=status, reason=reason)

    def run(self, trial_id: str, budget: int, accuracies: list[float | None]) -> None:
        """A run of a climb, from its first epoch to as many as there are scores."""
        for epoch, accuracy in enumerate(accuracies, start=1):
            self.epoch(trial_id, epoch, accuracy, budget=budget)

    def rung(self, trial_id: str, rung: int, score: float | None, **values: Any) -> None:
        entry = {"rank": 1, "of": 1, "goes_on": True, "control": False, **values}
        self.journal.append("rung", trial_id=trial_id, rung=rung, score=score, **entry)

    def placed(self, trial_id: str, continued_from: tuple[int, int] | None = None, processes: int = 1) -> None:
        stay = {"host": "here", "pid": 7, "continued_from": continued_from, "left_out": [], "processes": processes}
        self.journal.append("trial_placed", trial_id=trial_id, **stay)

    def trial(
        self,
        accuracies: list[float | None],
        status: str | None = "completed",
        repeat_of: int | None = None,
        **settings: Value,
    ) -> str:
        """A whole trial: its score at each epoch, and how it ended (None: it has no end entry)."""
        trial_id = self.start(repeat_of=repeat_of, **settings)
        for epoch, accuracy in enumerate(accuracies, start=1):
            self.epoch(trial_id, epoch, accuracy)
        if status is not None:
            self.end(trial_id, status, f"it {status}")
        return trial_id


def front_search(directory: Path) -> Search:
    """A search for accuracy and NC1: trials 0 and 2 are on the front, 1 is not, 3 was stopped."""
    space = {"reduction_factor": 3, "objectives": ["validation_accuracy:max", "nc1:min"]}
    search = Search(directory, space=space)
    for epochs, accuracy, nc1 in ((BUDGET, 0.9, 2.0), (BUDGET, 0.5, 4.0), (BUDGET, 0.5, 0.125), (1, 0.2, 0.01)):
        trial_id = search.start()
        for epoch in range(1, epochs + 1):
            search.epoch(trial_id, epoch, accuracy, nc1=nc1)
        search.end(trial_id, "completed" if epochs == BUDGET else "stopped")
    found = {"configs": 3, "epochs": 3 * BUDGET, "front": [0, 2], "hypervolume": 0.375}
    search.journal.append("front", trial_id="t002", **found)
    return search


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes meanwhile: writing more fails in the middle, as on a full disk."""
    import pytest

    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
