"""A head of the cluster that is lost in the middle of a search."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
import pytest
from ray._private.state import GlobalState

from tests.drivers import entries, wait_until
from tests.heads import PATIENCE, ray_head
from tests.heads import Head as RunningHead
from tune_lpc.engine import lifeline as lifeline_module
from tune_lpc.engine.head import Head, Standing
from tune_lpc.engine.lifeline import HeadLost, Lifeline, lifeline


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ASKED_EVERY", 0.02), ("ASKED_AGAIN_EVERY", 0.01), ("LOST_AFTER", 0.5)):
        monkeypatch.setattr(lifeline_module, name, value)
    monkeypatch.setattr(lifeline_module, "PARKING_SECONDS", 0.3)


class Told(Head):
    """A head that stands as a test tells."""

    def __init__(self) -> None:
        super().__init__("h:1")
        self.standing, self.breaks = Standing.HERE, False

    def look(self) -> Standing:
        return self.standing

    def broke_off(self, seconds: float) -> bool:
        time.sleep(seconds)
        broke, self.breaks = self.breaks, False
        return broke

    def ends(self, standing: Standing) -> None:
        """Its process ends, and from then on it stands so."""
        self.standing, self.breaks = standing, True


@pytest.fixture
def head(_quick: None) -> Told:
    return Told()


def never(_: HeadLost) -> None:
    raise AssertionError("the search is ended from another thread")


def search(line: Lifeline | None, seconds: float = 5.0) -> None:
    """What the search's own thread does."""
    assert line is not None
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        line.park()
        time.sleep(0.005)


def test_a_head_that_answers_is_not_lost(head: Told) -> None:
    with lifeline(head, never) as line:
        search(line, 1)


def test_a_search_stands_still_while_the_head_is_gone_and_goes_on_when_the_same_one_is_back(head: Told) -> None:
    said: list[str] = []
    with lifeline(head, never, said.append) as line:
        assert line is not None
        head.ends(Standing.GONE)
        wait_until(lambda: bool(said), "the words")
        threading.Timer(0.2, lambda: setattr(head, "standing", Standing.HERE)).start()
        began = time.monotonic()
        line.park()
        assert 0.1 < time.monotonic() - began < 0.45
        search(line, 0.8)
    assert ["is gone" in said[0], "is back" in said[1]] == [True, True] and len(said) == 2


def test_a_connection_that_breaks_off_is_no_matter_where_the_head_is_the_same(head: Told) -> None:
    said: list[str] = []
    with lifeline(head, never, said.append) as line:
        for _ in range(5):
            head.ends(Standing.HERE)
            search(line, 0.1)
    assert not said


def test_a_pulled_cable_does_not_let_the_search_stand_still(head: Told) -> None:
    with lifeline(head, never) as line:
        head.standing = Standing.SILENT
        began = time.monotonic()
        search(line, 0.2)
        assert time.monotonic() - began < 0.4
        head.standing = Standing.HERE
        search(line, 0.8)


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing.ANOTHER, "the head of the cluster (h:1) was started anew and knows nothing of the search"),
        (Standing.GONE, "the head of the cluster (h:1) does not answer any more"),
        (Standing.SILENT, "the head of the cluster (h:1) does not answer any more"),
    ],
)
def test_a_lost_head_ends_the_search_in_its_own_thread(head: Told, standing: Standing, words: str) -> None:
    with lifeline(head, never) as line:
        head.ends(standing)
        with pytest.raises(HeadLost) as lost:
            search(line)
    assert lost.value.reason == words and lost.value.is_mended == (standing is Standing.ANOTHER)


def test_a_search_that_hangs_is_ended_from_another_thread(head: Told) -> None:
    ended = threading.Event()

    def hanging() -> None:
        with lifeline(head, lambda _: ended.set()) as line:
            assert ended.wait(5) and line is not None
            line.park()

    thread = threading.Thread(target=hanging, daemon=True)
    thread.start()
    head.ends(Standing.ANOTHER)
    assert ended.wait(5)
    thread.join(0.3)
    assert thread.is_alive(), "two threads would write the end"


def test_a_question_on_its_way_ends_the_search_before_another_head_can_answer(head: Told) -> None:
    """That Ray would end the process cannot be seen here; the next test but one has a real head."""
    ended, over = threading.Event(), threading.Event()
    with lifeline(head, lambda _: ended.set()) as line:
        assert line is not None

        def ask() -> None:
            with line.question():
                over.wait(5)

        threading.Thread(target=ask, daemon=True).start()
        wait_until(lambda: line._questions == 1, "the question")
        began = time.monotonic()
        head.ends(Standing.GONE)
        assert ended.wait(5) and time.monotonic() - began < 0.25
        over.set()
        line._ending = None  # or this thread would stand still for good


