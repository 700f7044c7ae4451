"""The numbers by which a running search is watched from outside, as its events tell of it.

No clock and no process: it is told what happened and the time. It folds the events into a ledger of its own, with the
same `Ledger.apply` as everybody, so that it can be asked in another thread than the search's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tune_lpc.plan.record import SCORE
from tune_lpc.results.events import Event, Status, TrialEnded, TrialStarted, number_of
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.ranking import ranked
from tune_lpc.results.trial import Trial
from tune_lpc.search.time_budget import gpus_of

RUNNING = "running"
STATES = (RUNNING, *(status.value for status in Status))
"""What a trial can be at; interrupted: it has no end, and is on no worker."""
IDLE = -1.0
"""In place of a trial's number: the slot has none."""


@dataclass(frozen=True)
class Metric:
    """A number that is published. Names as Prometheus wants them: base units, `_total` where it can only rise.

    labels: of few values each. at_rest: its value once the search is over.
    """

    name: str
    about: str
    labels: tuple[str, ...] = ()
    at_rest: float = 0.0

    @property
    def only_rises(self) -> bool:
        """Whether it is a counter."""
        return self.name.endswith("_total")


METRICS = (
    Metric("tune_lpc_trials", "Trials by state.", ("state",)),
    Metric("tune_lpc_epochs_total", "Epochs trained, each counted once."),
    Metric("tune_lpc_restarts_total", "Trials started again, as their worker was lost or they were stuck."),
    Metric("tune_lpc_last_epoch_timestamp_seconds", "When the last epoch was reported, in Unix time."),
    Metric("tune_lpc_best_score_ratio", "Score of the first config of the ranking, the mean over its seeds."),
    Metric("tune_lpc_best_score_low_ratio", "Lower end of its 95 % interval."),
    Metric("tune_lpc_best_score_high_ratio", "Upper end of its 95 % interval."),
    Metric("tune_lpc_training_seconds", "Time of all epochs by what became of their trial.", ("state",)),
    Metric("tune_lpc_gpu_seconds", "The same, times the GPUs of the trial.", ("state",)),
    Metric("tune_lpc_rung_arrived_trials", "Trials that have come to a rung.", ("rung",)),
    Metric("tune_lpc_rung_passed_trials", "Those of them that it lets go on.", ("rung",)),
    Metric("tune_lpc_running_trial_number", "Number of the trial in a slot; -1: none.", ("slot",), IDLE),
    Metric("tune_lpc_running_epochs", "Epochs that the trial in a slot has trained.", ("slot",)),
    Metric("tune_lpc_running_silent_seconds", "How long nothing was heard of the trial in a slot.", ("slot",)),
    Metric("tune_lpc_running_gamma", "Strength of its L2 penalty in the last epoch.", ("slot",)),
    Metric("tune_lpc_running_beta", "Scale of its persistence in the last epoch; 0 without.", ("slot",)),
    Metric("tune_lpc_running_validation_accuracy_ratio", "Its validation accuracy in the last epoch.", ("slot",)),
)
OF_SLOTS = tuple(metric.name for metric in METRICS if "slot" in metric.labels)


