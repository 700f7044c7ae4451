"""Trials that are stuck, on a made-up clock, and a full disk."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune_lpc.search import guards
from tune_lpc.search.guards import DISK_CHECK_EVERY, SHORTEST_WAIT, Guard, Stuck


class Clock:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stuck(clock: Clock) -> Stuck:
    return Stuck(10, clock)


# Which trials are stuck


def test_a_trial_is_stuck_after_so_many_times_its_own_median_epoch(stuck: Stuck, clock: Clock) -> None:
    stuck.begins(7)
    for seconds in (4.0, 5.0, 100.0):
        stuck.epoch(7, seconds)
    clock.now += 50
    assert stuck.reasons() == {}
    clock.now += 1
    assert stuck.reasons() == {7: "no epoch in 51 s, where one takes 5 s"}
    stuck.epoch(7, 5.0)
    assert stuck.reasons() == {}


def test_a_trial_in_its_first_epoch_is_measured_by_the_longest_of_the_others(stuck: Stuck, clock: Clock) -> None:
    stuck.begins(0)
    stuck.begins(1)
    stuck.epoch(0, 4.0)
    stuck.epoch(0, 8.0)
    clock.now += 79
    assert set(stuck.reasons()) == {0}
    clock.now += 2
    assert set(stuck.reasons()) == {0, 1}


def test_as_long_as_no_epoch_is_known_nothing_is_stuck(stuck: Stuck, clock: Clock) -> None:
    stuck.begins(0)
    clock.now += 1e6
    assert stuck.reasons() == {}


def test_however_short_its_epochs_a_trial_is_waited_for(stuck: Stuck, clock: Clock) -> None:
    stuck.begins(0)
    stuck.epoch(0, 0.01)
    clock.now += SHORTEST_WAIT
    assert stuck.reasons() == {}
    clock.now += 1
    assert set(stuck.reasons()) == {0}


def test_a_trial_that_begins_again_has_its_time_again_and_one_that_ended_is_not_watched(
    stuck: Stuck, clock: Clock
) -> None:
    for number in (0, 1):
        stuck.begins(number)
        stuck.epoch(number, 5.0)
    clock.now += 45
    stuck.begins(0)
    stuck.ends(1)
    clock.now += 45
    assert stuck.reasons() == {}
    clock.now += 10
    assert set(stuck.reasons()) == {0}


def test_time_in_which_the_whole_search_stood_still_does_not_count(stuck: Stuck, clock: Clock) -> None:
    stuck.begins(0)
    stuck.epoch(0, 5.0)
    clock.now += 1000
    stuck.pause(1000)
    assert stuck.reasons() == {}
    clock.now += 51
    assert set(stuck.reasons()) == {0}


def test_a_pause_gives_no_trial_more_than_its_time(stuck: Stuck, clock: Clock) -> None:
    stuck.begins(0)
    clock.now += 1000
    stuck.epoch(0, 5.0)  # heard after the search stood still, before that was noted
    stuck.pause(1000)
    clock.now += 51
    assert set(stuck.reasons()) == {0}


# What is done about it


class FakeRecorder:
    """Notes what the guard asks for; `while_waiting` is what happens meanwhile."""

    def __init__(self) -> None:
        self.restart_reasons: dict[int, str] = {}
        self.waits: list[str] = []
        self.while_waiting: Callable[[], None] = lambda: None

    def wait_until(self, is_well: Callable[[], bool], reason: str) -> None:
        self.waits.append(reason)
        assert not is_well()
        self.while_waiting()
        assert is_well()


class Watched:
    """A guard with everything around it: trials, a recorder, a disk and a clock, all made up."""

    def __init__(self, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.clock = folder, clock
        self.free: int | OSError = 2**40
        self.killed: list[str] = []
        self.recorder = FakeRecorder()
        monkeypatch.setattr("shutil.disk_usage", self._disk_usage)
        monkeypatch.setattr(guards, "time", SimpleNamespace(monotonic=clock))
        monkeypatch.setattr("ray.kill", self.killed.append)
        recorder: Any = self.recorder
        self.guard = Guard(folder, Stuck(10, clock), recorder, lambda budget, epoch: (budget, epoch) == (9, 8))
        self.trials = [self.trial(number) for number in range(2)]

    def _disk_usage(self, _: object) -> Any:
        if isinstance(self.free, OSError):
            raise self.free
        return SimpleNamespace(free=self.free)

    def trial(self, number: int) -> Any:
        return SimpleNamespace(
            config={"number": number}, temporary_state=SimpleNamespace(ray_actor=f"actor of trial {number}")
        )

    def start(self) -> None:
        for trial in self.trials:
            self.guard.on_trial_start(0, self.trials, trial)

    def epoch(self, number: int, budget: int = 9, epoch: int = 1, seconds: float = 5.0) -> None:
        record = {"budget": budget, "epoch": epoch, "seconds": seconds}
        self.guard.on_trial_result(0, self.trials, self.trials[number], {"record": record})

    def steps(self, seconds: int, epochs_of: tuple[int, ...] = ()) -> None:
        """Let time pass as Ray Tune does: in many steps, here with an epoch in each second of some trials."""
        for _ in range(seconds):
            self.clock.now += 1
            for number in epochs_of:
                self.epoch(number)
            self.guard.on_step_begin(0, self.trials)


@pytest.fixture
def watched(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, clock, monkeypatch)


def test_the_worker_of_a_stuck_trial_is_killed_once_and_the_reason_noted(watched: Watched) -> None:
    watched.start()
    watched.epoch(0)
    watched.epoch(1)
    watched.steps(49, epochs_of=(1,))
    assert watched.killed == []
    watched.steps(5, epochs_of=(1,))
    assert watched.killed == ["actor of trial 0"]
    assert watched.recorder.restart_reasons == {0: "no epoch in 51 s, where one takes 5 s"}


def test_a_trial_that_starts_again_may_be_stuck_again(watched: Watched) -> None:
    watched.start()
    watched.epoch(0)
    watched.steps(60, epochs_of=(1,))
    watched.guard.on_trial_recover(0, watched.trials, watched.trials[0])
    watched.steps(60, epochs_of=(1,))
    assert len(watched.killed) == 1, "it waits for a worker, and no worker of it is there"
    watched.guard.on_trial_start(0, watched.trials, watched.trials[0])
    watched.steps(60, epochs_of=(1,))
    assert len(watched.killed) == 2


@pytest.mark.parametrize("end", ["on_trial_complete", "on_trial_error", "on_trial_recover"])
def test_a_trial_that_has_ended_or_lost_its_worker_is_not_watched(watched: Watched, end: str) -> None:
    watched.start()
    watched.epoch(0)
    getattr(watched.guard, end)(0, watched.trials, watched.trials[0])
    watched.steps(60, epochs_of=(1,))
    assert watched.killed == []


def test_a_trial_that_has_no_worker_is_left_alone(watched: Watched) -> None:
    watched.start()
    watched.epoch(0)
    watched.trials[0].temporary_state.ray_actor = None
    watched.steps(60, epochs_of=(1,))
    assert watched.killed == [] and watched.recorder.restart_reasons == {}


def test_a_trial_that_takes_its_measures_next_has_all_the_time_it_needs(watched: Watched) -> None:
    watched.start()
    watched.epoch(0, 9, 7)
    watched.epoch(0, 9, 8)
    watched.steps(1000, epochs_of=(1,))
    assert watched.killed == []


def test_no_trial_is_stuck_because_the_driver_itself_stood_still(watched: Watched) -> None:
    watched.start()
    watched.epoch(0)
    watched.epoch(1)
    watched.steps(5)
    watched.clock.now += 600  # such as a journal that could not be written, or the process stopped
    watched.steps(40)
    assert watched.killed == []
    watched.steps(10, epochs_of=(1,))
    assert watched.killed == ["actor of trial 0"]


# The disk


def test_a_full_disk_lets_the_search_wait_and_no_trial_is_stuck_for_it(watched: Watched) -> None:
    def free_some() -> None:
        watched.clock.now += 600
        watched.free = 2**40

    watched.start()
    watched.epoch(0)
    watched.free = 5 * 2**20
    watched.recorder.while_waiting = free_some
    watched.steps(30)
    (reason,) = watched.recorder.waits
    assert reason.endswith("is full (5 MB free, 32 MB needed)")
    assert str(watched.folder) in reason
    assert watched.killed == []


def test_a_folder_that_cannot_be_reached_lets_the_search_wait(watched: Watched) -> None:
    def mend() -> None:
        watched.free = 2**40

    watched.free = OSError(5, "Input/output error")
    watched.recorder.while_waiting = mend
    watched.steps(30)
    (reason,) = watched.recorder.waits
    assert reason.endswith("can't be reached (Input/output error)")


def test_the_disk_is_looked_at_every_so_often(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []

    def disk_usage(folder: object) -> Any:
        looks.append(folder)
        return SimpleNamespace(free=2**40)

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    watched.guard.on_step_begin(0, [])
    watched.clock.now += DISK_CHECK_EVERY / 2
    watched.guard.on_step_begin(0, [])
    assert len(looks) == 1
    watched.clock.now += DISK_CHECK_EVERY
    watched.guard.on_step_begin(0, [])
    assert len(looks) == 2


def test_ray_may_save_the_guard(watched: Watched) -> None:
    assert isinstance(pickle.loads(pickle.dumps(watched.guard)), Guard)