def test_a_search_that_is_asked_to_end_does_not_wait_for_a_head_that_is_gone(head: Told) -> None:
    with lifeline(head, never, asked_to_end=lambda: True) as line:
        search(line, 0.1)  # its head is there
        head.ends(Standing.GONE)
        with pytest.raises(HeadLost):
            search(line, 0.4)


def test_rays_own_questions_wait_while_the_head_is_gone(head: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    class Accessor:
        def get_node_table(self) -> list[str]:
            return ["node"]

    monkeypatch.setattr(GlobalState, "_connect_and_get_accessor", lambda _: Accessor())
    state = GlobalState()
    with lifeline(head, never):
        assert state.node_table() == ["node"]
        head.ends(Standing.ANOTHER)
        time.sleep(0.1)
        with pytest.raises(HeadLost):
            state.node_table()
    assert type(state._connect_and_get_accessor()) is Accessor


def test_without_a_head_to_watch_there_is_no_thread() -> None:
    with lifeline(None, never):
        assert "lifeline" not in [thread.name for thread in threading.enumerate()]


# A real head


@contextmanager
def head_killed_and_started_anew(head: RunningHead) -> Iterator[None]:
    """Its process is replaced by a fresh one, which knows nothing of what was; all else lives."""
    (old,) = head.processes("gcs_server")
    command, environment, folder = old.cmdline(), old.environ(), old.cwd()
    watching = psutil.Process(head.process.pid)
    watching.suspend()  # else it would end all that it has started
    old.kill()
    null = subprocess.DEVNULL
    new = subprocess.Popen(command, env=environment, cwd=folder, stdin=null, stdout=null, stderr=null)
    try:
        yield
    finally:
        new.kill()
        new.wait()
        watching.resume()


OPTIONS = ["--trials", "20", "--epochs", "900", "--fidelity", "full", "--seeds", "1"]


def started(head: RunningHead, out: Path, told: Path, *command: str) -> subprocess.Popen[bytes]:
    """A command that searches, once there are epochs."""
    with told.open("wb") as file:
        process = subprocess.Popen([sys.executable, *command], stdout=file, stderr=file, env=head.environment)
    deadline = time.monotonic() + PATIENCE
    while not any(entry["kind"].startswith("epoch") for entry in entries(out)):
        assert time.monotonic() < deadline and process.poll() is None, told.read_text()
        time.sleep(0.2)
    return process


def tells_how_to_go_on(out: Path, told: Path, reason: str, how: str) -> None:
    printed = told.read_text()
    assert "the search ended early: the head of the cluster" in printed and reason in printed, printed
    assert f"go on with: {how}" in printed
    assert not any(word in printed for word in ("Traceback", "GCS", "StackTrace")), printed
    assert entries(out)[-1]["kind"] == "run_ended" and reason in entries(out)[-1]["reason"]
    assert len(pd.read_parquet(out / "trials.parquet")) >= 1


@pytest.mark.cluster
def test_a_search_whose_head_dies_writes_its_tables_and_tells_how_to_go_on(tmp_path: Path) -> None:
    out, told = tmp_path / "out", tmp_path / "told.txt"
    with ray_head(dashboard=False) as head:
        command = ["-m", "tune_lpc.run", "digits", *OPTIONS, "--out", str(out), "--address", head.address]
        process = started(head, out, told, *command)
        try:
            for each in head.processes("gcs_server"):
                each.kill()
            status = process.wait(PATIENCE)
        finally:
            process.kill()
    assert status == 1
    tells_how_to_go_on(out, told, "does not answer any more", "python -m tune_lpc.run --resume digits")


@pytest.mark.cluster
def test_a_search_whose_head_is_started_anew_at_once_ends_in_good_order(tmp_path: Path) -> None:
    out, told = tmp_path / "out", tmp_path / "told.txt"
    with ray_head(dashboard=False) as head:
        command = ["-m", "tune_lpc.run", "digits", *OPTIONS, "--out", str(out), "--address", head.address]
        process = started(head, out, told, *command)
        try:
            with head_killed_and_started_anew(head):
                status = process.wait(PATIENCE)
        finally:
            process.kill()
    assert status == 1
    tells_how_to_go_on(out, told, "was started anew", "python -m tune_lpc.run --resume digits")


@pytest.mark.cluster
def test_python_lives_on_when_the_head_is_started_anew(tmp_path: Path) -> None:
    out, told = tmp_path / "out", tmp_path / "told.txt"
    with ray_head(dashboard=False) as head:
        asked = f"trials=20, epochs=900, fidelity='full', seeds=1, out={str(out)!r}, address={head.address!r}"
        code = f"import tune_lpc; result = tune_lpc.run_search('digits', {asked}); print('then:', result.outcome)"
        process = started(head, out, told, "-c", code)
        try:
            with head_killed_and_started_anew(head):
                status = process.wait(PATIENCE)
        finally:
            process.kill()
    assert status == 0 and "then: failed" in told.read_text()
    tells_how_to_go_on(out, told, "was started anew", "tune_lpc.run_search('digits'")
