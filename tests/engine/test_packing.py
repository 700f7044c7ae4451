"""Measuring how many trials share a node, on the Ray of the session with its two CPUs."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from rich.console import Console

from tests.commands import space_file
from tests.drivers import Drivers, end_of, wait_until
from tests.local_engine import trials_run_here
from tune_lpc.engine import packing
from tune_lpc.engine.packing import choose_resources, largest_node, typical_trial
from tune_lpc.plan import Float, Space, UserError
from tune_lpc.plan.resources import Resources, ResourcesAsked
from tune_lpc.run import main

SPACE = Space(
    name="small",
    about="for tests",
    trials=2,
    settings={"dataset": "digits", "network": "mlp", "epochs": 2},
    dimensions={"learning_rate": Float(1e-4, 1e-2, log=True)},
)
AUTO = ResourcesAsked(cpus_per_trial="auto")


class Chosen:
    """What was chosen, and what was told."""

    def __init__(self, asked: ResourcesAsked = AUTO, space: Space = SPACE, trials: int = 9, **more: Any) -> None:
        file = io.StringIO()
        self.resources = choose_resources(asked, space, None, trials, Console(file=file, width=200), **more)
        self.told = file.getvalue()
        self.table = self.resources.packing


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for moments only."""
    monkeypatch.setattr(packing, "WINDOW", 0.2)
    monkeypatch.setattr(packing, "ROUNDS", 2)


def wait_for_free_cpus(count: float = 2) -> None:
    wait_until(lambda: ray.available_resources().get("CPU", 0) == count, "free CPUs", every=0.05)


