"""What the options of `python -m tune_lpc.run` ask of the search, which itself does not run here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tune_lpc.run import main

Asked = Callable[..., list[Any]]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The requests that a command makes of the search."""

    def run(*options: str) -> list[Any]:
        requests: list[Any] = []

        def run_searches(made: list[Any], console: object) -> list[Any]:
            requests.extend(made)
            return []

        monkeypatch.setattr("tune_lpc.search.run_searches", run_searches)
        assert main(["digits", "--out", str(tmp_path / "run"), *options]) == 0
        return requests

    return run


def test_a_trial_goes_on_twice_and_is_stuck_after_twenty_times_the_time_unless_asked_otherwise(asked: Asked) -> None:
    (request,) = asked()
    assert (request.resume, request.max_failures, request.stuck_after) == (False, 2, 20.0)
    assert request.space.fidelity_mode == "truncated"


def test_the_guards_and_the_resume_are_asked_of_every_search(asked: Asked) -> None:
    requests = asked("--method", "lpc", "sliding", "--resume", "--max-failures", "0", "--stuck-after", "2.5")
    assert [(r.resume, r.max_failures, r.stuck_after) for r in requests] == [(True, 0, 2.5)] * 2


def test_the_space_is_searched_in_the_mode_asked_for(asked: Asked) -> None:
    (request,) = asked("--fidelity", "truncated", "--first-rung-after", "0.5", "--control-trials", "3")
    space = request.space
    assert (space.fidelity_mode, space.first_rung_after, space.control_trials) == ("truncated", 0.5, 3)
    assert sum(space.is_control(number) for number in range(space.trials)) == 3


def test_a_search_warns_of_rungs_before_the_ramps_unless_told_where_to_place_them(asked: Asked) -> None:
    told = [request.warnings for request in asked("--method", "sliding", "lpc_topological")]
    assert all(line.startswith("warning: the ramps of the regularisers may go on") for (line,) in told)
    for options in (["--first-rung-after", "0.5"], ["--fidelity", "compressed"], ["--fidelity", "full"]):
        assert [request.warnings for request in asked(*options)] == [()]
