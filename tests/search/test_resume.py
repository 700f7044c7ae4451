"""What an interrupted search left behind, read from made-up journals."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from tune_lpc.plan import Float, Space, UserError
from tune_lpc.search.recorder import trial_id_of
from tune_lpc.search.resume import next_position, positions, read_past, refuse_if_changed
from tune_lpc.search.rungs import Look

SPACE = Space(
    name="small",
    about="for tests",
    settings={"epochs": 9},
    dimensions={"learning_rate": Float(1e-4, 1e-1, log=True)},
    trials=6,
    first_rung=3,
    fidelity_mode="compressed",
)
SHORT = [(3, epoch) for epoch in (1, 2, 3)]
LONG = [(9, epoch) for epoch in range(1, 10)]


def started(number: int, *, control: bool = False) -> dict[str, Any]:
    config = SPACE.trial({"learning_rate": 0.01}).as_dict()
    entry = {"kind": "trial_started", "number": number, "config": config, "control": control}
    return {**entry, "trial_id": trial_id_of(number)}


def epochs(
    number: int, places: list[tuple[int, int]], score: float | None = 0.5, **record: Any
) -> list[dict[str, Any]]:
    records = [
        {"budget": budget, "epoch": epoch, "validation_accuracy": score, "diverged": None, **record}
        for budget, epoch in places
    ]
    return [{"kind": "epoch", "trial_id": trial_id_of(number), "record": record} for record in records]


def ended(number: int, status: str) -> dict[str, Any]:
    return {"kind": "trial_ended", "trial_id": trial_id_of(number), "status": status, "reason": "as it is"}


def rung(look: Look) -> dict[str, Any]:
    return {"kind": "rung", "trial_id": trial_id_of(look.number), **asdict(look)}


def test_ended_trials_are_kept_and_the_others_go_on() -> None:
    past = read_past(
        SPACE,
        [started(0), *epochs(0, [*SHORT, *LONG]), ended(0, "completed"), started(1), *epochs(1, SHORT[:2])],
    )
    assert {number: trial.status for number, trial in past.trials.items()} == {0: "completed", 1: None}
    assert past.to_come(SPACE) == 5
    assert past.endings == []
    zero, one = past.known(SPACE)
    assert (zero.status, zero.score, dict(zero.rung_scores)) == ("completed", 0.5, {3: 0.5})
    assert (one.status, one.score, dict(one.drawn)) == (None, None, {"learning_rate": 0.01})


def test_failed_trials_are_tried_again() -> None:
    past = read_past(SPACE, [started(0), *epochs(0, SHORT[:1]), ended(0, "failed")])
    assert past.trials[0].status is None
    assert past.to_come(SPACE) == 6


@pytest.mark.parametrize(
    ("entries", "ending"),
    [
        (epochs(1, [*SHORT, *LONG], 0.9), (1, "completed", "trained all 9 epochs")),
        (epochs(1, SHORT, 0.1), (1, "stopped", "validation_accuracy 0.1000 was number 2 of 2 at the rung of epoch 3")),
        (epochs(1, SHORT[:1], None, diverged="train_loss became nan"), (1, "diverged", "train_loss became nan")),
        (epochs(1, [*SHORT, *LONG[:3]], 0.9), None),
        (epochs(1, SHORT[:2], 0.1), None),
        ([], None),
    ],
    ids=["trained to the end", "fell short at a rung", "diverged", "passed the rung", "before the rung", "no epoch"],
)
def test_an_end_that_was_not_written_any_more_is_found(
    entries: list[dict[str, Any]], ending: tuple[int, str, str] | None
) -> None:
    before = [started(0), *epochs(0, SHORT, 0.5), started(1)]
    past = read_past(SPACE, [*before, *entries])
    assert past.endings == ([] if ending is None else [ending])
    assert past.trials[1].status == (ending[1] if ending else None)


def test_a_control_trial_that_falls_short_goes_on_as_it_was_when_it_began() -> None:
    past = read_past(SPACE, [started(0), *epochs(0, SHORT, 0.5), started(1, control=True), *epochs(1, SHORT, 0.1)])
    assert past.endings == []
    assert past.is_control(1, SPACE) and not past.is_control(0, SPACE)
    assert past.is_control(3, SPACE.with_values({"control_trials": 6}))


def test_rungs_are_replayed_in_order_and_what_lacks_its_entry_is_named() -> None:
    first, second = Look(1, 3, 0.4, rank=1, of=1, goes_on=True), Look(0, 3, 0.2, rank=2, of=2, goes_on=False)
    past = read_past(SPACE, [started(0), started(1), *epochs(1, SHORT, 0.4), rung(first), *epochs(0, SHORT, 0.2)])
    assert past.looks == [first, second]
    assert past.unwritten_looks == [second]


def test_what_a_rung_decided_stands_although_an_epoch_before_it_was_lost() -> None:
    first, second = Look(0, 3, 0.9, rank=1, of=1, goes_on=True), Look(1, 3, 0.5, rank=2, of=2, goes_on=False)
    lost = [started(0), *epochs(0, SHORT[:2], 0.9)]
    past = read_past(SPACE, [*lost, rung(first), started(1), *epochs(1, SHORT, 0.5), rung(second)])
    assert (past.looks, past.unwritten_looks) == ([first, second], [])
    assert past.endings == [(1, "stopped", second.reason())]


def test_a_completed_trial_whose_last_epoch_was_lost_goes_on() -> None:
    past = read_past(SPACE, [started(0), *epochs(0, [*SHORT, *LONG[:-1]]), ended(0, "completed")])
    assert past.trials[0].status is None
    assert past.to_come(SPACE) == 6


def test_an_epoch_done_again_does_not_count_twice_at_its_rung() -> None:
    entries = [started(0), *epochs(0, SHORT, 0.2), *epochs(0, SHORT, 0.2)]
    assert [look.of for look in read_past(SPACE, entries).looks] == [1]


def test_a_trial_stands_before_its_first_gap() -> None:
    past = read_past(SPACE, [started(0), *epochs(0, [*SHORT, LONG[0], LONG[2]])])
    assert past.trials[0].position(SPACE) == LONG[0]
    assert read_past(SPACE, [started(0)]).trials[0].position(SPACE) is None


def test_entries_of_a_trial_whose_start_is_lost_are_passed_over() -> None:
    past = read_past(SPACE, [*epochs(0, SHORT), ended(0, "stopped"), started(1)])
    assert list(past.trials) == [1]
    assert past.to_come(SPACE) == 6


def test_positions_follow_the_climb() -> None:
    assert positions(SPACE) == (*SHORT, *LONG)
    assert next_position(None, SPACE) == (3, 1)
    assert next_position((3, 3), SPACE) == (9, 1)
    assert next_position((9, 9), SPACE) == (9, 9)


# What may change


def run_of(space: Space, **changes: Any) -> dict[str, Any]:
    run = {
        "space": space.as_dict(),
        "seeds": {"sampler": space.seed},
        "measures": {"nc1": "text"},
        "data": {"fingerprint": "f"},
        "split_hash": "s",
    }
    return {**run, **changes}


def refuse(run: dict[str, Any], space: Space = SPACE) -> None:
    past = read_past(SPACE, [{"kind": "run_started", "run": run}])
    refuse_if_changed(past, space, "results/x", fingerprint="f", split_hash="s", measures=("nc1",))


def test_the_same_is_not_refused_nor_are_more_trials() -> None:
    refuse(run_of(SPACE))
    refuse(run_of(SPACE), SPACE.with_values({"trials": 9}))


@pytest.mark.parametrize(
    ("run", "space", "difference"),
    [
        (run_of(SPACE), SPACE.with_values({"epochs": 12}), "epochs: 9 before, 12 now"),
        (run_of(SPACE), SPACE.with_values({"learning_rate": 0.01}), "learning_rate: 0.0001 to 0.1, logarithmic before"),
        (run_of(SPACE), SPACE.with_values({"trials": 4}), "trials: 6 before, 4 now"),
        (run_of(SPACE), SPACE.with_values({"seed": 1}), "seed: 0 before, 1 now"),
        (run_of(SPACE), SPACE.with_values({"fidelity_mode": "full", "first_rung": None}), "fidelity_mode: compressed"),
        (run_of(SPACE, measures={}), SPACE, "measures: none before, nc1 now"),
        (run_of(SPACE, data={"fingerprint": "g"}), SPACE, "training images are others than before"),
        (run_of(SPACE, split_hash="t"), SPACE, "split into training and validation images is another"),
    ],
    ids=["setting", "dimension", "fewer trials", "seed", "fidelity", "measures", "data", "split"],
)
def test_a_change_is_refused_with_the_difference(run: dict[str, Any], space: Space, difference: str) -> None:
    with pytest.raises(UserError) as caught:
        refuse(run, space)
    assert any(difference in problem for problem in caught.value.problems)
    assert all("\n" not in problem for problem in caught.value.problems)
