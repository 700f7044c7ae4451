"""How long trials take, as the director sees it."""

from __future__ import annotations

import pytest

from tests.results.runs import record
from tune_lpc.plan.fidelity import Fidelity
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, TrialStarted, trial_id_of
from tune_lpc.search.pace import Pace

FULL = Fidelity(epochs=9, mode="full")


class Trained:
    """Trials that report when told to."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.pace = Pace(FULL, self.ledger)

    def start(self, number: int, now: float) -> None:
        self.ledger.apply(TrialStarted(trial_id_of(number), number, {"epochs": 9}))
        self.pace.begins(number, now)

    def epochs(self, number: int, *at: float, first: int = 1) -> None:
        """Epochs that are reported at these times."""
        for epoch, now in enumerate(at, start=first):
            self.ledger.apply(EpochDone(trial_id_of(number), record(epoch, 0.5, 9)))
            self.pace.passes(number, now, is_last=epoch == 9)


def test_as_long_as_nothing_is_known_nobody_tells() -> None:
    trained = Trained()
    trained.start(0, 0.0)
    trained.epochs(0, 8.0)
    assert (trained.pace.each, trained.pace.whole(), trained.pace.end_of(0)) == (None, None, None)
    assert trained.pace.fastest == 0.0


def test_what_passes_before_the_first_epoch_is_told_apart_from_the_epochs() -> None:
    trained = Trained()
    trained.start(0, 0.0)
    trained.epochs(0, 10.0, 12.0, 14.0)
    assert trained.pace.each == 2.0
    assert trained.pace.whole() == 8.0 + 9 * 2.0
    assert trained.pace.end_of(0) == 14.0 + 6 * 2.0
    trained.start(1, 14.0)
    assert trained.pace.end_of(1) == 14.0 + 8.0 + 9 * 2.0


def test_what_comes_with_the_last_epoch_is_no_part_of_the_others() -> None:
    trained = Trained()
    trained.start(0, 0.0)
    trained.epochs(0, *range(1, 9), 15.0)  # measures for 6 s
    trained.pace.ends(0)
    assert trained.pace.each == 1.0
    assert trained.pace.whole() == 9.0 + 6.0
    assert trained.pace.running == []


def test_a_trial_has_its_own_pace_and_an_unknown_one_that_of_the_slow() -> None:
    trained = Trained()
    for number, seconds in enumerate((1.0, 2.0, 3.0, 4.0)):
        trained.start(number, 0.0)
        trained.epochs(number, seconds, 2 * seconds)
    assert trained.pace.each == 3.0
    assert trained.pace.fastest == 1.0
    assert [trained.pace.end_of(number) for number in range(4)] == [9.0, 18.0, 27.0, 36.0]
    assert trained.pace.whole(3) - trained.pace.whole(0) == pytest.approx(9 * 3.0, abs=2.0)  # type: ignore[operator]


def test_a_trial_that_waits_takes_what_it_has_not_trained() -> None:
    trained = Trained()
    trained.start(0, 0.0)
    trained.epochs(0, 1.0, 2.0, 3.0)
    trained.pace.ends(0)
    assert trained.pace.rest(trained.ledger.trials[trial_id_of(0)]) == 6.0
    trained.pace.begins(0, 100.0)
    assert trained.pace.end_of(0) == 106.0, "time in which it waited is not its own"


def test_a_process_that_goes_on_knows_the_epochs_of_before() -> None:
    trained = Trained()
    trained.start(0, 0.0)
    for epoch in (1, 2):
        trained.ledger.apply(EpochDone(trial_id_of(0), record(epoch, 0.5, 9, seconds=5.0)))
    again = Pace(FULL, trained.ledger)
    assert again.each == 5.0
    assert again.whole() == 45.0


def test_the_runs_of_a_climb_all_count() -> None:
    climb = Fidelity(epochs=9, mode="compressed", first_rung=3)
    ledger = Ledger([TrialStarted(trial_id_of(0), 0, {"epochs": 9})])
    pace = Pace(climb, ledger)
    pace.begins(0, 0.0)
    for budget, epoch, now in ((3, 1, 1.0), (3, 2, 2.0), (3, 3, 3.0), (9, 1, 4.0)):
        ledger.apply(EpochDone(trial_id_of(0), record(epoch, 0.5, budget)))
        pace.passes(0, now, is_last=False)
    assert pace.whole() == 12.0
    assert pace.end_of(0) == 12.0
