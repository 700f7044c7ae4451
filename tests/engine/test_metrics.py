"""Metrics of a running search, in a registry that only notes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import pytest

from tests.engine.searches import SPACE, Search, placed
from tune_lpc.engine.metrics import Publisher, following, published_meanwhile
from tune_lpc.engine.request import Request
from tune_lpc.results import Ledger
from tune_lpc.results.events import RunStarted
from tune_lpc.search.readings import METRICS, Metric, Reading, Readings

Key = tuple[str, ...]


class Noted:
    """A registry of this process."""

    def __init__(self) -> None:
        self.values: dict[Key, float] = {}
        self.seen: set[Key] = set()
        self.threads: set[str] = set()

    def set(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        assert tuple(labels) == metric.labels and not metric.only_rises
        self.values[metric.name, *labels.values()] = value
        self.threads.add(threading.current_thread().name)

    def add(self, metric: Metric, more: float, labels: Mapping[str, str]) -> None:
        assert tuple(labels) == metric.labels and metric.only_rises and more >= 0
        key = metric.name, *labels.values()
        self.values[key] = self.values.get(key, 0.0) + more


class Broken(Noted):
    """One that can't be reached."""

    def set(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        raise RuntimeError("no agent")


def readings() -> Readings:
    return Readings(Ledger([RunStarted({"space": SPACE.as_dict(), "rungs": SPACE.fidelity.rungs()})]), 1.0)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_they_follow_the_search_in_a_thread_of_their_own_and_rest_at_the_end(search: Search) -> None:
    noted, said = Noted(), list[str]()
    with following(readings(), noted, said.append, every=0.01) as told:
        search.director.watched_by(told)
        first, second = search.start(), search.start()
        search.epoch(first, 1, placed=placed(0))
        for epoch in range(1, 4):
            search.epoch(second, epoch, 0.5)
        search.epoch(first, 2, 0.7)
        epochs = sum(trial.epochs_trained for trial in search.director.ledger.trials.values())
        until(lambda: noted.values.get(("tune_lpc_epochs_total",)) == epochs == 5)
        until(lambda: noted.values["tune_lpc_running_validation_accuracy_ratio", "0"] == 0.7)
        seconds = sum(trial.seconds for trial in search.director.ledger.trials.values())
        of_state = {key[1]: value for key, value in noted.values.items() if key[0] == "tune_lpc_gpu_seconds"}
        assert sum(of_state.values()) == seconds
        assert noted.values["tune_lpc_rung_arrived_trials", "3"] == 1
        search.epoch(first, 3, 0.8)
    assert said == [] and noted.threads == {"metrics"}
    assert noted.values.pop(("tune_lpc_epochs_total",)) == 6, "the last ones count too"
    assert noted.values.pop(("tune_lpc_restarts_total",)) == 0
    at_rest = {metric.name: metric.at_rest for metric in METRICS}
    assert noted.values == {key: at_rest[key[0]] for key in noted.values}
    assert not [thread for thread in threading.enumerate() if thread.name == "metrics"]


def test_what_goes_wrong_is_said_once_and_the_search_goes_on(search: Search) -> None:
    said: list[str] = []
    with following(readings(), Broken(), said.append, every=0.01) as told:
        search.director.watched_by(told)
        until(lambda: bool(said))
        trial = search.start()
        for epoch in range(1, 10):
            search.epoch(trial, epoch, 0.5)
    assert said == ["metrics are published no more: RuntimeError: no agent"]
    assert search.director.ledger.trials["trial-00000"].is_trained


def test_without_ray_there_are_none(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_lpc.engine.metrics.ray.is_initialized", lambda: False)
    said: list[str] = []
    with published_meanwhile(Request(SPACE, search.folder), search.director, said.append):
        search.epoch(search.start(), 1)
    assert said == []


def test_a_counter_rises_by_what_is_new_and_is_left_at_the_end() -> None:
    noted = Noted()
    publisher = Publisher(noted)
    for value in (7, 7, 9):
        publisher.publish([Reading("tune_lpc_epochs_total", value), Reading("tune_lpc_best_score_ratio", 0.5)])
    publisher.rest()
    assert noted.values == {("tune_lpc_epochs_total",): 9, ("tune_lpc_best_score_ratio",): 0.0}
