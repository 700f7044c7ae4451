"""The settings of early stopping: their rules, their texts, and which trials are control trials."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from tests.plan.test_space import SPACE
from tune_lpc.plan import Fidelity, UserError
from tune_lpc.plan.search_settings import same_controls

TRUNCATED = dataclasses.replace(SPACE, fidelity_mode="truncated")


def test_a_space_is_searched_by_runs_looked_at_early_unless_it_says_otherwise() -> None:
    assert SPACE.fidelity == Fidelity(20, "truncated", 3, None)
    compressed = dataclasses.replace(SPACE, fidelity_mode="compressed", first_rung=4)
    assert compressed.fidelity == Fidelity(20, "compressed", 3, 4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fidelity_mode": "truncate"}, "fidelity_mode is 'truncate', but must be one of compressed, truncated, full;"),
        ({"fidelity_mode": "truncate"}, "did you mean 'truncated'?"),
        ({"fidelity_mode": None}, "fidelity_mode is none, but must be one of compressed, truncated, full"),
        ({"fidelity_mode": ["full"]}, "fidelity_mode is ['full'], but must be one of"),
        ({"first_rung_after": 0.0}, "first_rung_after is 0.0, but must be a number above 0 and up to 1"),
        ({"first_rung_after": 1.01}, "first_rung_after is 1.01, but must be a number above 0 and up to 1"),
        ({"first_rung_after": float("nan")}, "first_rung_after is nan, but must be"),
        ({"first_rung_after": True}, "first_rung_after is True, but must be"),
        ({"first_rung_after": "0.5"}, "first_rung_after is '0.5', but must be"),
        ({"first_rung_after": 10**400}, "first_rung_after is about 10^400, but must be"),
        ({"control_trials": -1}, "control_trials is -1, but must be a whole number from 0 to 1000000"),
        ({"control_trials": 2.0}, "control_trials is 2.0, but must be a whole number"),
        ({"control_trials": True}, "control_trials is True, but must be a whole number"),
        ({"control_trials": None}, "control_trials is none, but must be a whole number"),
        ({"sampler": "tp"}, "sampler is 'tp', but must be one of tpe, gp, prior, random; did you mean 'tpe'?"),
        ({"sampler": None}, "sampler is none, but must be one of tpe, gp, prior, random"),
        ({"random_starts": 0}, "random_starts is 0, but must be a whole number from 1 to 1000000"),
        ({"control_trials": 9}, "control_trials is 9, but must be from 0 to trials (8)"),
        ({"first_rung_after": 0.5, "first_rung": 3}, "first_rung is 3 and first_rung_after is 0.5, but only one"),
    ],
)
def test_a_broken_rule_is_named(changes: dict[str, Any], told: str) -> None:
    (problem,) = dataclasses.replace(TRUNCATED, **changes).problems()
    assert told in problem


@pytest.mark.parametrize("mode", ["compressed", "full"])
def test_a_share_of_the_ramps_is_for_truncated_runs(mode: str) -> None:
    (problem,) = dataclasses.replace(SPACE, fidelity_mode=mode, first_rung_after=0.5).problems()
    assert problem.startswith(f"first_rung_after is 0.5, but fidelity_mode is '{mode}'")
    assert "set fidelity_mode to truncated (--fidelity), or first_rung_after to none" in problem


def test_both_conflicts_and_other_problems_are_told_at_once() -> None:
    wrong = dataclasses.replace(
        SPACE, fidelity_mode="compressed", first_rung_after=0.5, first_rung=99, control_trials=9
    )
    told = "\n".join(wrong.problems())
    for part in ("but fidelity_mode is 'compressed'", "only one of them", "to trials (8)", "to epochs (20)"):
        assert part in told


@pytest.mark.parametrize("share", [1, 1.0, 1e-9])
def test_a_share_above_nothing_and_up_to_all_is_right(share: float) -> None:
    assert dataclasses.replace(TRUNCATED, first_rung_after=share).problems() == []


def test_texts_become_values() -> None:
    texts = ["fidelity_mode=truncated", "first_rung_after=0.5", "control_trials=2"]
    changes = SPACE.parse_changes(texts)
    assert changes == {"fidelity_mode": "truncated", "first_rung_after": 0.5, "control_trials": 2}
    samplers = SPACE.parse_changes(["sampler=gp", "random_starts=5"])
    assert samplers == {"sampler": "gp", "random_starts": 5}
    changed = SPACE.with_values(changes)
    assert (changed.fidelity_mode, changed.first_rung_after, changed.control_trials) == ("truncated", 0.5, 2)
    assert SPACE.parse_changes(["first_rung_after=None"]) == {"first_rung_after": None}
    assert changed.with_values({"first_rung_after": None}).first_rung_after is None


def test_texts_that_are_no_values_are_refused_as_changes() -> None:
    with pytest.raises(UserError) as caught:
        SPACE.with_values(SPACE.parse_changes(["fidelity_mode=none", "first_rung_after=soon", "control_trials=few"]))
    assert len(caught.value.problems) == 3


def test_a_change_that_contradicts_the_others_is_refused() -> None:
    with pytest.raises(UserError, match=r"control_trials is 3, but must be from 0 to trials \(2\)"):
        dataclasses.replace(SPACE, control_trials=3).with_values({"trials": 2})


@pytest.mark.parametrize(
    "changes",
    [
        {"fidelity_mode": "full"},
        {"first_rung_after": 0.5},
        {"first_rung_after": 0.6},
        {"control_trials": 1},
        {"sampler": "gp"},
        {"random_starts": 5},
    ],
)
def test_they_are_part_of_the_hash(changes: dict[str, Any]) -> None:
    assert dataclasses.replace(TRUNCATED, **changes).hash() != TRUNCATED.hash()
    assert dataclasses.replace(TRUNCATED, **changes).as_dict().items() >= changes.items()


def test_the_hash_does_not_depend_on_the_spelling_of_a_number() -> None:
    one, same = (dataclasses.replace(TRUNCATED, first_rung_after=share) for share in (1, 1.0))
    assert one.hash() == same.hash()


# Control trials


def controls(trials: int, control_trials: int) -> list[int]:
    space = dataclasses.replace(SPACE, trials=trials, control_trials=control_trials)
    return [number for number in range(-3, trials + 20) if space.is_control(number)]


@pytest.mark.parametrize("trials", [1, 2, 7, 32, 100])
def test_there_are_as_many_control_trials_as_asked_for_evenly_apart(trials: int) -> None:
    for count in range(trials + 1):
        found = controls(trials, count)
        assert len(found) == count
        assert set(found) <= set(range(trials))
        assert len({after - before for before, after in itertools.pairwise(found)}) <= 1


def test_every_third_trial_is_one_from_the_second_on_or_more_of_them_where_there_are_few() -> None:
    assert controls(9, 3) == controls(32, 3) == [1, 4, 7]
    assert controls(8, 3) == controls(6, 3) == [1, 3, 5]
    assert controls(5, 3) == controls(3, 3) == [0, 1, 2]
    assert controls(32, 0) == []


@pytest.mark.parametrize("before", [9, 10, 16, 32])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_more_trials_leave_the_control_trials_what_they_are(before: int, count: int) -> None:
    for now in range(before, 120):
        assert controls(now, count) == controls(before, count)
        assert same_controls(before, now, count)


def test_whether_more_trials_would_change_them_can_be_asked() -> None:
    for before, now, count in itertools.product(range(1, 20), range(1, 20), range(20)):
        if count <= min(before, now):
            assert same_controls(before, now, count) is (controls(before, count) == controls(now, count))
