"""The numbers of a running search for Prometheus: published by Ray, which gives each node a page of metrics.

In a thread of its own, at most a hundredth of the time: nothing waits for it. Nothing that goes wrong with it ends a
search, or is told more than once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Protocol

import ray
from ray.util.metrics import Counter, Gauge

from tune_lpc.engine.request import Request
from tune_lpc.results import JOURNAL_FILE, read_ledger
from tune_lpc.results.events import Event
from tune_lpc.search.director import Director
from tune_lpc.search.readings import METRICS, Metric, Reading, Readings

EVERY = 5.0
"""Seconds from one reading to the next, at least."""
SHARE = 0.01
"""Of the time, at most, is spent on it."""


class Registry(Protocol):
    """Where numbers are published."""

    def set(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """The value now."""

    def add(self, metric: Metric, more: float, labels: Mapping[str, str]) -> None:
        """By how much it has risen."""


class RayRegistry:
    """Ray's own; on the pages it puts `ray_` before each name. space: a label of all of them."""

    def __init__(self, space: str) -> None:
        self._space = {"space": space}
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}

    def set(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """See `Registry`."""
        if metric.name not in self._gauges:
            self._gauges[metric.name] = Gauge(metric.name, metric.about, ("space", *metric.labels))
        self._gauges[metric.name].set(value, {**self._space, **labels})

    def add(self, metric: Metric, more: float, labels: Mapping[str, str]) -> None:
        """See `Registry`."""
        if metric.name not in self._counters:
            self._counters[metric.name] = Counter(metric.name, metric.about, ("space", *metric.labels))
        if more > 0:  # Ray refuses 0
            self._counters[metric.name].inc(more, {**self._space, **labels})


class Publisher:
    """Brings a registry up to date with readings."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._metrics = {metric.name: metric for metric in METRICS}
        self._published: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def publish(self, readings: Iterable[Reading]) -> None:
        """Tell the values now."""
        for reading in readings:
            metric, key = self._metrics[reading.name], (reading.name, tuple(sorted(reading.labels.items())))
            if metric.only_rises:
                self._registry.add(metric, reading.value - self._published.get(key, 0.0), reading.labels)
            else:
                self._registry.set(metric, reading.value, reading.labels)
            self._published[key] = reading.value

    def rest(self) -> None:
        """The search is over: what else would stand as it was as long as the cluster runs."""
        for name, labels in self._published:
            if not self._metrics[name].only_rises:
                self._registry.set(self._metrics[name], self._metrics[name].at_rest, dict(labels))


@contextmanager
def published_meanwhile(
    request: Request, director: Director, say: Callable[[str], None], every: float = EVERY
) -> Iterator[None]:
    """Within, the numbers of the search are published, where Ray runs. say: is told what goes wrong, once."""
    if not ray.is_initialized():
        yield
        return
    try:
        ledger, _ = read_ledger(request.out / JOURNAL_FILE)
    except OSError as error:
        say(f"no metrics are published: {error}")
        yield
        return
    readings = Readings(ledger, director.budget.limits.gpus_per_trial)
    with following(readings, RayRegistry(request.space.name), say, every) as told:
        director.watched_by(told)
        yield


@contextmanager
def following(
    readings: Readings, registry: Registry, say: Callable[[str], None], every: float = EVERY
) -> Iterator[Callable[[Event], None]]:
    """What takes events, at once, and as long as the context lasts has them published."""
    events: SimpleQueue[tuple[Event, float]] = SimpleQueue()
    is_over = threading.Event()

    def keep_up() -> None:
        publisher = Publisher(registry)
        try:
            wait = 0.0
            while not is_over.wait(wait):
                start = time.monotonic()
                _take(events, readings)
                publisher.publish(readings.read(time.time()))
                wait = max(every, (time.monotonic() - start) / SHARE)
            _take(events, readings)
            publisher.publish(reading for reading in readings.read(time.time()) if reading.name.endswith("_total"))
            publisher.rest()
        except Exception as error:  # noqa: BLE001 - Ray raises bare ones; a search does not end for want of metrics
            is_over.set()
            say(f"metrics are published no more: {type(error).__name__}: {error}")

    thread = threading.Thread(target=keep_up, name="metrics", daemon=True)
    thread.start()
    try:
        yield lambda event: None if is_over.is_set() else events.put((event, time.time()))
    finally:
        is_over.set()
        thread.join(every)


def _take(events: SimpleQueue[tuple[Event, float]], readings: Readings) -> None:
    """What has happened since it was last looked at."""
    while True:
        try:
            event, now = events.get_nowait()
        except Empty:
            return
        readings.told(event, now)
