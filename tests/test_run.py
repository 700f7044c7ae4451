"""The command `python -m tune_lpc.run`, on real digits and the real Ray."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars
import pytest
from PIL import Image

from tune_lpc.run import main
from tune_lpc.spec.methods import METHODS
from tune_lpc.spec.trial import setting_names, setting_type

SMALL_SPACE = """
from tune_lpc.spec import Choice, Float, Space

SPACE = Space(
    name="small",
    about="for tests",
    trials=2,
    settings={{"dataset": "digits", "network": "mlp", "optimizer": "sgd", "nesterov": True, "epochs": 2, {settings}}},
    dimensions={{{dimensions}}},
)
"""


def space_file(folder: Path, dimensions: str, settings: str = "") -> str:
    path = folder / "small.py"
    path.write_text(SMALL_SPACE.format(dimensions=dimensions, settings=settings))
    return str(path)


def without_times(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=[name for name in frame if name.endswith(("seconds", "images_per_second"))])


# A search


@pytest.fixture(scope="module")
def finished(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small search on digits, one trial at a time."""
    out = tmp_path_factory.mktemp("search") / "run"
    arguments = ["digits", "--trials", "6", "--epochs", "9", "--concurrent", "1", "--seed", "5", "--out", str(out)]
    assert main(arguments) == 0
    return out


