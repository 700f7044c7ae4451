"""What a journal tells, trial by trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_lpc.spec.record import SCORE

STATUSES = ("completed", "stopped", "diverged", "failed", "interrupted")
"""How a trial can end; interrupted: it has no end entry, since the search was killed or is still running."""


@dataclass
class TrialHistory:
    """One trial as the journal tells it.

    records: an EpochRecord as a dict, by epoch; the later one where an epoch was done again.
    measures: the measures taken at the end by name, None where one could not be computed; measure_reasons: why not.
    seconds: time of all epochs, those done again included.
    reason: why it ended; None without an end entry.
    """

    trial_id: str
    number: int
    config: Mapping[str, Any]
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    measures: dict[str, float | None] = field(default_factory=dict)
    measure_reasons: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    status: str = "interrupted"
    reason: str | None = None

    @property
    def epochs(self) -> int:
        """Epochs reached."""
        return max(self.records, default=0)

    @property
    def last(self) -> dict[str, Any]:
        """The record of the last epoch; empty when there is none."""
        return self.records.get(self.epochs, {})

    @property
    def best(self) -> dict[str, Any]:
        """The record with the best score, the first of equals; empty when no epoch has a score."""
        scored = [self.records[epoch] for epoch in sorted(self.records) if self.records[epoch].get(SCORE) is not None]
        return max(scored, key=lambda record: record[SCORE], default={})


@dataclass(frozen=True)
class History:
    """A search as the journal tells it: the content of run.json, the trials in order of number, what is missing."""

    run: dict[str, Any]
    trials: list[TrialHistory]
    left_out: list[str]


def history_of(entries: Iterable[Mapping[str, Any]]) -> History:
    """Put the entries of a journal together; unknown kinds are passed over.

    A trial that starts again keeps its number and its epochs, and has no end until it ends again. A trial whose start
    entry was lost has neither number nor config: it is left out, and `left_out` says so.
    """
    run: dict[str, Any] = {}
    trials: dict[str, TrialHistory] = {}
    orphans: Counter[str] = Counter()
    for entry in entries:
        kind = entry["kind"]
        if kind == "run_started":
            run = entry["run"]
        elif kind == "trial_started":
            _start(trials, entry)
        elif kind in ("epoch", "measures", "trial_ended"):
            trial = trials.get(entry["trial_id"])
            if trial is None:
                orphans[entry["trial_id"]] += 1
            elif kind == "epoch":
                trial.records[entry["record"]["epoch"]] = entry["record"]
                trial.seconds += entry["record"].get("seconds") or 0.0
            elif kind == "measures":
                trial.measures, trial.measure_reasons = entry["values"], entry["reasons"]
            else:
                trial.status, trial.reason = entry["status"], entry["reason"]
    left_out = [
        f"trial {trial_id} is left out: its start entry is missing ({count} {'entry' if count == 1 else 'entries'})"
        for trial_id, count in orphans.items()
    ]
    return History(run, sorted(trials.values(), key=lambda trial: trial.number), left_out)


def _start(trials: dict[str, TrialHistory], entry: Mapping[str, Any]) -> None:
    trial_id = entry["trial_id"]
    if trial_id in trials:
        trials[trial_id].status, trials[trial_id].reason = "interrupted", None
    else:
        trials[trial_id] = TrialHistory(trial_id, entry["number"], entry["config"])
