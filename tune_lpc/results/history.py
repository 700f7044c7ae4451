"""What a journal tells, trial by trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_lpc.plan.record import SCORE

STATUSES = ("completed", "stopped", "diverged", "failed", "interrupted")
"""How a trial can end; interrupted: it has no end entry, since the search was killed or is still running."""


@dataclass(frozen=True)
class TrainingRun:
    """One training from scratch of a trial: its records, at least one, in order of epoch.

    budget: epochs that it is to train, by which every schedule is stretched.
    """

    budget: int
    records: list[dict[str, Any]]

    @property
    def epochs(self) -> int:
        """Epochs reached."""
        return int(self.last["epoch"])

    @property
    def last(self) -> dict[str, Any]:
        """The record of the last epoch."""
        return self.records[-1]

    @property
    def best(self) -> dict[str, Any]:
        """The record with the best score, the first of equals; empty when no epoch has a score."""
        scored = [record for record in self.records if record.get(SCORE) is not None]
        return max(scored, key=lambda record: record[SCORE], default={})


@dataclass
class TrialHistory:
    """One trial as the journal tells it.

    control: whether it was never to be stopped at a rung.
    records: an EpochRecord as a dict, by (budget, epoch); the later one where an epoch was done again.
    measures: the measures taken at the end by name, None where one could not be computed; measure_reasons: why not.
    epochs_repeated: how many epochs were done again. An entry with the very same record, times included, does not
        count: a trial that goes on from a checkpoint tells its last epoch once more.
    seconds: time of all epochs, those done again included.
    restarts: how often it was started again in the same search, since its worker or node was lost, or it was stuck.
    reason: why it ended; None without an end entry.
    """

    trial_id: str
    number: int
    config: Mapping[str, Any]
    control: bool = False
    records: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    measures: dict[str, float | None] = field(default_factory=dict)
    measure_reasons: dict[str, str] = field(default_factory=dict)
    epochs_repeated: int = 0
    seconds: float = 0.0
    restarts: int = 0
    status: str = "interrupted"
    reason: str | None = None

    def add_epoch(self, record: Mapping[str, Any]) -> None:
        """Take in an epoch entry. A journal from before there were budgets knows one run only, of the full one."""
        complete = {"budget": self.full_budget, **record}
        key = complete["budget"], complete["epoch"]
        if self.records.get(key) == complete:
            return
        self.epochs_repeated += key in self.records
        self.records[key] = complete
        self.seconds += complete.get("seconds") or 0.0

    @property
    def full_budget(self) -> int:
        """Epochs of the run that completes the trial."""
        return int(self.config["epochs"])

    @property
    def epochs_trained(self) -> int:
        """Distinct epochs of all its runs."""
        return len(self.records)

    @property
    def longest(self) -> TrainingRun | None:
        """The run with the largest budget that has an epoch: how far the trial came; None without an epoch."""
        return self._run(max((budget for budget, _ in self.records), default=None))

    @property
    def budget(self) -> int | None:
        """Budget of its longest run; None without an epoch."""
        return self.longest.budget if self.longest else None

    @property
    def epochs(self) -> int:
        """Epochs reached in its longest run."""
        return self.longest.epochs if self.longest else 0

    @property
    def last(self) -> dict[str, Any]:
        """The record of the last epoch of its longest run; empty without an epoch."""
        return self.longest.last if self.longest else {}

    @property
    def best(self) -> dict[str, Any]:
        """The record of its longest run with the best score, the first of equals; empty without a score."""
        return self.longest.best if self.longest else {}

    @property
    def judged(self) -> TrainingRun | None:
        """The run by which the trial is ranked, None when there is none.

        The longest finished one: a score in the middle of a run is not that of a finished ramp, and a shorter run has
        one that is. Where no run is finished, the one of the full budget: it is the only one of a trial that does not
        climb, and its last epoch is all there is. A climb that was cut off in its first short run has none.
        """
        finished = max((budget for budget, epoch in self.records if epoch == budget), default=None)
        if finished is not None:
            return self._run(finished)
        return self.longest if self.budget == self.full_budget else None

    @property
    def is_trained(self) -> bool:
        """Whether the full budget was trained to its end."""
        return (self.full_budget, self.full_budget) in self.records

    def _run(self, budget: int | None) -> TrainingRun | None:
        keys = sorted(key for key in self.records if key[0] == budget)
        return TrainingRun(keys[0][0], [self.records[key] for key in keys]) if keys else None


@dataclass(frozen=True)
class History:
    """A search as the journal tells it.

    run: the content of run.json. trials: in order of number. left_out: a line for each trial that is missing.
    rungs: the rung entries in order, each with the trial's `number`; of several of one trial at one rung the first,
        by which it was decided.
    """

    run: dict[str, Any]
    trials: list[TrialHistory]
    left_out: list[str]
    rungs: list[dict[str, Any]]


def history_of(entries: Iterable[Mapping[str, Any]]) -> History:
    """Put the entries of a journal together; unknown kinds are passed over.

    A trial that starts again keeps its number and its epochs, and has no end until it ends again. A trial whose start
    entry was lost has neither number nor config: it is left out, and `left_out` says so.
    """
    run: dict[str, Any] = {}
    trials: dict[str, TrialHistory] = {}
    rungs: dict[tuple[str, int], dict[str, Any]] = {}
    orphans: Counter[str] = Counter()
    for entry in entries:
        kind = entry["kind"]
        if kind == "run_started":
            run = entry["run"]
        elif kind == "trial_started":
            _start(trials, entry)
        elif kind in ("epoch", "measures", "rung", "trial_restarted", "trial_ended"):
            trial = trials.get(entry["trial_id"])
            if trial is None:
                orphans[entry["trial_id"]] += 1
            elif kind == "epoch":
                trial.add_epoch(entry["record"])
            elif kind == "measures":
                trial.measures, trial.measure_reasons = entry["values"], entry["reasons"]
            elif kind == "rung":
                rungs.setdefault((trial.trial_id, entry["rung"]), {**entry, "number": trial.number})
            elif kind == "trial_restarted":
                trial.restarts += 1
            else:
                trial.status, trial.reason = entry["status"], entry["reason"]
    left_out = [
        f"trial {trial_id} is left out: its start entry is missing ({count} {'entry' if count == 1 else 'entries'})"
        for trial_id, count in orphans.items()
    ]
    in_order = sorted(trials.values(), key=lambda trial: trial.number)
    return History(run, in_order, left_out, list(rungs.values()))


def _start(trials: dict[str, TrialHistory], entry: Mapping[str, Any]) -> None:
    trial_id = entry["trial_id"]
    if trial_id in trials:
        trials[trial_id].status, trials[trial_id].reason = "interrupted", None
    else:
        control = entry.get("control", False)
        trials[trial_id] = TrialHistory(trial_id, entry["number"], entry["config"], control)
