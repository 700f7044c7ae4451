from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.results.runs import Search
from tune_lpc.results import export


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def ranking(search: Search) -> list[str]:
    best = export(search.directory).best
    assert best["rank"].tolist() == list(range(1, len(best) + 1))
    return list(best["trial_id"])


def test_the_full_budget_comes_first_then_more_epochs_then_the_score(search: Search) -> None:
    long_low = search.trial([0.9, 0.5, 0.4], "stopped")
    full_low = search.trial([0.1, 0.1, 0.1, 0.2])
    short = search.trial([0.99], "stopped")
    long_high = search.trial([0.1, 0.1, 0.6], "stopped")
    full_high = search.trial([0.1, 0.1, 0.1, 0.3])
    assert ranking(search) == [full_high, full_low, long_high, long_low, short]


def test_the_last_score_decides_not_the_best(search: Search) -> None:
    peak = search.trial([0.99, 0.1, 0.1, 0.5])
    steady = search.trial([0.6, 0.6, 0.6, 0.6])
    assert ranking(search) == [steady, peak]
    best = export(search.directory).best
    assert best["score"].tolist() == [0.6, 0.5]
    assert best["best_epoch"].tolist() == [1, 1]
    assert best["best.validation_accuracy"].tolist() == [0.6, 0.99]
    assert best["epochs"].tolist() == [4, 4]


def test_ties_go_to_the_lower_loss_then_the_lower_number(search: Search) -> None:
    losses = {search.start(epochs=1): loss for loss in (None, 0.7, 0.3, 0.7)}
    for trial_id, loss in losses.items():
        search.epoch(trial_id, 1, 0.5, validation_loss=loss)
        search.end(trial_id)
    assert ranking(search) == ["t002", "t001", "t003", "t000"]


def test_ties_below_the_full_budget_follow_the_same_rule(search: Search) -> None:
    for loss in (0.7, 0.3, 0.7):
        search.epoch(search.start(), 1, 0.5, validation_loss=loss)
    assert ranking(search) == ["t001", "t000", "t002"]


def test_an_interrupted_trial_is_ranked_by_what_it_reached(search: Search) -> None:
    stopped = search.trial([0.1, 0.5], "stopped")
    running = search.trial([0.1, 0.4, 0.3], None)
    done_but_for_its_end = search.trial([0.1, 0.1, 0.1, 0.2], None)
    assert ranking(search) == [done_but_for_its_end, running, stopped]


def test_diverged_failed_and_scoreless_trials_are_not_ranked(search: Search) -> None:
    search.trial([0.9, 0.9, 0.9, 0.9], "diverged")
    search.trial([0.9, 0.9, 0.9, 0.9], "failed")
    search.trial([0.9, 0.9, 0.9, None])
    search.trial([], "stopped")
    killed_while_diverging = search.start()
    search.epoch(killed_while_diverging, 1, 0.9, diverged="train_loss is nan")
    good = search.trial([0.1], "stopped")
    assert ranking(search) == [good]


def test_the_first_of_equal_epochs_is_the_best_one(search: Search) -> None:
    trial_id = search.start()
    for epoch, accuracy in ((1, None), (2, 0.4), (3, 0.7), (4, 0.7)):
        search.epoch(trial_id, epoch, accuracy)
    trials = export(search.directory).trials
    assert trials["best_epoch"].tolist() == [3]
    assert trials["best.gamma"].tolist() == [pytest.approx(3e-3)]
    assert trials["last.gamma"].tolist() == [pytest.approx(4e-3)]


def test_an_epoch_entry_out_of_order_does_not_change_which_is_last(search: Search) -> None:
    trial_id = search.start()
    for epoch in (2, 3, 1):
        search.epoch(trial_id, epoch, epoch / 10)
    trials = export(search.directory).trials
    assert trials["epochs"].tolist() == [3]
    assert trials["last.validation_accuracy"].tolist() == [0.3]


def test_a_trial_without_a_score_has_no_best_epoch(search: Search) -> None:
    search.trial([None, None], None)
    trials = export(search.directory).trials
    assert trials["best_epoch"].tolist() == [pd.NA]
    assert trials["best.gamma"].tolist() == [pd.NA]
    assert trials["last.gamma"].tolist() == [pytest.approx(2e-3)]