def probes() -> list[int]:
    """Process ids of the workers that measure, as Ray names its processes after their class."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::_Worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def test_every_packing_is_measured_and_the_choice_follows_the_table(ray_session: str) -> None:
    wait_for_free_cpus()
    chosen = Chosen()
    assert chosen.table is not None
    assert [(m.packing.together, m.packing.cpus_per_trial, m.out) for m in chosen.table.measured] == [
        (1, 2, None),
        (2, 1, None),
    ]
    for measured in chosen.table.measured:
        assert measured.epochs_per_hour is not None and measured.images_per_second is not None
        assert measured.memory_each is not None and measured.memory_each > 50 * 2**20
    best = chosen.table.best()
    assert best is not None
    assert chosen.resources == Resources(best.together, best.cpus_per_trial, 0.0)
    assert "measuring 2 ways" in chosen.told
    assert [line.split()[0] for line in chosen.told.splitlines() if line.endswith("chosen")] == [str(best.together)]
    wait_for_free_cpus()
    wait_until(lambda: not probes(), "the end of the processes that measured", every=0.05)


def test_what_is_asked_for_besides_stays_and_a_resumed_search_says_that_it_measures_again(
    ray_session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_Worker", _Sized)
    chosen = Chosen(ResourcesAsked(5, "auto"), again=True)
    assert chosen.resources.concurrent == 5
    assert "measuring again" in chosen.told


def test_where_there_is_one_way_nothing_is_measured(ray_session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_measure", lambda *_: pytest.fail("measured"))
    chosen = Chosen(ResourcesAsked(cpus_per_trial=2, gpus_per_trial="auto"))
    assert chosen.resources == Resources(1, 2, 0.0)
    assert "nothing to measure" in chosen.told
    assert Chosen(ResourcesAsked(cpus_per_trial=1)).resources == Resources(2, 1, 0.0)


def test_what_does_not_fit_in_memory_is_out_with_the_reason(ray_session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "USABLE", 1.0)
    monkeypatch.setattr(packing, "_Worker", _Sized)
    chosen = Chosen()
    assert chosen.table is not None
    one, two = chosen.table.measured
    assert one.out is None
    assert two.out == "2 x 600 MB is more than the 1000 MB there are"
    assert two.epochs_per_hour is None  # found out before it was tried
    assert chosen.resources == Resources(1, 2, 0.0)
    assert two.out in chosen.told


class _Sized:
    """A worker that says how large it is, in megabytes, and how much room there is, without training anything."""

    def begin(self, work: Any) -> tuple[int, int]:
        return 0, 1000 * 2**20

    def warm_up(self, threads: int) -> None:
        pass

    def measure(self, seconds: float) -> Any:
        return packing.Speed(1.0, 1.0, 600 * 2**20)


class _Dying(_Sized):
    """A worker that the system kills."""

    def warm_up(self, threads: int) -> None:
        os._exit(1)


class _TooLarge(_Sized):
    """A worker whose GPU is too small."""

    def measure(self, seconds: float) -> Any:
        raise MemoryError("CUDA out of memory\nand more lines")


class _WithoutData(_Sized):
    """A worker on a node without the data."""

    def begin(self, work: Any) -> tuple[int, int]:
        raise UserError(["there are no images", "of two kinds"])


class _Hanging(_Sized):
    """A worker that never answers."""

    def warm_up(self, threads: int) -> None:
        import time

        time.sleep(600)


@pytest.mark.parametrize(
    ("worker", "told"),
    [(_Dying, "ActorDiedError"), (_TooLarge, "MemoryError: CUDA out of memory"), (_Hanging, "not measured within 1 s")],
)
def test_what_fails_is_out_and_without_any_choice_the_default_is_taken(
    ray_session: str, monkeypatch: pytest.MonkeyPatch, worker: type, told: str
) -> None:
    monkeypatch.setattr(packing, "_Worker", worker)
    monkeypatch.setattr(packing, "LONGEST", 1 if worker is _Hanging else 60)
    chosen = Chosen()
    assert chosen.table is not None
    assert told in str(chosen.table.measured[0].out)
    assert chosen.table.measured[1].out == "not measured"
    assert told in chosen.told
    assert "taking the default" in chosen.told
    assert chosen.resources == Resources(2, 1, 0.0)
    wait_for_free_cpus()


def test_what_is_wrong_with_the_data_of_a_node_is_the_users(ray_session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_Worker", _WithoutData)
    with pytest.raises(UserError) as raised:
        Chosen()
    assert raised.value.problems == ["there are no images", "of two kinds"]
    wait_for_free_cpus()


def test_a_node_in_use_by_others_is_not_waited_for(ray_session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_free_cpus()
    monkeypatch.setattr(packing, "PATIENCE", 1.0)
    other = ray.remote(_Sized).options(num_cpus=1).remote()  # type: ignore[attr-defined]
    ray.get(other.warm_up.remote(1))
    chosen = Chosen()
    ray.kill(other)
    assert "are in use" in chosen.told
    assert chosen.resources == Resources(2, 1, 0.0)
    wait_for_free_cpus()


# The node and the trial


def node(address: str, alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"NodeManagerAddress": address, "Alive": alive, "Resources": resources}


def test_the_node_with_most_gpus_and_then_cpus_is_measured() -> None:
    nodes = [node("a", CPU=4.0), node("b", CPU=8.0), node("c", CPU=2.0, GPU=1.0), node("d", False, CPU=64.0, GPU=8.0)]
    gpu = largest_node(nodes, use_gpus=True)
    assert (gpu.address, gpu.cpus, gpu.gpus, gpu.of) == ("c", 2, 1, 3)
    assert str(gpu) == "c with 2 CPUs and 1 GPU, one of 3 nodes"
    assert str(largest_node(nodes, use_gpus=False)) == "b with 8 CPUs, one of 3 nodes"
    with pytest.raises(UserError, match="no node with a CPU"):
        largest_node([node("head", GPU=1.0)], use_gpus=True)


def test_the_trial_that_is_measured_is_the_first_of_the_space_or_a_drawn_one() -> None:
    assert typical_trial(replace(SPACE, first=[{"learning_rate": 0.005}]))[0].learning_rate == 0.005
    drawn, config = typical_trial(SPACE)
    assert drawn == typical_trial(SPACE)[0]
    assert 1e-4 <= drawn.learning_rate <= 1e-2
    assert config.startswith("learning_rate=")


# The command


def test_the_choice_is_stored_with_the_run(ray_session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_Worker", _Sized)
    out, space = tmp_path / "run", space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    with trials_run_here():
        assert main([space, "--cpus-per-trial", "auto", "--out", str(out)]) == 0
    resources = json.loads((out / "run.json").read_text())["resources"]
    assert resources["packing"]["chosen"]["cpus_per_trial"] == resources["cpus_per_trial"]
    assert len(resources["packing"]["measured"]) == 2


def test_a_dry_run_says_that_it_is_measured_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--cpus-per-trial", "--gpus-per-trial"):
        assert main(["digits", "--dry-run", option, "auto", "--out", str(tmp_path / "run")]) == 0
        assert "resources: auto: measured at the start" in capsys.readouterr().out


@pytest.fixture
def drivers(ray_session: str, tmp_path: Path) -> Iterator[Drivers]:
    started = Drivers(tmp_path, ray_session)
    yield started
    started.end()


def in_measuring(number: int) -> None:
    """Called in the driver: sends itself the signal while workers are measured."""
    calls = itertools.count(1)
    answers = packing._Workers._answers

    def signalling(self: Any, of_calls: list[Any]) -> list[Any]:
        if next(calls) == 2:
            os.kill(os.getpid(), number)
        return answers(self, of_calls)

    packing._Workers._answers = signalling  # type: ignore[method-assign]


@pytest.mark.slow
def test_an_interruption_while_measuring_ends_the_search_before_it_has_begun(
    ray_session: str, drivers: Drivers, tmp_path: Path
) -> None:
    wait_for_free_cpus()
    sent = signal.SIGTERM  # Ctrl-C has the same handler, see test_interrupt.py
    out = tmp_path / "run"
    arguments = ["digits", "--trials", "2", "--cpus-per-trial", "auto", "--out", str(out)]
    assert end_of(drivers.fork(arguments, in_measuring, sent)) == 128 + sent
    assert drivers.told().splitlines()[-1] == "interrupted"
    assert "Traceback" not in drivers.told()
    assert not out.exists()
    wait_for_free_cpus()
    wait_until(lambda: not probes(), "the end of the processes that measured", every=0.05)