@dataclass(frozen=True)
class Reading:
    """The value of a metric. labels: by name."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Readings:
    """Is told what happens, and tells the numbers.

    A trial that runs takes the lowest slot that is free: so few labels are enough, however many trials come.

    ledger: of what has happened before; it is changed. gpus_per_trial: where no session says.
    """

    def __init__(self, ledger: Ledger, gpus_per_trial: float = 0.0) -> None:
        self._ledger, self._gpus_per_trial = ledger, gpus_per_trial
        self._slots: list[int | None] = []
        self._heard: dict[int, float] = {}
        self._last_epoch: float | None = None

    def told(self, event: Event, now: float) -> None:
        """Something has happened. now: Unix time."""
        before = self._epochs_of(event)
        self._ledger.apply(event)
        trial_id = getattr(event, "trial_id", None)
        if trial_id is None:
            return
        number = number_of(trial_id)
        if isinstance(event, TrialEnded):
            if number in self._slots:
                self._slots[self._slots.index(number)] = None
            self._heard.pop(number, None)
            return
        if isinstance(event, TrialStarted) and number not in self._slots:
            if None not in self._slots:
                self._slots.append(None)
            self._slots[self._slots.index(None)] = number
        if number in self._slots:
            self._heard[number] = now
        if self._epochs_of(event) > before:
            self._last_epoch = now

    def _epochs_of(self, event: Event) -> int:
        trial = self._ledger.trials.get(getattr(event, "trial_id", ""))
        return 0 if trial is None else trial.epochs_trained

    def read(self, now: float) -> list[Reading]:
        """All numbers that are known; the best score, and when the last epoch was, may not be yet."""
        return [*self._of_trials(), *self._of_best(), *self._of_rungs(), *self._of_slots(now)]

    def _of_trials(self) -> list[Reading]:
        counts: Counter[str] = Counter()
        seconds, gpu_seconds = dict.fromkeys(STATES, 0.0), dict.fromkeys(STATES, 0.0)
        epochs = restarts = 0
        for trial in self._ledger.trials.values():
            state = RUNNING if trial.number in self._heard else trial.status.value
            counts[state] += 1
            seconds[state] += trial.seconds
            gpu_seconds[state] += trial.seconds * self._gpus_of(trial)
            epochs += trial.epochs_trained
            restarts += trial.restarts
        found = [
            Reading("tune_lpc_epochs_total", epochs),
            Reading("tune_lpc_restarts_total", restarts),
        ]
        if self._last_epoch is not None:
            found.append(Reading("tune_lpc_last_epoch_timestamp_seconds", self._last_epoch))
        for state in STATES:
            found += [
                Reading("tune_lpc_trials", counts[state], {"state": state}),
                Reading("tune_lpc_training_seconds", seconds[state], {"state": state}),
                Reading("tune_lpc_gpu_seconds", gpu_seconds[state], {"state": state}),
            ]
        return found

    def _gpus_of(self, trial: Trial) -> float:
        """Those of the session that trained it last."""
        if not trial.placements:
            return self._gpus_per_trial
        return gpus_of(self._ledger.sessions[trial.placements[-1].session].facts, self._gpus_per_trial)

    def _of_best(self) -> list[Reading]:
        best = next(iter(ranked(self._ledger)), None)
        if best is None:
            return []
        values = {"": best.score, "_low": best.low, "_high": best.high}
        return [
            Reading(f"tune_lpc_best_score{which}_ratio", value) for which, value in values.items() if value is not None
        ]

    def _of_rungs(self) -> list[Reading]:
        found = []
        by_number = {trial.number: trial for trial in self._ledger.trials.values()}
        for rung in self._ledger.fidelity.rungs() if self._ledger.fidelity is not None else ():
            arrived = self._ledger.arrivals.get(rung, {})
            looks = [by_number[number].looks.get(rung) for number in arrived]
            labels = {"rung": str(rung)}
            found += [
                Reading("tune_lpc_rung_arrived_trials", len(arrived), labels),
                Reading(
                    "tune_lpc_rung_passed_trials", sum(look is not None and look.goes_on for look in looks), labels
                ),
            ]
        return found

    def _of_slots(self, now: float) -> list[Reading]:
        by_number = {trial.number: trial for trial in self._ledger.trials.values()}
        found = []
        for slot, number in enumerate(self._slots):
            values = dict.fromkeys(OF_SLOTS, 0.0) | {"tune_lpc_running_trial_number": IDLE}
            if number is not None:
                run = by_number[number].longest
                last = {} if run is None else run.last
                values = {
                    "tune_lpc_running_trial_number": float(number),
                    "tune_lpc_running_epochs": float(by_number[number].epochs_trained),
                    "tune_lpc_running_silent_seconds": max(0.0, now - self._heard[number]),
                    "tune_lpc_running_gamma": _number(last.get("gamma")),
                    "tune_lpc_running_beta": _number(last.get("beta")),
                    "tune_lpc_running_validation_accuracy_ratio": _number(last.get(SCORE)),
                }
            found += [Reading(name, value, {"slot": str(slot)}) for name, value in values.items()]
        return found


def _number(value: float | None) -> float:
    """The value; 0 where there is none yet."""
    return 0.0 if value is None or not math.isfinite(value) else float(value)
