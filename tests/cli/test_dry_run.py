"""What a dry run tells of early stopping and its cost."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
import ray
from rich.console import Console

from tune_lpc.cli.dry_run import describe_search, early_stopping_lines, ramp_notes
from tune_lpc.plan import Choice, Float, Space, shipped_names
from tune_lpc.plan.resources import ResourcesAsked
from tune_lpc.plan.trial import Value
from tune_lpc.run import main

ROOT = Path(__file__).parents[2]

SPACE = Space(
    name="small",
    about="for tests",
    trials=9,
    settings={"epochs": 90, "gamma_ramp": "linear", "gamma_ramp_length": 0.5},
    dimensions={"learning_rate": Float(1e-4, 1e-2, log=True)},
    rung_rule="stop",
    most_rungs=2,
    score_window=1,
    seeds=1,
)


def told(**changes: Any) -> str:
    return "\n".join(early_stopping_lines(dataclasses.replace(SPACE, **changes).checked()))


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["digits", "--dry-run", *arguments]) == 0
    return capsys.readouterr().out


# What draws the configs


def test_the_sampler_and_its_random_starts_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "sampler: tpe, by chance until 10 configs have a result\n" in printed([], capsys)
    assert "sampler: prior\n" in printed(["--sampler", "prior"], capsys)


def test_what_comes_from_earlier_searches_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / "tests" / "journals" / "version-0.1.0" / "finished"
    out = printed(["--warm-start", str(folder)], capsys)
    assert f"warm start: 3 of 6 configs of digits (digits; {folder}), 11 shared parameters; left out: 3 with" in out


# The modes in words


def test_compressed_names_its_runs_its_rungs_and_the_cost_of_a_climb() -> None:
    lines = told(fidelity_mode="compressed").splitlines()
    assert "compressed: a trial trains complete runs of 10, 30 and 90 epochs" in lines[0]
    assert lines[1] == (
        "rungs: 10 and 30 epochs, where the short runs end; at each the best 1 in 3 of those seen there go on"
    )
    assert "a full climb costs 130 epochs, 1.44 times its last run (with many rungs about 1.50 times)" in lines[2]


def test_truncated_names_its_rungs_and_that_the_run_is_trained_once() -> None:
    lines = told(fidelity_mode="truncated").splitlines()
    assert "truncated: a trial trains one run of 90 epochs" in lines[0]
    assert lines[1].startswith("rungs: 10 and 30 epochs; at each")
    assert lines[2].startswith("a full climb costs 90 epochs")


def test_what_becomes_of_those_that_a_rung_leaves_is_said() -> None:
    waits = "one that does not waits, with a checkpoint on disk, and goes on when it is among the best later"
    assert f"{waits}; at most 6 wait at a time" in told(rung_rule="promote").splitlines()
    assert f"{waits}; at most 1 wait at a time" in told(rung_rule="promote", trials=1).splitlines()
    assert "wait" not in told(rung_rule="stop")
    assert "wait" not in told(rung_rule="promote", fidelity_mode="full")


def test_the_epochs_of_a_score_are_told_where_they_are_several() -> None:
    assert "a score is the mean of the last 3 epochs, as far as there are so many" in told(score_window=3)
    assert "score" not in told(score_window=1)


def test_full_says_that_there_are_no_rungs() -> None:
    assert told(fidelity_mode="full") == (
        "fidelity full: every trial trains one run of 90 epochs to its end; there are no rungs"
    )


def test_it_says_why_there_are_no_rungs() -> None:
    assert told(settings={"epochs": 5}).endswith("too short for rungs")
    rising = {"epochs": 90, "topological_weight_schedule": "rising"}
    late = told(fidelity_mode="truncated", first_rung_after=1.0, settings=rising)
    assert late.endswith("no rungs, as some trial's ramps reach 100 % of their ends only with the last epoch, or never")


def test_control_trials_are_told_with_their_cost() -> None:
    assert "control trials: 3, never stopped, 270 epochs in all, about " in told(control_trials=3)
    assert "control trials: 3, never stopped, 390 epochs" in told(control_trials=3, fidelity_mode="compressed")
    assert "fewer than 3 give no figures" in told(control_trials=2)
    assert "fewer than" not in told(control_trials=3)
    assert "control trials" not in told()
    assert "control trials: 3, which tell nothing" in told(control_trials=3, fidelity_mode="full")


# The note on rungs before the ramps' ends


def test_rungs_before_the_ramps_are_up_are_told_with_what_is_known_of_them() -> None:
    (note,) = ramp_notes(dataclasses.replace(SPACE, fidelity_mode="truncated"))
    assert note.startswith(
        "note: the ramps of the regularisers may go on until epoch 46, and the rungs at 10 and 30 come before that"
    )
    assert "better with such rungs than without on three data sets, and worse on one" in note
    assert "--control-trials" in note
    assert (ROOT / "docs" / "efficiency.md").is_file()


def test_no_default_warns_of_itself_or_advises_what_was_found_no_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for space in shipped_names():
        assert main([space, "--dry-run", "--out", str(tmp_path / "run")]) == 0
        told = capsys.readouterr()
        for word in ("warning", "--first-rung-after", "--fidelity"):
            assert word not in told.out + told.err


@pytest.mark.parametrize(
    "changes",
    [
        {"fidelity_mode": "compressed"},
        {"fidelity_mode": "full"},
        {"fidelity_mode": "truncated", "first_rung_after": 0.5},
        {"fidelity_mode": "truncated", "first_rung": 46},
        {"fidelity_mode": "truncated", "settings": {"epochs": 90}},
        {"fidelity_mode": "truncated", "settings": {**SPACE.settings, "gamma_ramp_length": 0.1}},
    ],
)
def test_there_is_no_note_where_no_rung_comes_before(changes: dict[str, Any]) -> None:
    assert ramp_notes(dataclasses.replace(SPACE, **changes).checked()) == []


def test_only_the_rungs_that_come_before_are_named() -> None:
    (note,) = ramp_notes(dataclasses.replace(SPACE, fidelity_mode="truncated", first_rung=15))
    assert "and the rungs at 15 and 45 come before that" in note
    (note,) = ramp_notes(dataclasses.replace(SPACE, fidelity_mode="truncated", first_rung=16))
    assert "and the rung at 16 comes before that" in note


def test_a_rising_weight_is_told_of_too_and_a_ramp_to_the_very_end() -> None:
    weight = {"topological_weight_schedule": Choice(["off", "rising"])}
    to_the_end: dict[str, Value] = {"gamma_ramp": "linear", "gamma_ramp_length": 1.0}
    for settings, when in (({}, "go on until epoch 90"), (to_the_end, "end only with the training")):
        space = Space("x", "", weight, {"epochs": 90, **settings}, fidelity_mode="truncated")
        (note,) = ramp_notes(space.checked())
        assert f"may {when}" in note


# The command


def test_the_options_change_the_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert "fidelity truncated" in printed(out, capsys)
    assert "fidelity compressed" in printed([*out, "--fidelity", "compressed"], capsys)
    text = printed([*out, "--fidelity", "truncated", "--first-rung-after", "0.5", "--control-trials", "4"], capsys)
    assert "fidelity truncated" in text
    assert "control trials: 4" in text
    assert "note:" not in text
    assert "rungs: 4 and 12 epochs" in printed([*out, "--fidelity", "truncated", "--set", "first_rung=4"], capsys)
    assert not (tmp_path / "run").exists()


def test_the_cost_is_that_of_climbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "run"), "--trials", "10", "--epochs", "90", "--seeds", "1", "--set", "most_rungs=2"]
    climbs = [*out, "--fidelity", "compressed"]
    assert "1,300 if no trial is stopped early" in printed(climbs, capsys)
    assert "900 if no trial is stopped early" in printed(out, capsys)
    assert "cost: 900 epochs;" in printed([*out, "--fidelity", "full"], capsys)
    all_of_them = printed([*climbs, "--control-trials", "10"], capsys)
    assert "cost: about 1,300 epochs, 1,300 if" in all_of_them


def test_it_says_hours_and_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, was_there = ["--out", str(tmp_path / "run")], ray.is_initialized()
    seeds = printed([*out, "--trials", "9", "--epochs", "90", "--set", "seeds=2", "most_rungs=2"], capsys)
    assert "cost: about 300 epochs, 90 of them for 1 further seed of the best" in seeds
    assert "time: an epoch takes " in seeds and "in all about " in seeds
    hours = printed([*out, "--hours", "0.5"], capsys)
    assert "trials: as many as time allows, of up to 36 epochs" in hours
    assert "cost: as much as time allows; 1,293 training images an epoch" in hours
    assert "in 0.5 hours about " in hours and "in all" not in hours
    assert "1000000" not in hours and "1,000,000" not in hours
    assert ray.is_initialized() == was_there, "another test's may run"
    assert not (tmp_path / "run").exists()


def test_gpu_hours_without_gpus_are_refused_before_anything_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune_lpc.training.device.gpus_here", lambda: 0)
    assert main(["digits", "--dry-run", "--gpu-hours", "2", "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("error: --gpu-hours is 2, but the trials use no GPU")


def test_the_note_stands_in_the_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert "note: the ramps" in printed([*out, "--fidelity", "truncated"], capsys)


def test_only_the_configs_that_will_be_trained_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for trials, told in (("1", 1), ("2", 2), ("9", 2)):
        assert printed(["--out", str(tmp_path / "run"), "--trials", trials], capsys).count("begins with: ") == told


@pytest.mark.parametrize("wrong", [["--gpus-per-trial", "99"], ["--data-dir", "{empty}"]])
def test_a_problem_is_told_before_anything_is_printed(
    wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [text.format(empty=tmp_path) for text in wrong]
    assert main(["digits", "--dry-run", "--out", str(tmp_path / "run"), *options]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")


def test_a_folder_with_a_run_is_no_problem_when_it_is_to_be_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "journal.jsonl").write_text("")
    assert main(["digits", "--dry-run", "--out", str(tmp_path)]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert "results:" in printed(["--resume", "--out", str(tmp_path)], capsys)


HOSTILE = "see [/x] [bold]and[/bold] [link=y]"


def test_what_the_user_has_written_is_not_read_as_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "[_x].py"
    path.write_text(
        "from tune_lpc.plan import Float, Space\n"
        "ON = {'topological_weight_schedule': 'constant'}\n"
        f"SPACE = Space('small', {HOSTILE!r}, {{'beta': Float(1, 2)}}, {{'epochs': 2, **ON}})\n"
    )
    out = tmp_path / "[/x]"
    assert main([str(path), "--dry-run", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"small: {HOSTILE}"
    assert f"results: {out}" in lines


def test_values_of_a_dimension_are_not_read_as_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = Space("small", "", {"dataset": Choice([HOSTILE, "digits"])}, {"epochs": 2})
    text = io.StringIO()
    describe_search(Console(file=text, width=200), space, ResourcesAsked(), None, tmp_path, "HOST:[/x]")
    assert f"one of {HOSTILE}, digits" in text.getvalue()
    assert "the Ray cluster at HOST:[/x]" in text.getvalue()


def test_the_list_is_not_read_as_markup(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    space = dataclasses.replace(SPACE, about=HOSTILE)
    monkeypatch.setattr("tune_lpc.run.load_space", lambda name: space)
    assert main(["--list"]) == 0
    assert HOSTILE in capsys.readouterr().out
