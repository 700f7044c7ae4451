"""The climb of a trial: complete runs one after another, interrupted and gone on with."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.record import EpochRecord
from tune_lpc.training import climb as climb_module
from tune_lpc.training.checkpoints import Checkpoints
from tune_lpc.training.climb import Climb
from tune_lpc.training.prepare import Prepared, prepare, start_training

SPEC = TrialSpec.build(
    {
        "dataset": "digits",
        "network": "mlp",
        "train_size": 120,
        "batch_size": 40,
        "penultimate_width": 16,
        "epochs": 9,
        "gamma_ramp": "two_regime",
        "gamma_start": 1e-4,
        "gamma_end": 1e2,
        "gamma_ramp_length": 0.6,
        "topological_weight_schedule": "rising",
        "topological_weight": 0.05,
        "beta_schedule": "sliding",
        "beta": 1.5,
        "groups": 4,
        "group_size": 8,
    }
)
"""Both regularisers, each with a schedule that moves in every epoch."""
RUNS = [3, 9]
PLACES = [(3, 1), (3, 2), (3, 3), *((9, epoch) for epoch in range(1, 10))]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(SPEC)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints" / "0")


@pytest.fixture
def a_checkpoint_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes to write one."""
    monkeypatch.setattr(climb_module, "CHECKPOINT_SHARE", float("inf"))


def numbers(records: Iterable[EpochRecord]) -> list[dict[str, Any]]:
    """Everything in the records but the times."""
    times = ("seconds", "images_per_second")
    return [{name: value for name, value in r.as_dict().items() if name not in times} for r in records]


def places(records: Iterable[EpochRecord]) -> list[tuple[int, int]]:
    return [(record.budget, record.epoch) for record in records]


@pytest.fixture(scope="module")
def uninterrupted(prepared: Prepared) -> list[dict[str, Any]]:
    return numbers(Climb(SPEC, RUNS, prepared).epochs())


def test_a_trial_of_one_run_is_a_plain_training(prepared: Prepared) -> None:
    climb = Climb(SPEC, [9], prepared)
    assert climb.continued_from is None and climb.left_out == []
    assert numbers(climb.epochs()) == numbers(start_training(SPEC, prepared).epochs())


def test_each_run_of_a_climb_is_a_complete_training_of_so_many_epochs(
    prepared: Prepared, uninterrupted: list[dict[str, Any]]
) -> None:
    assert [(record["budget"], record["epoch"]) for record in uninterrupted] == PLACES
    for run, first, end in ((3, 0, 3), (9, 3, 12)):
        plain = start_training(dataclasses.replace(SPEC, epochs=run), prepared)
        assert uninterrupted[first:end] == numbers(plain.epochs())


def test_the_ramp_of_gamma_reaches_its_end_in_each_run(uninterrupted: list[dict[str, Any]]) -> None:
    first, *_ = ramp = [record["gamma"] for record in uninterrupted]
    assert first < ramp[1] < ramp[2] == ramp[-1] == pytest.approx(1e2)
    assert ramp[3] < ramp[4]


@pytest.mark.usefixtures("a_checkpoint_each_epoch")
@pytest.mark.parametrize("done", range(1, 13))
def test_an_interrupted_climb_tells_its_checkpoint_again_and_goes_on_with_the_same_numbers(
    prepared: Prepared, checkpoints: Checkpoints, uninterrupted: list[dict[str, Any]], done: int
) -> None:
    before = list(itertools.islice(Climb(SPEC, RUNS, prepared, checkpoints=checkpoints).epochs(), done))
    assert len(before) == done
    again = Climb(SPEC, RUNS, prepared, checkpoints=checkpoints)
    # No checkpoint is written after the very last epoch: nobody goes on from there.
    saved = min(done, 11)
    assert again.continued_from == PLACES[saved - 1]
    first, *rest = again.epochs()
    assert first == before[saved - 1]  # the times too: it is the same epoch, not one trained again
    assert numbers([first, *rest]) == uninterrupted[saved - 1 :]


