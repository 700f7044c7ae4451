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
from tune_lpc.results.events import EpochDone
from tune_lpc.results.ranking import ranked
from tune_lpc.search.simulated import MemoryLog, simulate

SEARCHES = int(os.environ.get("TUNE_LPC_DEATHS", "12"))
TRIALS = 32
MOST_TORN = 4
"""Events at the end of a journal that a death may take with it."""


def space_of(seed: int) -> Space:
    """The space of the digits with more trials, and a seed of its own."""
    digits = load_space("digits")
    settings = {**digits.settings, "seed": seed}
    return dataclasses.replace(digits, trials=TRIALS, settings=settings, control_trials=seed % 4)


def decisions(ledger: Ledger) -> list[Any]:
    """Everything that was decided: configs, controls, what rungs said, how trials ended, the ranking."""
    trials = [
        (trial.number, trial.config, trial.control, sorted(trial.looks.items()), trial.status, trial.reason)
        for trial in ledger.in_order()
    ]
    return [trials, ledger.looks, [(config.trial.number, config.scores) for config in ranked(ledger)]]


def with_deaths(space: Space, draw: random.Random) -> tuple[Ledger, int]:
    """The search in as many lives as it takes, and how often it died."""
    log, deaths = MemoryLog(), 0
    while True:
        director = begin(space, "tpe", log=log)
        if director.to_come == 0:
            return director.ledger, deaths
        simulate(director, noisy_curve, most_events=draw.randint(1, 250), lost=draw.randint(0, 2))
        if director.to_come == 0 and not any(trial.end is None for trial in director.ledger.trials.values()):
            return director.ledger, deaths
        deaths += 1
        torn = draw.randint(0, MOST_TORN)
        log = MemoryLog(log.events[: max(1, len(log.events) - torn)])


@pytest.mark.slow
def test_no_decision_of_a_search_that_died_differs(capsys: pytest.CaptureFixture[str]) -> None:
    deaths = 0
    for seed in range(SEARCHES):
        space = space_of(seed)
        whole = begin(space, "tpe")
        simulate(whole, noisy_curve)
        resumed, died = with_deaths(space, random.Random(seed))
        deaths += died
        assert decisions(resumed) == decisions(whole.ledger), f"seed {seed}"
    assert deaths >= SEARCHES  # about three a search
    with capsys.disabled():
        print(f"\n{SEARCHES} searches of {TRIALS} trials, {deaths} deaths")


def test_what_a_death_takes_with_it_is_trained_again() -> None:
    space, log = space_of(1), MemoryLog()
    simulate(begin(space, log=log), noisy_curve, most_events=10)
    torn = MemoryLog(log.events[:-3])
    epochs = [event for event in torn.events if isinstance(event, EpochDone)]
    assert 0 < len(epochs) < 10
    simulate(begin(space, log=torn), noisy_curve)
    assert len([event for event in torn.events if isinstance(event, EpochDone)]) > 10
