"""Bad input to `python -m tune_lpc.run`: status 2, a line a problem, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import image_folder, refused, space_file


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["cifar11"], ["there is no search space 'cifar11'; did you mean 'cifar10'?"]),
        (["digits", "--set", "learning_rat=0.1"], ["'learning_rat' is not a setting", "'learning_rate'"]),
        (["digits", "--set", "learning_rate=fast"], ["learning_rate is 'fast', but must be a number"]),
        (["digits", "--set", "learning_rate=5"], ["learning_rate is 5.0, but must be from 0.0003 to 0.03"]),
        (["digits", "--set", "batch_size=0"], ["batch_size is 0, but must be a whole number from 2 to 1000000000"]),
        (["digits", "--set", "network=resnet"], ["network is 'resnet'", "resnet18"]),
        (["digits", "--set", "learning_rate"], ["--set takes NAME=VALUE, but got 'learning_rate'"]),
        (["digits", "--trials", "0"], ["trials is 0"]),
        (["digits", "--trials", "many"], ["--trials is 'many', but must be a whole number"]),
        (["digits", "--epochs", "-3"], ["epochs is -3"]),
        (["digits", "--cpus-per-trial", "0"], ["--cpus-per-trial is 0"]),
        (["digits", "--cpus-per-trial", "100000"], ["--cpus-per-trial is 100000"]),
        (["digits", "--gpus-per-trial", "-1"], ["--gpus-per-trial is -1"]),
        (["digits", "--concurrent", "0"], ["--concurrent is 0"]),
        (["digits", "--data-dir", "/nowhere/at/all"], ["/nowhere/at/all"]),
        (["digits", "--data-dir", "x" * 300], ["--data-dir", "is not a folder"]),
        (["digits", "--data-dir", ""], ["--data-dir is empty"]),
        (["digits", "--set", "seed=-1"], ["seed is -1"]),
        (["digits", "--set", "method=lpc"], ["method is 'lpc', but is chosen by --method"]),
        (["digits", "--method", "vanilla", "--set", "gamma_ramp=linear"], ["method vanilla has it 'off'"]),
        (["digits", "--seed", "1", "--set", "seed=2"], ["seed is given by --seed and by --set"]),
        (["digits", "--set", "beta=1", "beta=2"], ["beta is given twice"]),
        (["digits", "--fidelity", "compresed"], ["fidelity_mode is 'compresed'", "; did you mean 'compressed'?"]),
        (["digits", "--fidelity", ""], ["fidelity_mode is '', but must be one of compressed, truncated, full"]),
        (["digits", "--fidelity", "full", "--set", "fidelity_mode=full"], ["given by --fidelity and by --set"]),
        (["digits", "--set", "fidelity=full"], ["'fidelity' is not a setting", "did you mean 'fidelity_mode'?"]),
        (
            ["digits", "--fidelity", "full", "--first-rung-after", "0.5"],
            ["first_rung_after is 0.5, but fidelity_mode is 'full'"],
        ),
        (["digits", "--fidelity", "truncated", "--first-rung-after", "0"], ["first_rung_after is 0.0, but must be"]),
        (["digits", "--fidelity", "truncated", "--first-rung-after", "soon"], ["--first-rung-after is 'soon'"]),
        (
            ["digits", "--fidelity", "truncated", "--first-rung-after", "0.5", "--set", "first_rung=4"],
            ["first_rung is 4 and first_rung_after is 0.5"],
        ),
        (
            ["digits", "--fidelity", "truncated", "--first-rung-after", "0.5", "--set", "first_rung_after=0.5"],
            ["first_rung_after is given by --first-rung-after and by --set"],
        ),
        (["digits", "--control-trials", "-1"], ["control_trials is -1, but must be a whole number from 0"]),
        (["digits", "--trials", "3", "--control-trials", "4"], ["control_trials is 4", "from 0 to trials (3)"]),
        (["digits", "--sampler", "tpee"], ["sampler is 'tpee', but must be one of", "; did you mean 'tpe'?"]),
        (["digits", "--sampler", "gp", "--set", "sampler=gp"], ["sampler is given by --sampler and by --set"]),
        (["digits", "--set", "random_starts=none"], ["random_starts is none, but must be a whole number from 1"]),
        (["digits", "--warm-start", "/nowhere"], ["--warm-start: /nowhere holds no run: there is no such folder"]),
        (["digits", "--warm-start", ""], ["--warm-start is empty, but must name a folder"]),
        (["digits", "--warm-start", "x" * 300], ["--warm-start: ", "can't be read"]),
        (["digits", "--dry-run", "--warm-start", "/nowhere"], ["--warm-start: /nowhere holds no run"]),
        (["digits", "--max-failures", "101"], ["--max-failures is 101, but must be a whole number from 0 to 100"]),
        (["digits", "--max-failures", "-1"], ["--max-failures is -1, but must be"]),
        (["digits", "--max-failures", "1.5"], ["--max-failures is '1.5', but must be a whole number"]),
        (["digits", "--stuck-after", "1.9"], ["--stuck-after is 1.9, but must be a number from 2 to 1000000"]),
        (["digits", "--stuck-after", "nan"], ["--stuck-after is nan, but must be a number from 2"]),
        (["digits", "--frobnicate"], ["--frobnicate"]),
        ([], ["give a search space"]),
    ],
)
def test_bad_options_are_refused_in_one_line(
    arguments: list[str], told: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    (line,) = refused([*arguments, "--out", str(out)], capsys)
    for part in told:
        assert part in line
    assert not out.exists()


def test_what_earlier_searches_are_of_no_use_for_is_told_with_all_else(capsys: pytest.CaptureFixture[str]) -> None:
    lines = refused(["digits", "--sampler", "random", "--trials", "0", "--warm-start", "/here", "/there"], capsys)
    assert lines[0].startswith("error: trials is 0")  # no space, so nothing is said of its sampler
    lines = refused(["digits", "--sampler", "random", "--warm-start", "/here", "/there"], capsys)
    assert lines == [
        "error: --warm-start has no effect with sampler 'random', which learns nothing; leave one of them out",
        "error: --warm-start: /here holds no run: there is no such folder; check the path",
        "error: --warm-start: /there holds no run: there is no such folder; check the path",
    ]


def test_all_problems_of_the_options_come_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["digits", "--trials", "0", "--epochs", "x", "--concurrent", "-1", "--set", "beta=9", "betta=1"]
    arguments += ["--fidelity", "half", "--control-trials", "few", "--max-failures", "-1", "--stuck-after", "0"]
    lines = refused([*arguments, "--out", str(tmp_path / "run")], capsys)
    told = ["trials is 0", "--epochs is 'x'", "--concurrent is -1", "beta is 9", "'betta' is not a setting"]
    told += ["fidelity_mode is 'half'", "--control-trials is 'few'", "--max-failures is -1", "--stuck-after is 0"]
    for part in told:
        assert sum(part in line for line in lines) == 1, part


@pytest.mark.parametrize(
    ("dimensions", "told"),
    [
        ('"learning_rate": Float(0.1, 0.1)', ["learning_rate has an empty range"]),
        (
            '"learning_rate": Float(0.2, 0.1), "gamma_end": Float(1, 2, when={"gama_ramp": ("linear",)})',
            ["learning_rate has an empty range", "condition on 'gama_ramp', which does not exist"],
        ),
        ('"learning_rate": Flaot(0.1, 0.2)', ["NameError"]),
    ],
)
def test_a_wrong_space_file_is_refused_with_all_its_problems(
    dimensions: str, told: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = refused([space_file(tmp_path, dimensions), "--out", str(tmp_path / "run")], capsys)
    for part in told:
        assert any(part in line for line in lines)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["missing", "empty", "broken image", "too few for the groups"])
def test_bad_data_are_refused_before_anything_is_written(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "shades"
    if damage == "empty":
        data.mkdir()
    elif damage == "broken image":
        image_folder(data)
        (data / "train" / "dark" / "3.png").write_bytes(b"not an image")
    elif damage == "too few for the groups":
        image_folder(data, per_class=5)
    out = tmp_path / "run"
    (line,) = refused(["digits", "--data-dir", str(data), "--out", str(out)], capsys)
    told = {"broken image": "3.png", "too few for the groups": "group_size"}
    assert told.get(damage, str(data)) in line
    assert not out.exists()


def test_images_too_small_for_the_network_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(["digits", "--set", "network=cnn13", "--out", str(tmp_path / "run")], capsys)
    assert "8 x 8" in line
    assert "cnn13 needs" in line


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    (line,) = refused(["digits", "--out", str(tmp_path / "file" / "run")], capsys)
    assert "can't be written" in line


@pytest.mark.parametrize("methods", [["lpc"], ["lpc", "vanilla"]])
def test_a_folder_whose_name_is_too_long_is_refused(methods: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    lines = refused(["digits", "--method", *methods, "--out", "x" * 300], capsys)
    assert len(lines) == len(methods)
    assert all("can't be written (File name too long); choose another with --out" in line for line in lines)


def test_a_folder_that_holds_a_run_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "journal.jsonl").write_text("precious")
    (line,) = refused(["digits", "--out", str(tmp_path)], capsys)
    assert "already holds a run" in line
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]


def test_of_two_searches_that_begin_in_one_folder_the_second_is_refused(
    ray_session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    space = space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')

    def claimed_meanwhile(*arguments: object) -> dict[str, object]:
        out.mkdir()
        (out / "journal.jsonl").write_text("of the other")
        return {}

    monkeypatch.setattr("tune_lpc.engine.tuner.describe_run", claimed_meanwhile)
    (line,) = refused([space, "--out", str(out)], capsys)
    assert "another search has just begun" in line
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("journal.jsonl", "of the other")]


def test_a_ray_without_a_token_is_not_started_because_of_an_old_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tune_lpc.engine.tuner.ray.is_initialized", lambda: False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    out = tmp_path / "out"
    (line,) = refused(["digits", "--trials", "1", "--out", str(out)], capsys)
    assert line.startswith("error: RAY_AUTH_MODE is 'disabled', but must be token, ") and "--no-token" in line
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    (line,) = refused(["digits", "--trials", "1", "--out", str(out), "--no-token"], capsys)
    assert line == "error: --no-token is given, but RAY_AUTH_MODE is token; leave one of them out"
    assert not out.exists()