@pytest.mark.usefixtures("a_checkpoint_each_epoch")
def test_a_climb_goes_on_from_the_older_checkpoint_when_the_newest_is_damaged(
    prepared: Prepared, checkpoints: Checkpoints, uninterrupted: list[dict[str, Any]]
) -> None:
    list(itertools.islice(Climb(SPEC, RUNS, prepared, checkpoints=checkpoints).epochs(), 4))
    newest = max(checkpoints.folder.iterdir())
    newest.write_bytes(b"")
    again = Climb(SPEC, RUNS, prepared, checkpoints=checkpoints)
    assert again.continued_from == (3, 3)
    assert len(again.left_out) == 1 and str(newest) in again.left_out[0]
    assert numbers(again.epochs()) == uninterrupted[2:]


def test_a_climb_without_checkpoints_begins_at_the_beginning(
    prepared: Prepared, checkpoints: Checkpoints, uninterrupted: list[dict[str, Any]]
) -> None:
    climb = Climb(SPEC, RUNS, prepared, checkpoints=checkpoints)
    assert climb.continued_from is None
    assert numbers(itertools.islice(climb.epochs(), 2)) == uninterrupted[:2]


class SlowToWrite:
    """Checkpoints that take a second each, on a clock of their own; only their positions are kept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.written: list[tuple[int, int]] = []

    def newest(self) -> tuple[None, list[str]]:
        return None, []

    def write(self, position: tuple[int, int], state: dict[str, Any]) -> None:
        self.written.append(position)
        self.now += 1.0


def test_checkpoints_take_a_twentieth_of_the_time_at_most(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: Any = SlowToWrite()
    monkeypatch.setattr(climb_module, "time", SimpleNamespace(monotonic=lambda: slow.now))
    for _ in Climb(SPEC, [9], prepared, checkpoints=slow).epochs():
        slow.now += 7.0
    # The first, since none is known to be dear; then no two within twenty seconds.
    assert slow.written == [(9, 1), (9, 4), (9, 7)]


@pytest.mark.parametrize(
    ("runs", "rungs", "expected"),
    [
        ([9], {(9, 3), (9, 5)}, [(9, 1), (9, 3), (9, 5), (9, 8)]),
        (RUNS, {(3, 3)}, [(3, 1), (3, 3), (9, 3), (9, 6)]),
        ([9], set(), [(9, 1), (9, 4), (9, 7)]),
    ],
    ids=["truncated", "compressed", "no rung"],
)
def test_where_it_may_be_left_to_wait_there_is_always_a_checkpoint(
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    runs: list[int],
    rungs: set[tuple[int, int]],
    expected: list[tuple[int, int]],
) -> None:
    slow: Any = SlowToWrite()
    monkeypatch.setattr(climb_module, "time", SimpleNamespace(monotonic=lambda: slow.now))
    for _ in Climb(SPEC, runs, prepared, checkpoints=slow, rungs=rungs).epochs():
        slow.now += 7.0
    assert slow.written == expected


@pytest.mark.usefixtures("a_checkpoint_each_epoch")
def test_training_goes_on_without_checkpoints_and_says_why(
    prepared: Prepared, checkpoints: Checkpoints, uninterrupted: list[dict[str, Any]]
) -> None:
    in_the_way = checkpoints.folder.parent
    in_the_way.write_text("a file where the folder should be")
    climb = Climb(SPEC, RUNS, prepared, checkpoints=checkpoints)
    assert climb.checkpoint_problem is None
    records = []
    for record in climb.epochs():
        records.append(record)
        if len(records) <= 5:
            assert climb.checkpoint_problem is not None
            assert climb.checkpoint_problem.startswith("no checkpoint could be written: ")
        elif len(records) < 12:
            assert climb.checkpoint_problem is None
        if len(records) == 5:
            in_the_way.unlink()
    assert numbers(records) == uninterrupted
    assert Climb(SPEC, RUNS, prepared, checkpoints=checkpoints).continued_from == (9, 8)


@pytest.mark.usefixtures("a_checkpoint_each_epoch")
def test_a_climb_that_diverges_ends_there_and_leaves_no_checkpoint_of_it(
    prepared: Prepared, checkpoints: Checkpoints
) -> None:
    spec = dataclasses.replace(SPEC, learning_rate=1e9)
    climb = Climb(spec, RUNS, prepared, checkpoints=checkpoints)
    records = list(climb.epochs())
    assert records[-1].diverged is not None
    assert all(record.diverged is None for record in records[:-1])
    assert places(records) == PLACES[: len(records)] and len(records) < 3
    again = Climb(spec, RUNS, prepared, checkpoints=checkpoints)
    assert again.continued_from == (places(records[:-1]) or [None])[-1]
