"""Searches that die at random and are resumed, under the simulated engine: no decision differs.

TUNE_LPC_DEATHS says how many searches (default 12; `TUNE_LPC_DEATHS=1000` takes some minutes).
"""

from __future__ import annotations

import dataclasses
import os
import random
from typing import Any

import pytest

from tests.search.curves import begin, noisy_curve
from tune_lpc.plan import Space, load_space
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, Status
from tune_lpc.results.ranking import ranked
from tune_lpc.search.seeds import stages
from tune_lpc.search.simulated import MemoryLog, simulate

SEARCHES = int(os.environ.get("TUNE_LPC_DEATHS", "12"))
TRIALS = 32
MOST_TORN = 4
"""Events at the end of a journal that a death may take with it."""


ENDING: dict[str, Any] = {"rung_rule": "stop", "seeds": 1, "score_window": 1}
WAITING: dict[str, Any] = {"rung_rule": "promote", "seeds": 3, "score_window": 3}
WITH_SPLITS: dict[str, Any] = {**WAITING, "seed_splits": True}
RULES = pytest.mark.parametrize("rules", [ENDING, WAITING, WITH_SPLITS], ids=["stop", "promote", "promote, splits"])


def space_of(seed: int, rules: dict[str, Any]) -> Space:
    """The space of the digits with more trials, and a seed of its own."""
    digits = load_space("digits")
    settings = {**digits.settings, "seed": seed}
    return dataclasses.replace(digits, trials=TRIALS, settings=settings, control_trials=seed % 4, **rules)


def decisions(ledger: Ledger) -> list[Any]:
    """Everything that was decided: configs, controls, further seeds, what rungs said, how trials ended, the ranking."""
    trials = [
        (
            *(trial.number, trial.config, trial.control, trial.repeat_of),
            *(sorted(trial.looks.items()), trial.status, trial.reason),
        )
        for trial in ledger.in_order()
    ]
    return [trials, ledger.looks, [(config.trial.number, config.scores) for config in ranked(ledger)]]


def with_deaths(space: Space, draw: random.Random, slots: int = 1) -> tuple[Ledger, int]:
    """The search in as many lives as it takes, and how often it died."""
    log, deaths = MemoryLog(), 0
    while True:
        director = begin(space, "tpe", slots, log)
        if director.to_come == 0:
            return director.ledger, deaths
        most, lost = draw.randint(1, 250), draw.randint(0, 2)
        simulate(director, noisy_curve, slots=slots, most_events=most, lost=lost)
        if director.to_come == 0 and not any(trial.end is None for trial in director.ledger.trials.values()):
            return director.ledger, deaths
        deaths += 1
        torn = draw.randint(0, MOST_TORN)
        log = MemoryLog(log.events[: max(1, len(log.events) - torn)])


@RULES
@pytest.mark.slow
def test_no_decision_of_a_search_that_died_differs(rules: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    deaths = promoted = repeats = 0
    for seed in range(SEARCHES):
        space = space_of(seed, rules)
        whole = begin(space, "tpe")
        simulate(whole, noisy_curve)
        resumed, died = with_deaths(space, random.Random(seed))
        deaths += died
        assert decisions(resumed) == decisions(whole.ledger), f"seed {seed}"
        promoted += sum(look.promoted for look in resumed.looks)
        repeats += sum(trial.repeat_of is not None for trial in resumed.trials.values())
    assert deaths >= SEARCHES  # about three a search
    assert (promoted > SEARCHES, repeats > SEARCHES) == ((False, False) if rules is ENDING else (True, True))
    with capsys.disabled():
        print(f"\n{SEARCHES} searches of {TRIALS} configs, {deaths} deaths")


@RULES
def test_what_a_death_takes_with_it_is_trained_again(rules: dict[str, Any]) -> None:
    space, log = space_of(1, rules), MemoryLog()
    simulate(begin(space, log=log), noisy_curve, most_events=10)
    torn = MemoryLog(log.events[:-3])
    epochs = [event for event in torn.events if isinstance(event, EpochDone)]
    assert 0 < len(epochs) < 10
    simulate(begin(space, log=torn), noisy_curve)
    assert len([event for event in torn.events if isinstance(event, EpochDone)]) > 10


@pytest.mark.slow
def test_with_several_slots_nothing_is_lost_and_nothing_done_twice() -> None:
    """Decisions may differ, as they depend on which trial is faster; so there is no reference."""
    for seed in range(SEARCHES):
        space, draw = space_of(seed, WITH_SPLITS), random.Random(seed)
        ledger, deaths = with_deaths(space, draw, slots=3)
        trials = ledger.in_order()
        firsts = [trial for trial in trials if trial.repeat_of is None]
        assert [trial.number for trial in trials] == list(range(len(trials)))
        assert len(firsts) == TRIALS and deaths
        for trial in trials:
            run = trial.runs[trial.full_budget]
            assert len(run) == run.epochs, "no epoch is missing"
            assert trial.status in (Status.COMPLETED, Status.STOPPED, Status.DIVERGED)
            assert all(look.goes_on for look in list(trial.looks.values())[:-1])
        for first in firsts:
            further = [trial.config for trial in trials if trial.repeat_of == first.number]
            assert first.status is Status.COMPLETED or not further
            assert [config["seed"] - seed for config in further] == list(range(1, len(further) + 1))
            assert len(further) < 3
        completed = sum(trial.status is Status.COMPLETED for trial in firsts)
        assert len(trials) - TRIALS == sum(stages(completed, 3, space.reduction_factor))
