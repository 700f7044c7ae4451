"""Several processes that train one trial: to the numbers of one, and none of them ever left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.training.teams import (
    CASES,
    EPOCHS,
    EXACT,
    alone,
    begun,
    differences,
    raise_value_error,
    records,
    trial,
    wait_for_the_end,
    weights,
)
from tune_lpc.plan import UserError
from tune_lpc.training.checkpoints import Checkpoints
from tune_lpc.training.team import Team, TeamError

ROUNDING = 1e-6


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    """Two processes that train in float64, one trial after another."""
    started = Team(EXACT, 2)
    pids = started.pids
    yield started
    started.close()
    assert wait_for_the_end(pids)


@pytest.fixture(scope="module")
def later_team() -> Iterator[Team]:
    """Two processes more, which the test that takes them last may end."""
    started = Team(EXACT, 2)
    yield started
    started.close()


@pytest.mark.parametrize("case", CASES)
def test_every_epoch_has_the_numbers_of_one_process(team: Team, case: str) -> None:
    spec = trial(case)
    begun(team, spec)
    found = differences(records(team), alone(spec))
    assert {name: difference for name, difference in found.items() if not difference <= ROUNDING} == {}


def test_measures_and_questions_are_answered_by_the_first_process(team: Team) -> None:
    spec = trial("mlp", epochs=1)
    beginning = begun(team, spec)
    assert (beginning.continued_from, list(beginning.left_out)) == (None, [])
    (record,) = records(team, 1)
    values, reasons = team.measure(["nc1", "mean_norm"])
    assert values == {"nc1": pytest.approx(record.nc1), "mean_norm": pytest.approx(record.mean_norm)}
    assert not reasons
    *of_parameters, images = team.ask(weights)
    assert len(of_parameters) == 8 and images == 240.0


def test_nothing_of_it_listens_but_on_loopback(team: Team) -> None:
    begun(team, trial("mlp"))
    sockets = [socket for pid in team.pids for socket in psutil.Process(pid).net_connections("inet")]
    assert sockets, "the processes talk to each other"
    assert {socket.laddr.ip for socket in sockets} <= {"127.0.0.1", "::1"}


def test_killed_it_goes_on_from_its_checkpoint_to_the_same_numbers(later_team: Team, tmp_path: Path) -> None:
    spec, checkpoints = trial("small_cnn"), tmp_path / "checkpoints" / "0"
    first = Team(EXACT, 2)
    begun(first, spec, checkpoints)
    before, pids = records(first, 2), first.pids
    assert [position for position, _ in Checkpoints(checkpoints)._files()] == [(EPOCHS, 1), (EPOCHS, 2)]
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(TeamError) as raised:
        first.next_epoch()
    assert str(raised.value) == "process 2 of 2 of the trial was killed by signal 9 (SIGKILL)"
    assert wait_for_the_end(pids, 0.0), "none is left once the error is told"
    assert begun(later_team, spec, checkpoints).continued_from == (EPOCHS, 2)
    again = records(later_team, 2)
    found = differences([*before, again[1]], alone(spec))
    assert max(found.values()) <= ROUNDING, found
    assert again[0].as_dict() == before[1].as_dict(), "the checkpoint's own epoch, told once more"


def test_what_a_process_raises_ends_them_all_in_one_line(later_team: Team) -> None:
    pids = later_team.pids
    begun(later_team, trial("mlp"))
    with pytest.raises(TeamError) as raised:
        later_team.ask(raise_value_error)
    assert str(raised.value) == "process 1 of 2 of the trial raised ValueError: the question is wrong"
    assert wait_for_the_end(pids, 0.0)
    with pytest.raises(TeamError, match="were ended before"):
        later_team.next_epoch()
    later_team.close()


def test_what_the_user_must_mend_comes_as_it_is() -> None:
    team = Team(replace(EXACT, fingerprint="0" * 64), 1)
    pids = team.pids
    with pytest.raises(UserError, match="differ from those where the search was started"):
        team.prepare(trial("mlp"))
    assert wait_for_the_end(pids, 0.0)


def test_with_the_process_that_started_them_killed_none_is_left() -> None:
    program = subprocess.Popen([sys.executable, "-m", "tests.training.teams"], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    try:
        pids = [int(word) for word in program.stdout.readline().split()]
        assert len(pids) == 2
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(1.0)
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
    assert wait_for_the_end(pids)
