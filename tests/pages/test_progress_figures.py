"""What happened over time: the steps of the best score, curves that stay few, the schedules of the best config."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.made import made_run
from tests.results.runs import RUN, Search
from tune_lpc.pages.folder import Run, read_run
from tune_lpc.pages.progress_figures import MOST_CURVES, best_over_time, best_so_far, learning_curves, progress_of
from tune_lpc.results import export, write_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read_run(made_run(tmp_path_factory.mktemp("runs") / "run", 60))


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """Scores of 0.5, 0.25, a stopped 0.99 and 0.75, in this order."""
    write_run(tmp_path, RUN)
    found = Search(tmp_path)
    found.trial([0.5] * 4)
    found.trial([0.25] * 4)
    found.trial([0.99], "stopped")
    found.trial([0.5, 0.5, 0.5, 0.75])
    found.journal.close()
    export(tmp_path)
    return found


def test_only_a_better_score_of_a_full_training_is_a_step(search: Search) -> None:
    progress = progress_of(read_run(search.directory))
    assert [(step.score, step.epochs, step.number) for step in progress.steps] == [(0.5, 4, 0), (0.75, 13, 3)]
    assert [one.score for one in progress.ended] == [0.5, 0.25, 0.75]
    assert progress.epochs == 13 and progress.hours >= progress.ended[-1].hours > 0


def test_without_a_journal_trials_follow_one_another(search: Search) -> None:
    (search.directory / "journal.jsonl").unlink()
    progress = progress_of(read_run(search.directory))
    assert [(step.score, step.epochs) for step in progress.steps] == [(0.5, 4), (0.75, 13)]
    assert progress.ended[0].hours == pytest.approx(8 / 3600) and progress.hours == pytest.approx(26 / 3600)


def test_the_answer_tells_when_the_best_was_there(search: Search) -> None:
    figure = best_so_far(read_run(search.directory))
    assert figure.answer.startswith("The best single training, trial 3 with 75.00 %, was there after 13 of 13 epochs")
    assert [chart.name for chart in figure.charts] == ["best_by_epochs", "best_by_hours"]


def test_some_dozens_of_curves_are_drawn_the_first_of_the_ranking_strongly(made: Run) -> None:
    figure = learning_curves(made)
    (rows,) = figure.charts[0].chart.to_dict()["datasets"].values()
    assert len({row["trial"] for row in rows}) == MOST_CURVES
    assert {row["trial"] for row in rows if row["best"]} == set(made.best["number"].head(5))
    assert {"completed", "stopped"} <= {row["status"] for row in rows}


def test_the_best_config_is_shown_with_what_was_in_force(made: Run) -> None:
    figure = best_over_time(made)
    assert {"best_learning_rate", "best_nc1", "best_mean_norm"} <= {chart.name for chart in figure.charts}
    assert "Its topological weight is off." in figure.answer
    assert f"trial {made.best.iloc[0]['number']}," in figure.answer