def test_a_search_leaves_the_three_tables_the_journal_and_run_json(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {"trials.parquet", "epochs.parquet", "best.parquet", "journal.jsonl", "run.json"}


def test_trials_are_completed_or_stopped_and_some_are_stopped(finished: Path) -> None:
    trials = pd.read_parquet(finished / "trials.parquet")
    assert trials["trial_id"].tolist() == [f"trial-{number:05d}" for number in range(6)]
    assert set(trials["status"]) == {"completed", "stopped"}
    assert (trials["epochs"] == np.where(trials["status"] == "completed", 9, trials["epochs"])).all()
    assert set(trials.loc[trials["status"] == "stopped", "epochs"]) <= {1, 3}
    assert trials["reason"].notna().all()


def test_there_is_a_row_an_epoch(finished: Path) -> None:
    trials, epochs = pd.read_parquet(finished / "trials.parquet"), pd.read_parquet(finished / "epochs.parquet")
    assert len(epochs) == trials["epochs"].sum()
    last = epochs.groupby("trial_id")["epoch"].max()
    assert last.tolist() == trials["epochs"].tolist()


def test_no_null_where_a_value_exists(finished: Path) -> None:
    trials, epochs = pd.read_parquet(finished / "trials.parquet"), pd.read_parquet(finished / "epochs.parquet")
    topological = epochs["topological_weight"] > 0
    assert epochs.loc[topological, "beta"].notna().all()
    assert epochs.drop(columns=["beta", "diverged"]).notna().all(axis=None)
    ramped = trials["config.gamma_ramp"] != "off"
    assert trials.loc[ramped, "config.gamma_end"].notna().all()
    assert trials.loc[~ramped, "config.gamma_end"].isna().all()
    always = ["config.learning_rate", "config.weight_decay", "config.penultimate_width", "best.nc1", "last.nc1"]
    assert trials[always].notna().all(axis=None)


def test_the_best_config_is_the_completed_trial_with_the_highest_last_accuracy(finished: Path) -> None:
    trials, best = pd.read_parquet(finished / "trials.parquet"), pd.read_parquet(finished / "best.parquet")
    completed = trials[trials["status"] == "completed"]
    assert best["rank"].iloc[0] == 1
    assert best["score"].iloc[0] == completed["last.validation_accuracy"].max()
    assert len(best) == len(trials)


@pytest.mark.parametrize("name", ["trials", "epochs", "best"])
def test_polars_and_duckdb_read_the_tables_alike_with_numeric_types(finished: Path, name: str) -> None:
    path = finished / f"{name}.parquet"
    frame = polars.read_parquet(path)
    columns = duckdb.sql(f"describe select * from '{path}'").fetchall()
    assert frame.height == duckdb.sql(f"select count(*) from '{path}'").fetchall()[0][0] == len(pd.read_parquet(path))
    duckdb_types = {column[0]: column[1] for column in columns}
    text = {"trial_id", "status", "reason", "diverged", "best.diverged", "last.diverged"}
    text |= {f"config.{name}" for name in setting_names() if setting_type(name) is str}
    numbers = {(polars.Float64, "DOUBLE"), (polars.Int64, "BIGINT")}
    for column, kind in frame.schema.items():
        allowed = {(polars.String, "VARCHAR")} if column in text else numbers
        if column == "config.nesterov":
            allowed = {(polars.Boolean, "BOOLEAN")}
        assert (kind, duckdb_types[column]) in allowed, column


def test_run_json_says_what_was_run_on_what(finished: Path) -> None:
    run = json.loads((finished / "run.json").read_text())
    assert run["command"].startswith("python -m tune_lpc.run digits --trials 6")
    assert run["seeds"] == {"sampler": 5, "trials": 5, "split": 0}
    assert run["space"]["trials"] == 6
    assert len(run["space_hash"]) == len(run["split_hash"]) == len(run["data"]["fingerprint"]) == 64
    assert run["data"]["train_images"] + run["data"]["validation_images"] == run["data"]["images"] == 1797
    assert {"torch", "ray", "optuna", "tune_lpc", "python"} <= set(run["versions"])


def test_the_same_seed_gives_the_same_trials_and_numbers(finished: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    arguments = ["digits", "--trials", "6", "--epochs", "9", "--concurrent", "1", "--seed", "5", "--out", str(again)]
    assert main(arguments) == 0
    for name in ("trials", "epochs", "best"):
        first, second = (without_times(pd.read_parquet(out / f"{name}.parquet")) for out in (finished, again))
        pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_the_closing_summary_names_the_best_config_and_the_files(
    ray_session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    space = space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    assert main([space, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    score = pd.read_parquet(out / "best.parquet")["score"].iloc[0]
    assert f"best validation accuracy: {score:.4f}" in printed
    assert "learning_rate=" in printed
    assert f"files in {out}" in printed
    assert "early stopping saved" in printed


def test_a_trial_that_diverges_is_ended_and_the_search_goes_on(ray_session: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    space = space_file(tmp_path, '"learning_rate": Choice([0.01, 1e30])')
    assert main([space, "--trials", "6", "--out", str(out)]) == 0
    trials = pd.read_parquet(out / "trials.parquet")
    wild = trials["config.learning_rate"] > 1
    assert wild.any()
    assert (trials.loc[wild, "status"] == "diverged").all()
    assert (trials.loc[wild, "epochs"] == 1).all()
    assert trials.loc[wild, "reason"].str.contains("became").all()
    assert trials.loc[wild, "last.train_loss"].isna().all()
    assert (trials.loc[~wild, "status"] != "diverged").all()
    assert not (pd.read_parquet(out / "best.parquet")["config.learning_rate"] > 1).any()


def test_a_search_in_which_every_trial_diverges_ends_with_status_1(
    ray_session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([space_file(tmp_path, '"learning_rate": Float(1e30, 1e31)'), "--out", str(out)]) == 1
    assert "no trial reached a score" in capsys.readouterr().err
    assert len(pd.read_parquet(out / "trials.parquet")) == 2


def image_folder(folder: Path, per_class: int = 20, side: int = 8) -> Path:
    """Class folders of noise around a grey that tells the class; the test images are no images at all."""
    draw = np.random.default_rng(0)
    for grey, name in ((50, "dark"), (200, "light")):
        (folder / "train" / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = np.clip(draw.normal(grey, 20, (side, side, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "train" / name / f"{i}.png")
    (folder / "test" / "dark").mkdir(parents=True)
    (folder / "test" / "dark" / "0.png").write_bytes(b"opened test data")
    return folder


def test_ones_own_images_with_one_flag(ray_session: str, tmp_path: Path) -> None:
    data, out = image_folder(tmp_path / "shades"), tmp_path / "run"
    assert main(["digits", "--data-dir", str(data), "--trials", "2", "--epochs", "3", "--out", str(out)]) == 0
    run = json.loads((out / "run.json").read_text())
    assert run["data"]["classes"] == ["dark", "light"]
    assert pd.read_parquet(out / "best.parquet")["score"].iloc[0] > 0.9


def test_an_address_joins_a_running_ray_and_leaves_it_running(ray_session: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    space = space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    command = [sys.executable, "-m", "tune_lpc.run", space, "--address", ray_session, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(out / "trials.parquet")) == 2
    import ray

    assert ray.is_initialized()
    assert ray.cluster_resources()["CPU"] == 2


def test_an_address_where_nothing_listens_is_one_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tune_lpc.run",
        "digits",
        "--address",
        "127.0.0.1:1",
        "--out",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "127.0.0.1:1" in done.stderr
    assert not (tmp_path / "run").exists()


# Methods and measures


@pytest.mark.slow
def test_every_method_runs_on_digits_and_its_own_parameters_are_in_the_file(ray_session: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(["digits", "--method", *METHODS, "--trials", "2", "--epochs", "2", "--out", str(out)]) == 0
    for name, method in METHODS.items():
        trials = pd.read_parquet(out / name / "trials.parquet")
        assert trials["status"].tolist() == ["completed", "completed"], name
        assert set(trials["config.method"]) == {name}
        for parameter in method.dimensions:
            assert trials[f"config.{parameter}"].notna().all(), (name, parameter)
        for setting, value in method.settings.items():
            assert set(trials[f"config.{setting}"]) == {value}, (name, setting)
        run = json.loads((out / name / "run.json").read_text())
        assert {"weight_decay", *method.dimensions} <= set(run["searched"])


@pytest.mark.slow
def test_measures_are_taken_at_the_full_budget_and_reasons_told_otherwise(ray_session: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    names = ["nc1", "entropy", "deepfool", "pgd_linf"]
    arguments = ["digits", "--trials", "5", "--epochs", "9", "--measure", *names, "--out", str(out)]
    assert main(arguments) == 0
    trials = pd.read_parquet(out / "trials.parquet")
    completed = trials["status"] == "completed"
    for name in names:
        value, reason = trials[f"measure.{name}"], trials[f"measure.{name}.reason"]
        assert (value.isna() == reason.notna()).all()
        assert value[completed].notna().all()
        assert value[~completed].isna().all()
        assert (reason[~completed] == "the trial did not train its full budget").all()
    assert np.allclose(trials.loc[completed, "measure.nc1"], trials.loc[completed, "last.nc1"])


def test_an_unknown_method_or_measure_is_refused_with_the_nearest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = refused(["digits", "--method", "lpc_wid", "--out", str(tmp_path / "run")], capsys)
    assert "there is no method 'lpc_wid'; did you mean 'lpc_wide'?" in line
    (line,) = refused(["digits", "--measure", "deepfol", "--out", str(tmp_path / "run")], capsys)
    assert "there is no measure 'deepfol'; did you mean 'deepfool'?" in line
    assert not (tmp_path / "run").exists()


def test_every_method_is_explained_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(METHODS)
    assert all("arXiv" in line for line in lines)


# Looking without starting


def test_the_list_names_every_shipped_space(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    for name in ("digits", "mnist250", "svhn250", "cifar10", "cifar10_1000", "cifar100"):
        assert name in printed


def test_a_dry_run_shows_the_plan_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cifar10", "--dry-run", "--epochs", "90", "--trials", "9"]) == 0
    printed = capsys.readouterr().out
    assert "9 of up to 90 epochs" in printed
    assert "rungs at epochs 10, 30" in printed
    assert "learning_rate" in printed
    assert "810 if no trial is stopped early" in printed
    assert "CPU each" in printed
    assert list(tmp_path.iterdir()) == []


# Bad input


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines with which the command refuses; it must end with status 2."""
    try:
        status = main(arguments)
    except SystemExit as exit_of_argparse:
        status = exit_of_argparse.code
    assert status == 2
    return capsys.readouterr().err.splitlines()


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
        (["digits", "--seed", "1", "--set", "seed=2"], ["seed is given by --seed and by --set"]),
        (["digits", "--set", "beta=1", "beta=2"], ["beta is given twice"]),
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


def test_all_problems_of_the_options_come_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["digits", "--trials", "0", "--epochs", "x", "--concurrent", "-1", "--set", "beta=9", "betta=1"]
    lines = refused([*arguments, "--out", str(tmp_path / "run")], capsys)
    for part in ("trials is 0", "--epochs is 'x'", "--concurrent is -1", "beta is 9", "'betta' is not a setting"):
        assert sum(part in line for line in lines) == 1


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


def test_a_folder_that_holds_a_run_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "journal.jsonl").write_text("precious")
    (line,) = refused(["digits", "--out", str(tmp_path)], capsys)
    assert "already holds a run" in line
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]


# Interruption


def processes_with(marker: str) -> list[str]:
    """Command lines of the processes whose environment holds `marker`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if marker.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text())
            except OSError:
                continue  # it has ended meanwhile
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds Ray's processes through /proc")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interruption_keeps_what_was_finished_and_leaves_no_process(
    sent: signal.Signals, status: int, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    ray_folder = tempfile.mkdtemp(prefix="tl-")
    space = space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    command = [sys.executable, "-m", "tune_lpc.run", space, "--trials", "500", "--out", str(out)]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_TMPDIR": ray_folder},
        start_new_session=True,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if "trial 3 " in line:
            break
    # As a terminal does on Ctrl-C, to every process of the group; kill sends SIGTERM to the one.
    os.killpg(running.pid, sent) if sent == signal.SIGINT else running.send_signal(sent)
    _, told = running.communicate(timeout=60)
    assert running.returncode == status
    assert "interrupted" in told
    assert "Traceback" not in told
    trials = pd.read_parquet(out / "trials.parquet")
    assert (trials["status"] != "interrupted").sum() >= 3
    assert len(trials) < 500
    assert len(pd.read_parquet(out / "epochs.parquet")) == trials["epochs"].sum()
    deadline = time.monotonic() + 10
    while processes_with(ray_folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes_with(ray_folder) == []
    shutil.rmtree(ray_folder, ignore_errors=True)
