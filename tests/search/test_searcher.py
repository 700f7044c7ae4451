"""Optuna behind Ray's interface: what it draws, what it is told, and how it goes on after an interruption."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.trial import TrialState

from tune_lpc.plan import Choice, Float, Space
from tune_lpc.search.searcher import KnownTrial, SpaceSearch

SPACE = Space(
    name="small",
    about="for tests",
    settings={"epochs": 9, "seed": 3},
    dimensions={
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "gamma_ramp": Choice(["off", "linear"]),
        "gamma_end": Float(1.0, 10.0, when={"gamma_ramp": ("linear",)}),
    },
    first=[{"learning_rate": 0.05, "gamma_ramp": "off"}],
    fidelity_mode="truncated",
)


def result(epoch: int, score: float, diverged: str | None = None) -> dict[str, Any]:
    record = {"record/budget": 9, "record/epoch": epoch, "record/diverged": diverged}
    return {"validation_accuracy": score, **record}


def drawn_of(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "number"}


def test_draws_number_the_trials_and_respect_conditions() -> None:
    search = SpaceSearch(SPACE, concurrent=1)
    configs = [search.suggest(str(i)) for i in range(30)]
    assert [config["number"] for config in configs] == list(range(30))
    assert drawn_of(configs[0]) == SPACE.first[0]
    for config in configs:
        assert 1e-4 <= config["learning_rate"] <= 1e-1
        assert ("gamma_end" in config) == (config["gamma_ramp"] == "linear")
    assert {config["gamma_ramp"] for config in configs} == {"off", "linear"}


def run(search: SpaceSearch, numbers: range) -> list[tuple[dict[str, Any], KnownTrial]]:
    """Run trials one after another: some diverge, some are stopped at a rung, the others complete."""
    lived = []
    for number in numbers:
        config = search.suggest(f"ray-{number}")
        score = 1.0 - config["learning_rate"]
        search.on_trial_result(f"ray-{number}", result(1, score))
        if config["learning_rate"] > 0.04 and number:
            last, status, scores = result(1, math.nan, "train_loss became nan"), "diverged", {}
        elif number % 3 == 1:
            last, status, scores = result(3, score), "stopped", {3: score}
        else:
            search.on_trial_result(f"ray-{number}", result(3, score))
            last, status, scores = result(9, score), "completed", {3: score}
        search.on_trial_complete(f"ray-{number}", last)
        known = KnownTrial(
            number, drawn_of(config), status, scores, last["validation_accuracy"] if status == "completed" else None
        )
        lived.append((config, known))
    return lived


def test_the_seed_alone_decides_what_is_drawn() -> None:
    def configs(seed: int) -> list[dict[str, Any]]:
        search = SpaceSearch(SPACE.with_values({"seed": seed}), concurrent=1)
        return [config for config, _ in run(search, range(20))]

    assert configs(1) == configs(1)
    assert configs(1) != configs(2)


@pytest.mark.parametrize("cut", [0, 1, 5, 13, 29])
def test_a_search_made_again_from_its_trials_draws_what_it_would_have_drawn(cut: int) -> None:
    whole = run(SpaceSearch(SPACE, concurrent=1), range(30))
    again = SpaceSearch(SPACE, concurrent=1, known=[known for _, known in whole[:cut]])
    assert run(again, range(cut, 30)) == whole[cut:]


def test_the_scores_do_steer_the_search() -> None:
    low = [config["learning_rate"] for config, _ in run(SpaceSearch(SPACE, concurrent=1), range(60))]
    assert sorted(low[:20])[10] > 1.5 * sorted(low[40:])[10]


def test_unfinished_trials_come_first_with_their_numbers() -> None:
    whole = run(SpaceSearch(SPACE, concurrent=1), range(6))
    known = [known for _, known in whole]
    for number in (2, 4):
        known[number] = KnownTrial(number, known[number].drawn, None, known[number].rung_scores)
    again = SpaceSearch(SPACE, concurrent=2, known=known)
    configs = [again.suggest(str(i)) for i in range(3)]
    assert [config["number"] for config in configs] == [2, 4, 6]
    assert configs[0] == whole[2][0] and configs[1] == whole[4][0]
    # Its rung of before counts, and is not told twice.
    again.on_trial_result("0", result(3, 0.123))
    again.on_trial_complete("0", result(9, 0.9))
    assert again.study.trials[2].intermediate_values == dict(known[2].rung_scores)
    assert again.study.trials[2].state == TrialState.COMPLETE


def test_a_trial_whose_record_is_lost_is_drawn_again_as_it_was() -> None:
    whole = run(SpaceSearch(SPACE, concurrent=1), range(15))
    known = [known for _, known in whole if known.number != 12]
    assert SpaceSearch(SPACE, concurrent=1, known=known).suggest("a") == whole[12][0]


@pytest.mark.parametrize(
    ("last", "error", "state"),
    [
        (result(9, 0.7), False, TrialState.COMPLETE),
        (result(3, 0.7), False, TrialState.PRUNED),
        (result(2, math.nan, "train_loss became nan"), False, TrialState.FAIL),
        (result(9, 0.1, "train_loss became inf"), False, TrialState.FAIL),
        (result(5, 0.7), True, TrialState.FAIL),
        (None, True, TrialState.FAIL),
    ],
    ids=["full budget", "stopped at a rung", "diverged", "diverged with a score", "failed", "failed at once"],
)
def test_optuna_hears_how_a_trial_ended(last: dict[str, Any] | None, error: bool, state: TrialState) -> None:
    search = SpaceSearch(SPACE, concurrent=1)
    search.suggest("a")
    search.on_trial_result("a", result(1, 0.3))
    search.on_trial_complete("a", last, error)
    (told,) = search.study.trials
    assert told.state == state
    # Only scores at rungs are told, and the one that decided the stop is among them.
    assert told.intermediate_values == ({3: 0.7} if state == TrialState.PRUNED else {})


def test_in_a_compressed_climb_the_end_of_a_short_run_is_told() -> None:
    search = SpaceSearch(SPACE.with_values({"fidelity_mode": "compressed"}), concurrent=1)
    search.suggest("a")
    for budget, epoch in ((3, 2), (3, 3), (9, 3), (9, 9)):
        reported = result(epoch, budget + epoch / 10) | {"record/budget": budget}
        search.on_trial_result("a", reported)
    search.on_trial_complete("a", reported)
    (told,) = search.study.trials
    assert (told.intermediate_values, told.value) == ({3: 3.3}, 9.9)


def test_it_keeps_away_from_where_trials_diverged() -> None:
    """All scores are equal, so only the divergence above 1e-2 can steer."""
    space = Space("wide", "for tests", {"learning_rate": Float(1e-4, 1e4, log=True)}, {"epochs": 9})

    def share_above(*, told_as_diverged: bool) -> float:
        search, above = SpaceSearch(space, concurrent=1), 0
        for number in range(60):
            rate = search.suggest(str(number))["learning_rate"]
            diverges = rate > 1e-2
            above += diverges and number >= 30
            if diverges and not told_as_diverged:
                search.on_trial_complete(str(number), None, error=True)
            else:
                search.on_trial_complete(str(number), result(9, 0.5, "nan" if diverges else None))
        return above / 30

    # Three quarters of the range diverge.
    assert share_above(told_as_diverged=True) < 0.4 < share_above(told_as_diverged=False)
