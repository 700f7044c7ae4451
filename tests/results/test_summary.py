from __future__ import annotations

from pathlib import Path

import pytest

from tests.results.runs import Search
from tune_lpc.results import RankedConfig, export, summarise


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def test_the_figures_of_a_search(search: Search) -> None:
    search.trial([0.1, 0.2, 0.3, 0.4])
    search.trial([0.2], "stopped")
    search.trial([0.2, 0.3], "stopped")
    search.trial([0.2], "diverged")
    search.trial([], "failed")
    search.trial([0.2, 0.3], None)
    summary = summarise(export(search.directory), searched=[])
    assert summary.trials == 6
    assert summary.counts == {"completed": 1, "stopped": 2, "diverged": 1, "failed": 1, "interrupted": 1}
    assert summary.epochs_spent == 10
    # The two stopped trials would have gone on for 3 and 2 epochs; nothing else was stopped early.
    assert summary.epochs_without_stopping == 15
    assert summary.share_saved == pytest.approx(1 / 3)
    assert summary.seconds == 20.0


def test_the_best_rows_hold_the_searched_settings_as_plain_values(search: Search) -> None:
    searched = ["learning_rate", "gamma_ramp", "gamma_end", "penultimate_width"]
    search.trial([0.5, 0.5, 0.5, 0.4], learning_rate=0.01, penultimate_width=32)
    search.trial([0.6, 0.9, 0.9, 0.7], learning_rate=0.02, gamma_ramp="linear", gamma_end=10.0)
    search.trial([0.9], "stopped")
    best = summarise(export(search.directory), searched=searched, top=2).best
    assert best == [
        RankedConfig(
            rank=1,
            trial_id="t001",
            number=1,
            status="completed",
            score=0.7,
            epochs=4,
            best_epoch=2,
            best_score=0.9,
            config={"learning_rate": 0.02, "gamma_ramp": "linear", "gamma_end": 10.0, "penultimate_width": 64},
        ),
        RankedConfig(
            rank=2,
            trial_id="t000",
            number=0,
            status="completed",
            score=0.4,
            epochs=4,
            best_epoch=1,
            best_score=0.5,
            config={"learning_rate": 0.01, "gamma_ramp": "off", "gamma_end": None, "penultimate_width": 32},
        ),
    ]
    assert type(best[0].rank) is int
    assert type(best[0].config["penultimate_width"]) is int
    assert type(best[0].score) is float


def test_an_empty_search_has_figures_too(search: Search) -> None:
    summary = summarise(export(search.directory), searched=["learning_rate"])
    assert (summary.trials, summary.epochs_spent, summary.share_saved, summary.best) == (0, 0, 0.0, [])
    assert set(summary.counts.values()) == {0}
