"""How long a search would take, from an epoch that is trained here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands import image_folder
from tune_lpc.cli import duration
from tune_lpc.cli.duration import Epoch, Work, configs_that_fit, in_words, measure_epoch, time_lines
from tune_lpc.plan import Float, Space, UserError
from tune_lpc.plan.hours import HOUR, HoursAsked
from tune_lpc.plan.resources import Resources
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT

SPACE = Space(
    name="small",
    about="for tests",
    trials=27,
    settings={"epochs": 90},
    dimensions={"learning_rate": Float(1e-4, 1e-2, log=True)},
    first=[{"learning_rate": 0.001}],
    most_rungs=2,
    seeds=1,
)
"""Of 27 trials 9 go beyond the rung at 10 epochs, and 3 beyond that at 30: 27 x 10 + 9 x 20 + 3 x 60 epochs."""
TWO = Resources(2, 1, 0.0)
OPEN = replace(SPACE, trials=AS_MANY_AS_FIT)


# An epoch


def test_an_epoch_is_measured_and_told_with_what_it_was_measured_on() -> None:
    epoch = measure_epoch(SPACE, None, 1)
    assert epoch.seconds is not None and 0 < epoch.seconds < 30
    assert epoch.told.startswith("an epoch takes ")
    assert epoch.told.endswith(" here, measured alone on 1 CPU with learning_rate=0.001")


def test_data_that_are_not_here_are_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path / "cache"))

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    for dataset in ("mnist", "svhn", "cifar10"):
        epoch = measure_epoch(replace(SPACE, settings={"epochs": 90, "dataset": dataset}), None, 1)
        assert epoch == Epoch(None, f"not measured, as {dataset} is not on this machine yet; a search downloads it")
    assert not list(tmp_path.rglob("*.npy")) and not list(tmp_path.rglob("*.gz"))


def test_what_takes_too_long_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duration, "LONGEST", 0.05)
    monkeypatch.setattr("tune_lpc.training.prepare.prepare", lambda *_, **__: time.sleep(20))
    start = time.monotonic()
    epoch = measure_epoch(SPACE, None, 1)
    assert time.monotonic() - start < 10
    assert epoch == Epoch(None, "not measured, as not even a part of an epoch was through within 0 s")
    time.sleep(0.1)  # no alarm is left


def test_images_that_a_search_would_refuse_are_refused(tmp_path: Path) -> None:
    space = replace(SPACE, settings={"epochs": 90, "dataset": "pets", "network": "small_cnn"})
    with pytest.raises(UserError, match="small_cnn needs"):
        measure_epoch(space, image_folder(tmp_path, side=4), 1)


# The whole search


def test_the_time_is_that_of_all_epochs_side_by_side() -> None:
    assert Work.of(SPACE, 27) == Work(27, trained=3, repeats=0, epochs=630, longest=90)
    lines = time_lines(SPACE, Epoch(2.0, "an epoch takes 2 s"), TWO, HoursAsked())
    assert lines[0] == "time: an epoch takes 2 s"
    assert lines[1].startswith("in all about 10 minutes with 2 at once, as far as"), "630 epochs of 2 s, two at once"


def test_further_seeds_are_priced() -> None:
    seeded = replace(SPACE, seeds=3)
    assert Work.of(seeded, 27) == Work(27, trained=3, repeats=4, epochs=630 + 4 * 90, longest=90)
    assert (
        "with 2 at once, of that 4 further seeds of the best, as far"
        in time_lines(seeded, Epoch(2.0, ""), TWO, HoursAsked())[1]
    )


def test_gpu_hours_are_told_where_there_are_gpus() -> None:
    (_, line) = time_lines(SPACE, Epoch(100.0, ""), Resources(4, 1, 0.5), HoursAsked())
    assert line.startswith("in all about 4.4 hours and 8.8 GPU hours with 4 at once")


def test_fewer_trials_than_slots_take_as_long_as_one() -> None:
    (_, line) = time_lines(replace(SPACE, trials=1), Epoch(1.0, ""), Resources(8, 1, 0.0), HoursAsked())
    assert line.startswith("in all about 90 s with 8 at once")


def hours_of(work: Work, slots: int) -> float:
    return work.epochs / slots / HOUR


@pytest.mark.parametrize("space", [OPEN, replace(OPEN, seeds=3), replace(OPEN, fidelity_mode="full", seeds=2)])
@pytest.mark.parametrize("count", [12, 64, 1000])
def test_as_many_configs_fit_as_the_time_does_for(space: Space, count: int) -> None:
    hours = hours_of(Work.of(space, count), 2)
    assert count - 1 <= configs_that_fit(space, 1.0, TWO, HoursAsked(hours * 1.0001)) <= count + 1
    assert configs_that_fit(space, 1.0, TWO, HoursAsked(hours * 0.9)) < count


def test_the_scarcer_of_clock_and_gpus_decides() -> None:
    on_gpus = Resources(2, 1, 1.0)
    few = configs_that_fit(OPEN, 1.0, on_gpus, HoursAsked(1.0))
    assert configs_that_fit(OPEN, 1.0, on_gpus, HoursAsked(1.0, gpu_hours=1.0)) < 0.6 * few
    assert configs_that_fit(OPEN, 1.0, on_gpus, HoursAsked(1.0, gpu_hours=9.0)) == few


def test_what_would_fit_is_told_and_no_other_total_for_as_many_as_fit() -> None:
    lines = time_lines(replace(OPEN, seeds=3), Epoch(1.0, ""), TWO, HoursAsked(1.0))
    assert len(lines) == 2
    assert lines[1].startswith("in 1 hour about ") and " configs would fit, " in lines[1]
    assert lines[1].endswith("further seeds of the best")
    both = time_lines(SPACE, Epoch(1.0, ""), TWO, HoursAsked(1.0))
    assert both[1].startswith("in 1 hour about 27 configs would fit, 3 of them in full")
    assert both[2].startswith("in all about 5 minutes")


def test_a_time_in_which_nothing_would_train_in_full_is_told() -> None:
    (_, line) = time_lines(OPEN, Epoch(100.0, ""), TWO, HoursAsked(0.05))
    assert line == "in 0.05 hours not even one trial would train in full, which takes 2.5 hours"


@pytest.mark.parametrize("hours", [HoursAsked(), HoursAsked(1.0)])
def test_without_a_measurement_nothing_is_made_up(hours: HoursAsked) -> None:
    assert time_lines(OPEN, Epoch(None, "not measured"), TWO, hours) == ["time: not measured"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0123, "0.012 s"),
        (1.4, "1 s"),
        (99.0, "99 s"),
        (150.0, "2 minutes"),
        (5999.0, "100 minutes"),
        (9000, "2.5 hours"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_alarm_of_who_was_there_before_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    handled: list[int] = []
    before: Callable[..., object] | int | None = signal.signal(signal.SIGALRM, lambda number, _: handled.append(number))
    try:
        measure_epoch(replace(SPACE, settings={"epochs": 90, "dataset": "svhn"}), None, 1)
        signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert handled == [signal.SIGALRM]
