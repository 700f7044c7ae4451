"""Events and their entries in the journal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tune_lpc.results.events import (
    Continued,
    EpochDone,
    Event,
    FrontFound,
    Measured,
    Paused,
    RunEnded,
    RungDecided,
    RunResumed,
    RunStarted,
    Status,
    TrialEnded,
    TrialPlaced,
    TrialRestarted,
    TrialStarted,
    as_entry,
    as_event,
    number_of,
    trial_id_of,
)

EVENTS: list[Event] = [
    RunStarted({"command": "x", "rungs": [3]}),
    RunResumed("x --resume", "2026-11-25", ["line 3 is cut off"], {"versions": {"torch": "2"}}),
    TrialStarted("trial-00007", 7, {"epochs": 9, "beta": None}, control=True),
    TrialPlaced("trial-00007", "here", 71, (9, 4), ["checkpoint x is damaged"]),
    TrialPlaced("trial-00007", "here", 71, None, []),
    Measured("trial-00007", {"nc1": 0.5, "nc2": None}, {"nc2": "the means coincide"}),
    Measured("trial-00007", {"entropy": 0.5}, {}, (9, 3)),
    EpochDone("trial-00007", {"budget": 9, "epoch": 5, "validation_accuracy": 0.5}),
    RungDecided("trial-00007", 3, 0.5, 1, 2, goes_on=True),
    RungDecided("trial-00007", 3, None, 2, 2, goes_on=False, control=True),
    RungDecided("trial-00007", 3, 0.5, 1, 2, goes_on=True, promoted=True, objectives={"nc1": 0.25}),
    TrialRestarted("trial-00007", "its worker was lost"),
    *(TrialEnded("trial-00007", status, "as it is") for status in Status),
    FrontFound("trial-00007", 3, 99, [7, 2], 0.625),
    Paused("the disk is full"),
    Continued("the disk is full"),
    RunEnded("finished", "all trials ended"),
]
WRITTEN = {
    "run_started": "run",
    "run_resumed": "command started left_out session",
    "trial_started": "trial_id number config control repeat_of",
    "trial_placed": "trial_id host pid continued_from left_out processes",
    "measures": "trial_id values reasons position",
    "epoch": "trial_id record",
    "rung": "trial_id rung score rank of goes_on control promoted objectives",
    "trial_restarted": "trial_id reason",
    "trial_ended": "trial_id status reason",
    "front": "trial_id configs epochs front hypervolume",
    "paused": "reason",
    "continued": "reason",
    "run_ended": "outcome reason",
}
"""The kinds and their fields in journals that are there already: a new name could not read them."""


def through_json(event: Event) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(json.dumps(as_entry(event)))
    return entry


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_comes_back_from_its_entry(event: Event) -> None:
    again = as_event(through_json(event))
    assert again == event
    assert type(again) is type(event)


def test_kinds_and_fields_have_the_names_that_journals_hold() -> None:
    entries = [through_json(event) for event in EVENTS]
    found = {entry["kind"]: " ".join(name for name in entry if name != "kind") for entry in entries}
    assert found == WRITTEN


def test_a_status_is_a_plain_word_in_the_journal_and_one_of_five_when_read() -> None:
    entry = through_json(TrialEnded("t", Status.STOPPED, "rung"))
    assert entry["status"] == "stopped"
    again = as_event(entry)
    assert isinstance(again, TrialEnded) and again.status is Status.STOPPED


def test_a_kind_that_a_newer_version_wrote_is_passed_over() -> None:
    assert as_event({"kind": "weather", "time": 1.0, "verdict": "promoted"}) is None


def test_fields_that_another_version_wrote_or_did_not_write_do_no_harm() -> None:
    assert as_event({"kind": "paused", "time": 1.0, "reason": "full", "disk": "/"}) == Paused("full")
    assert as_event({"kind": "run_resumed", "command": "x", "started": "y"}) == RunResumed("x", "y", (), {})
    started = as_event({"kind": "trial_started", "trial_id": "t", "number": 0, "config": {}})
    assert started == TrialStarted("t", 0, {}, control=False)
    placed = as_event({"kind": "trial_placed", "trial_id": "t", "host": "h", "pid": 1})
    assert placed == TrialPlaced("t", "h", 1, None, ())
    measured = as_event({"kind": "measures", "trial_id": "t", "values": {}, "reasons": {}})
    assert measured == Measured("t", {}, {}, position=None)


def test_an_entry_that_lacks_a_field_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="trial_ended lacks reason, status"):
        as_event({"kind": "trial_ended", "trial_id": "t"})


def test_an_end_in_no_known_status_is_refused() -> None:
    with pytest.raises(ValueError, match="'promoted' is not a valid Status"):
        as_event({"kind": "trial_ended", "trial_id": "t", "status": "promoted", "reason": ""})


@pytest.mark.parametrize("number", [0, 7, 99_999, 123_456])
def test_a_trial_is_named_by_its_number(number: int) -> None:
    assert number_of(trial_id_of(number)) == number


def test_the_names_of_trials_sort_as_their_numbers_do() -> None:
    assert trial_id_of(7) == "trial-00007"
    assert trial_id_of(9) < trial_id_of(10) < trial_id_of(99_999)
