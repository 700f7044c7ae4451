"""The numbers of a running search, against what its ledger tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from tune_lpc.plan import Float, Space
from tune_lpc.results import Ledger
from tune_lpc.results.events import (
    EpochDone,
    Event,
    RungDecided,
    RunStarted,
    Status,
    TrialEnded,
    TrialPlaced,
    TrialRestarted,
    TrialStarted,
    trial_id_of,
)
from tune_lpc.results.ranking import ranked
from tune_lpc.search.readings import IDLE, METRICS, OF_SLOTS, RUNNING, STATES, Readings

SPACE = Space(
    name="small",
    about="for tests",
    trials=8,
    settings={"epochs": 9},
    dimensions={"learning_rate": Float(1e-4, 1e-1, log=True)},
    fidelity_mode="truncated",
    first_rung=3,
    rung_rule="promote",
    score_window=1,
    seeds=1,
)
RUN: dict[str, Any] = {
    "space": SPACE.as_dict(),
    "rungs": SPACE.fidelity.rungs(),
    "data": {"validation_images": 100},
    "resources": {"gpus_per_trial": 0.5},
}


def started(number: int) -> TrialStarted:
    return TrialStarted(trial_id_of(number), number, {"epochs": 9})


def epoch(number: int, of: int, score: float | None, **more: Any) -> EpochDone:
    record = {"budget": 9, "epoch": of, "validation_accuracy": score, "seconds": 2.0, "gamma": 10.0**of, "beta": None}
    return EpochDone(trial_id_of(number), {**record, "diverged": None, **more})


def rung(number: int, score: float, *, goes_on: bool, promoted: bool = False) -> RungDecided:
    return RungDecided(trial_id_of(number), 3, score, 1, 1, goes_on, promoted=promoted)


def ended(number: int, status: Status) -> TrialEnded:
    return TrialEnded(trial_id_of(number), status, "so it was told")


STORY: list[Event] = [
    started(0),
    TrialPlaced(trial_id_of(0), "here", 1),
    started(1),
    *(epoch(0, of, 0.5 + of / 100) for of in (1, 2, 3)),
    rung(0, 0.53, goes_on=True),
    *(epoch(1, of, 0.4) for of in (1, 2, 3)),
    rung(1, 0.4, goes_on=False),
    ended(1, Status.STOPPED),
    started(2),
    *(epoch(0, of, 0.6 + of / 100) for of in range(4, 10)),
    ended(0, Status.COMPLETED),
    TrialRestarted(trial_id_of(2), "lost"),
    epoch(2, 1, None, diverged="loss"),
    ended(2, Status.DIVERGED),
    rung(1, 0.4, goes_on=True, promoted=True),
    started(1),
    started(3),
    epoch(1, 4, 0.45, beta=0.25),
    ended(3, Status.FAILED),
    started(4),
    epoch(4, 1, 0.3),
]


def told(events: Sequence[Event]) -> tuple[dict[tuple[str, ...], float], Ledger]:
    """The readings by name and values of labels, an event a second from 101 on; and what a ledger of their own says."""
    readings = Readings(Ledger([RunStarted(RUN)]))
    for now, event in enumerate(events, start=101):
        readings.told(event, now)
    found = readings.read(now=200.0)
    by_key = {(reading.name.removeprefix("tune_lpc_"), *reading.labels.values()): reading.value for reading in found}
    assert len(by_key) == len(found)
    return by_key, Ledger([RunStarted(RUN), *events])


@pytest.mark.parametrize("length", range(1, len(STORY) + 1))
def test_at_every_moment_they_are_those_of_the_ledger(length: int) -> None:
    found, ledger = told(STORY[:length])
    ends = {event.trial_id: event for event in STORY[:length] if isinstance(event, (TrialStarted, TrialEnded))}
    running = {trial_id for trial_id, event in ends.items() if isinstance(event, TrialStarted)}
    trials = ledger.trials.values()
    assert found["epochs_total",] == sum(trial.epochs_trained for trial in trials)
    assert found["restarts_total",] == sum(trial.restarts for trial in trials)
    for state in STATES:
        of_state = [t for t in trials if state == (RUNNING if t.trial_id in running else t.status.value)]
        assert found["trials", state] == len(of_state)
        assert found["training_seconds", state] == sum(trial.seconds for trial in of_state)
        placed = sum(trial.seconds * (0.5 if trial.placements else 0.0) for trial in of_state)
        assert found["gpu_seconds", state] == placed
    best = next(iter(ranked(ledger)), None)
    assert found.get(("best_score_ratio",)) == (None if best is None else best.score)
    assert found.get(("best_score_low_ratio",)) == (None if best is None else best.low)
    assert found.get(("best_score_high_ratio",)) == (None if best is None else best.high)
    assert found["rung_arrived_trials", "3"] == len(ledger.arrivals.get(3, {}))
    assert found["rung_passed_trials", "3"] == sum(3 in t.looks and t.looks[3].goes_on for t in trials)
    numbers = {value for key, value in found.items() if key[0] == "running_trial_number"} - {IDLE}
    assert numbers == {ledger.trials[trial_id].number for trial_id in running}


def test_each_that_runs_has_a_slot_and_few_are_enough() -> None:
    found, _ = told(STORY)
    slots = sorted({key[1] for key in found if key[0].startswith("running_")})
    assert slots == ["0", "1"], "never more than two ran at once"
    assert (found["running_trial_number", "0"], found["running_trial_number", "1"]) == (1, 4)
    assert (found["running_gamma", "0"], found["running_beta", "0"]) == (1e4, 0.25)
    assert found["running_validation_accuracy_ratio", "0"] == 0.45
    assert (found["running_epochs", "0"], found["running_epochs", "1"]) == (4, 1)
    at = {event: now for now, event in enumerate(map(id, STORY), start=101)}
    assert found["running_silent_seconds", "0"] == 200 - at[id(STORY[-4])]
    assert found["last_epoch_timestamp_seconds",] == at[id(STORY[-1])]


def test_a_slot_that_is_free_says_so() -> None:
    found, _ = told([started(0), epoch(0, 1, 0.5), ended(0, Status.FAILED)])
    of_slot = {name.removeprefix("tune_lpc_") for name in OF_SLOTS}
    values = {key[0]: value for key, value in found.items() if key[0] in of_slot}
    assert values == {**dict.fromkeys(of_slot, 0.0), "running_trial_number": IDLE}


def test_what_happened_before_a_resume_counts_but_nothing_runs_yet() -> None:
    ledger = Ledger([RunStarted(RUN), *STORY])
    readings = Readings(ledger)
    found = {(reading.name, *reading.labels.values()): reading.value for reading in readings.read(0.0)}
    assert found["tune_lpc_trials", RUNNING] == 0 and found["tune_lpc_trials", "interrupted"] == 2
    assert found["tune_lpc_epochs_total",] == 15
    assert not [key for key in found if key[0] in OF_SLOTS]


def test_the_names_are_as_prometheus_wants_them() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"tune_lpc_[a-z_]*[a-z]", metric.name) and metric.about.endswith((".", "none.", "without."))
        assert metric.name.endswith("_total") == metric.only_rises
        assert set(metric.labels) <= {"state", "rung", "slot"}, "each of few values"
        assert not re.search(r"_(ms|minutes|hours|percent|gb|mb)\b", metric.name)
    assert len({metric.name for metric in METRICS}) == len(METRICS)
