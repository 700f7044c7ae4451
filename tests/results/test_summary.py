from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.results.runs import Search
from tune_lpc.results import RungAgreement, export, summarise
from tune_lpc.results.agreement import agreement
from tune_lpc.results.summary import RankedConfig


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
    assert (summary.restarts, summary.epochs_repeated, summary.agreements) == (0, 0, [])


def test_a_climb_costs_all_its_runs_and_saves_only_what_its_stops_save(search: Search) -> None:
    for status in ("completed", "completed"):
        trial_id = search.start()
        search.run(trial_id, 2, [0.1, 0.2])
        search.run(trial_id, 4, [0.1, 0.2, 0.3, 0.4])
        search.end(trial_id, status)
    summary = summarise(export(search.directory), searched=[])
    assert (summary.epochs_spent, summary.epochs_without_stopping) == (12, 8)
    assert summary.share_saved == pytest.approx(-0.5)
    for _ in range(4):
        trial_id = search.start()
        search.run(trial_id, 2, [0.1, 0.2])
        search.end(trial_id, "stopped")
    interrupted = search.start()
    search.run(interrupted, 2, [0.1, 0.2])
    search.run(interrupted, 4, [0.1])
    summary = summarise(export(search.directory), searched=[])
    assert (summary.epochs_spent, summary.epochs_without_stopping) == (12 + 8 + 3, 8 + 16 + 3)
    assert summary.share_saved == pytest.approx(1 - 23 / 27)


def test_epochs_done_again_are_spent_but_not_by_the_rungs(search: Search) -> None:
    trial_id = search.start()
    for accuracy in (0.1, 0.2):
        search.run(trial_id, 4, [accuracy] * 3)
        search.journal.append("trial_restarted", trial_id=trial_id, reason="its worker was lost")
    search.epoch(trial_id, 4, 0.5)
    search.end(trial_id)
    summary = summarise(export(search.directory), searched=[])
    assert (summary.epochs_spent, summary.epochs_repeated, summary.restarts) == (7, 3, 2)
    assert (summary.epochs_without_stopping, summary.share_saved) == (4, 0.0)


def test_a_line_a_rung_from_the_control_trials(search: Search) -> None:
    final = [0.2, 0.1, 0.4]
    for number, last in enumerate(final):
        trial_id = search.start(control=True)
        search.rung(trial_id, 2, number / 10, control=True)
        if number:
            search.rung(trial_id, 3, number / 10, control=True)
        search.run(trial_id, 4, [0.1, 0.1, 0.1, last])
        search.end(trial_id)
    found = agreement([0.0, 0.1, 0.2], final, 3)
    agreements = summarise(export(search.directory), searched=[]).agreements
    assert agreements == [
        RungAgreement(rung=2, trials=3, spearman=found.spearman, kept=found.kept, regret=found.regret),
        RungAgreement(rung=3, trials=2, spearman=None, kept=None, regret=None),
    ]
    assert found.spearman == 0.5
    assert type(agreements[0].rung) is int


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
            low=None,
            high=None,
            seeds=1,
            tied=False,
            regularisers=1,
            budget=4,
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
            low=None,
            high=None,
            seeds=1,
            tied=False,
            regularisers=0,
            budget=4,
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


# Further seeds


IMAGES = {"data": {"validation_images": 200}}
FULL: list[float | None] = [0.1, 0.1, 0.1]


def with_seeds(search: Search, *scores: float, **settings: Any) -> None:
    """A config with a score a seed."""
    number = search.trials
    search.trial([*FULL, scores[0]], **settings)
    for seed, score in enumerate(scores[1:], start=1):
        search.trial([*FULL, score], repeat_of=number, **{**settings, "seed": seed})


def test_further_seeds_count_as_trials_and_on_both_sides_of_what_is_saved(tmp_path: Path) -> None:
    search = Search(tmp_path)
    with_seeds(search, 0.5, 0.6)
    search.trial([0.2], "stopped")
    summary = summarise(export(tmp_path), searched=[])
    assert (summary.trials, summary.repeats, summary.epochs_spent) == (3, 1, 9)
    assert (summary.epochs_without_stopping, summary.share_saved) == (12, 1 - 9 / 12)


def test_a_config_has_the_mean_of_its_seeds_and_an_interval(tmp_path: Path) -> None:
    search = Search(tmp_path, **IMAGES)
    with_seeds(search, 0.84, 0.86)
    with_seeds(search, 0.7)
    first, second = summarise(export(tmp_path), searched=["seed"]).best
    assert (first.number, first.score, first.seeds, first.config) == (0, pytest.approx(0.85), 2, {"seed": 0})
    assert first.low is not None and first.high is not None and 0.7 < first.low < 0.85 < first.high < 0.95
    assert (second.number, second.seeds) == (2, 1)
    assert (type(first.seeds), type(first.tied), type(first.regularisers)) == (int, bool, int)


@pytest.mark.parametrize(
    ("scores", "tied", "in_a_row"),
    [
        ([(0.9,)], 1, True),
        ([(0.9, 0.91), (0.5, 0.5)], 1, True),
        ([(0.9, 0.91), (0.9, 0.89), (0.5, 0.5)], 2, True),
        ([(0.9, 0.91), (0.5, 0.5), (0.89,)], 2, False),
    ],
)
def test_how_many_are_tied_with_the_first(
    tmp_path: Path, scores: list[tuple[float, ...]], tied: int, in_a_row: bool
) -> None:
    search = Search(tmp_path, **IMAGES)
    for each in scores:
        with_seeds(search, *each)
    summary = summarise(export(tmp_path), searched=[])
    assert (summary.tied, summary.tied_in_a_row) == (tied, in_a_row)


def test_of_those_that_are_tied_the_simplest_is_named_unless_the_first_is_as_simple(tmp_path: Path) -> None:
    search = Search(tmp_path, **IMAGES)
    both = {"gamma_ramp": "linear", "gamma_end": 1.0, "topological_weight_schedule": "rising", "beta": 0.5}
    with_seeds(search, 0.9, 0.91, **both)
    with_seeds(search, 0.9, 0.9, gamma_ramp="linear", gamma_end=1.0)
    with_seeds(search, 0.9, 0.89, gamma_ramp="linear", gamma_end=2.0)
    with_seeds(search, 0.2, 0.2)  # simpler still, and worse
    summary = summarise(export(tmp_path), searched=[], top=1)
    assert [config.regularisers for config in summary.best] == [2]
    assert summary.simplest is not None
    assert (summary.simplest.rank, summary.simplest.number, summary.simplest.regularisers) == (2, 2, 1)
    with_seeds(search, 0.95, 0.95)
    assert summarise(export(tmp_path), searched=[]).simplest is None
