"""The summary that a search ends with, from made-up journals."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.results.runs import BUDGET, Search, front_search
from tune_lpc.cli.terminal import print_summary
from tune_lpc.plan import Float, Space
from tune_lpc.results import export

SPACE = Space("small", "for tests", {"learning_rate": Float(1e-4, 1e-2)}, {"epochs": BUDGET}, fidelity_mode="truncated")


def summary(directory: Path, space: Space = SPACE) -> str:
    text = io.StringIO()
    print_summary(Console(file=text, width=200), export(directory), space, directory)
    return text.getvalue()


def test_it_tells_what_was_spent_and_saved_in_which_mode(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.trial([0.5] * BUDGET)
    search.trial([0.4], "stopped")
    printed = summary(tmp_path)
    assert "2 trials: 1 completed, 1 stopped" in printed
    assert "epochs trained: 5; early stopping saved 38% of 8 (fidelity truncated)" in printed
    assert "stopped at epoch 1 of 4" in printed


def test_it_says_so_when_the_short_runs_cost_more_than_stopping_saved(tmp_path: Path) -> None:
    search = Search(tmp_path)
    trial = search.start()
    search.run(trial, 2, [0.3, 0.4])
    search.run(trial, BUDGET, [0.5] * BUDGET)
    search.end(trial)
    printed = summary(tmp_path, dataclasses.replace(SPACE, fidelity_mode="compressed"))
    assert "epochs trained: 6; early stopping cost 50% more than the 4 without it (fidelity compressed)" in printed


def test_where_there_are_no_rungs_nothing_is_said_of_what_they_saved(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.trial([0.5] * BUDGET)
    printed = summary(tmp_path, dataclasses.replace(SPACE, fidelity_mode="full"))
    assert "epochs trained: 4; no early stopping (fidelity full)" in printed


def test_epochs_that_were_done_again_are_told(tmp_path: Path) -> None:
    search = Search(tmp_path)
    trial = search.start()
    for epoch, seconds in ((1, 2.0), (2, 2.0), (2, 2.5), (3, 2.0), (4, 2.0)):
        search.epoch(trial, epoch, seconds=seconds)
    search.journal.append("trial_restarted", trial_id=trial, reason="its worker was lost")
    search.end(trial)
    printed = summary(tmp_path)
    assert "epochs trained: 5, 1 of them again after a failure or on resuming; early stopping saved 0% of 4" in printed
    assert "trials started again: 1 (" in printed


def _with_control_trials(directory: Path, count: int) -> Space:
    search = Search(directory)
    for number in range(count):
        trial = search.start(control=True)
        scores: list[float | None] = [0.1 * number] * BUDGET
        search.run(trial, BUDGET, scores)
        search.rung(trial, 2, 0.1 * number, control=True)
        search.end(trial)
    return dataclasses.replace(SPACE, control_trials=count)


def test_control_trials_give_a_line_a_rung(tmp_path: Path) -> None:
    space = _with_control_trials(tmp_path, 4)
    lines = [line for line in summary(tmp_path, space).splitlines() if line.startswith("rung ")]
    assert lines == ["rung 2 against the end, 4 control trials; Spearman: 1.00; kept of the best: 100%; regret: 0.0000"]


def test_a_figure_that_does_not_exist_is_none(tmp_path: Path) -> None:
    space = _with_control_trials(tmp_path, 2)
    assert "2 control trials; Spearman: none; kept of the best: none; regret: none" in summary(tmp_path, space)


def test_without_control_trials_there_is_no_such_line(tmp_path: Path) -> None:
    Search(tmp_path).trial([0.5] * BUDGET)
    assert "control trials" not in summary(tmp_path)


def test_with_several_objectives_the_front_is_a_table(tmp_path: Path) -> None:
    front_search(tmp_path)
    lines = summary(tmp_path).splitlines()
    assert lines[0] == "Pareto front: 2 of 4 ranked configs, none better than another in all"
    assert lines[1].split() == ["rank", "trial", "validation_accuracy", "nc1", "seeds"]
    assert [line.split() for line in lines[2:4]] == [["1", "0", "0.9", "2", "1"], ["2", "2", "0.5", "0.125", "1"]]
    assert [line.split() for line in lines[4:6]] == [["1.", "learning_rate=0.001"], ["2.", "learning_rate=0.001"]]
    assert lines[6] == "hypervolume: 0.3750 of 1 (front.parquet tells it over time)"
    assert lines[7] == "each a single training: expect less of the ends; --seeds 3 trains the front again"
    assert "best validation accuracy" not in "".join(lines) and "named" not in "".join(lines)
    assert "front.parquet (hypervolume)" in lines[-2]
    assert "train the best config again: python -m tune_lpc.train" in lines[-1]


def test_names_of_trials_and_files_are_not_read_as_markup(tmp_path: Path) -> None:
    directory = tmp_path / "[/x]"
    directory.mkdir(parents=True)
    Search(directory).trial([0.5] * BUDGET)
    printed = summary(directory)
    assert f"files in {directory}:" in printed


# What the ranking says, and how surely


IMAGES = {"data": {"validation_images": 200}}


def seeds(search: Search, *scores: float, **settings: Any) -> None:
    """A config with a score a seed."""
    number = search.trials
    for score in scores:
        of = None if search.trials == number else number
        search.trial([0.1] * (BUDGET - 1) + [score], repeat_of=of, **settings)


def test_a_single_training_is_never_announced_as_the_best(tmp_path: Path) -> None:
    search = Search(tmp_path, **IMAGES)
    seeds(search, 0.9)
    seeds(search, 0.5)
    printed = summary(tmp_path).splitlines()
    assert " 1. validation accuracy 0.9000 (0.8506 to 0.9343), 1 seed  t000, completed at epoch 4 of 4" in printed
    assert "named: rank 1, trial 0, validation accuracy 0.9000 (0.8506 to 0.9343), 1 seed" in printed
    assert "a single training, the luckiest of many: expect less of it; --seeds 3 trains the best again" in printed
    assert "cannot be told apart" not in "".join(printed)


def test_those_that_cannot_be_told_apart_are_said_to_be(tmp_path: Path) -> None:
    search = Search(tmp_path, **IMAGES)
    seeds(search, 0.9, 0.91, 0.9)
    seeds(search, 0.9, 0.9)
    seeds(search, 0.2)
    printed = summary(tmp_path).splitlines()
    assert [", tied with 1  " in line for line in printed if " validation accuracy " in line[:24]] == [
        False,
        True,
        False,
    ]
    assert "1 to 2 cannot be told apart (95 %)" in printed
    assert any(line.startswith("named: rank 1, trial 0, validation accuracy 0.9033 (") for line in printed)
    assert not any("a single training" in line or "simplest" in line for line in printed)
    assert "6 trials (3 of them further seeds of the best): 6 completed" in printed


def test_where_one_between_them_can_be_told_they_are_counted(tmp_path: Path) -> None:
    search = Search(tmp_path, **IMAGES)
    seeds(search, 0.9, 0.91)
    seeds(search, 0.5, 0.5)
    seeds(search, 0.89)
    assert "\n2 configs, 1 among them, cannot be told apart (95 %)\n" in summary(tmp_path)


def test_the_simplest_of_those_that_are_tied_is_named_beside_the_first(tmp_path: Path) -> None:
    search = Search(tmp_path, **IMAGES)
    seeds(search, 0.9, 0.91, gamma_ramp="linear", gamma_end=1.0)
    seeds(search, 0.9, 0.9)
    told = "of these the simplest is rank 2, trial 2: regularisers on: 0, against 1 in rank 1"
    assert told in summary(tmp_path).splitlines()


def test_where_none_was_trained_to_its_end_nothing_is_named(tmp_path: Path) -> None:
    search = Search(tmp_path, **IMAGES)
    search.trial([0.5], "stopped")
    printed = summary(tmp_path)
    assert "(no trial has reached its full budget; these are ranked by how far they came)" in printed
    assert "named" not in printed and "cannot be told apart" not in printed
