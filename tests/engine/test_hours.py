"""The time that a search was given, as the engine keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.search.curves import record, run_of
from tune_lpc.engine import callback
from tune_lpc.engine.callback import EndOfSearch
from tune_lpc.engine.hours import budget_of, has_time, lines_of_time, why_over
from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.engine.place import Place
from tune_lpc.engine.request import Request
from tune_lpc.plan import Float, Space
from tune_lpc.plan.hours import HoursAsked
from tune_lpc.plan.resources import Resources
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.results import Ledger
from tune_lpc.results.events import RunStarted
from tune_lpc.run import main
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director
from tune_lpc.search.opening import OpenRun
from tune_lpc.search.sampler import RandomSampler
from tune_lpc.search.simulated import MemoryLog, Record, simulate

EPOCHS = 9
SPACE = Space(
    name="timed",
    about="for tests",
    dimensions={"learning_rate": Float(1e-4, 1e-1, log=True)},
    settings={"epochs": EPOCHS},
    trials=AS_MANY_AS_FIT,
    fidelity_mode="full",
).checked()
PLACE = Place(Resources(2, 1, 0.5))


class Timed:
    """A run that nobody has written, under a time; an epoch takes `seconds`."""

    def __init__(self, hours: HoursAsked, *, space: Space = SPACE, spent: float = 0.0, began: float = 0.0) -> None:
        self.request = Request(space, Path("nowhere"), hours=hours)
        events = [RunStarted(run_of(space))]
        self.run = OpenRun(Path("nowhere"), space, Ledger(events), None, [], seconds=spent)
        self.budget = budget_of(self.request, self.run, PLACE, began)
        self.director = Director(
            space, self.run.ledger, MemoryLog(list(events)), RandomSampler(space), budget=self.budget
        )
        self.began = began

    def train(self, seconds: float = 1.0) -> float:
        def curve(_: Assignment) -> Iterator[Record]:
            return (record(EPOCHS, epoch, 0.5, seconds=seconds) for epoch in range(1, EPOCHS + 1))

        return simulate(self.director, curve, slots=2, now=self.began)

    def told(self) -> list[str]:
        return list(lines_of_time(self.request, self.director))


def test_the_limits_are_what_was_asked_for_on_the_machines_there_are() -> None:
    limits = Timed(HoursAsked(2.0, 3.0), spent=100.0, began=50.0).budget.limits
    assert (limits.seconds, limits.gpu_seconds) == (7200.0, 10800.0)
    assert (limits.slots, limits.gpus_per_trial, limits.began, limits.spent) == (2, 0.5, 50.0, 100.0)
    assert limits.deadline == 50.0 + 7200.0 - 100.0 - 10.0
    assert Timed(HoursAsked(0.05)).budget.limits.ending == pytest.approx(0.04 * 180)
    unlimited = Timed(HoursAsked()).budget
    assert not unlimited.is_limited and not unlimited.is_over_at(1e15)


def test_a_search_whose_sessions_took_all_its_time_has_none() -> None:
    for spent, left in ((0.0, True), (170.0, True), (173.0, False), (1e6, False)):
        timed = Timed(HoursAsked(0.05), spent=spent)
        assert has_time(timed.request, timed.run) is left
    assert has_time(Timed(HoursAsked()).request, Timed(HoursAsked(), spent=1e9).run)


def test_why_a_search_is_over_and_what_became_of_its_time_is_told() -> None:
    """180 s less 7.2 for its end; trials of 9 epochs, two at once."""
    fits = Timed(HoursAsked(0.05))
    assert fits.train() <= 180
    assert fits.told() == ["no further trial would end in time: the search was given 0.05 hours"]

    cut = Timed(HoursAsked(0.05))
    assert cut.train(100.0) == pytest.approx(180 * 0.96)
    cut.budget.asked(180.0)
    assert cut.told() == [
        "time is up: the search was given 0.05 hours",
        "2 trials were cut off; with more hours and --resume they go on",
    ]

    few = Timed(HoursAsked(0.05), space=replace(SPACE, trials=2))
    few.train()
    assert (why_over(few.director), few.told()[0]) == (
        "all trials ended",
        "all trials ended: the search was given 0.05 hours",
    )
    assert Timed(HoursAsked()).told() == []


def test_a_time_too_short_for_one_training_is_told_so() -> None:
    timed = Timed(HoursAsked(0.05))
    timed.train(60.0)
    timed.budget.asked(180.0)
    assert timed.told()[1] == "that is too little to train one in full, which takes about 0.15 hours"


def test_ray_is_told_to_end_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    timed, now = Timed(HoursAsked(0.05)), [0.0]
    monkeypatch.setattr(callback.time, "monotonic", lambda: now[0])
    stopper = EndOfSearch(Interrupt(), timed.director)
    for now[0], ends in ((1.0, False), (172.0, False), (173.0, True)):
        assert stopper.stop_all() is ends
    assert timed.director.ask(173.0) is None and timed.director.is_over


def test_gpu_hours_without_gpus_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tune_lpc.engine.tuner.gpus_here", lambda: 0)
    assert main(["digits", "--gpu-hours", "2", "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told == ["error: --gpu-hours is 2, but the trials use no GPU; limit the search with --hours"]
    assert not (tmp_path / "run").exists()
