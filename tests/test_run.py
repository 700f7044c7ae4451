"""The command `python -m tune_lpc.run`, on real digits and the real Ray."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars
import pytest

from tests.commands import ONE_SEED, image_folder, refused, space_file
from tests.local_engine import trials_run_here
from tune_lpc.plan.methods import METHODS
from tune_lpc.plan.trial import setting_names, setting_type
from tune_lpc.run import main


def without_times(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=[name for name in frame if name.endswith(("seconds", "images_per_second"))])


# A search

SEARCH = ["digits", "--trials", "6", "--epochs", "9", "--concurrent", "1", "--seed", "5", "--fidelity", "compressed"]
SEARCH += [*ONE_SEED, "--measure", "nc1", "mean_norm"]


@pytest.fixture(scope="module")
def printed() -> io.StringIO:
    """What the search printed."""
    return io.StringIO()


@pytest.fixture(scope="module")
def finished(ray_session: str, printed: io.StringIO, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small search on digits, one trial at a time."""
    out = tmp_path_factory.mktemp("search") / "run"
    with contextlib.redirect_stdout(printed):
        assert main([*SEARCH, "--out", str(out)]) == 0
    return out


def test_a_search_leaves_the_tables_the_journal_and_run_json(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    tables = {f"{name}.parquet" for name in ("trials", "epochs", "best", "rungs", "fidelity", "placements")}
    derived = {"importance.parquet", "report.html", "manifest.json", "optuna.journal"}
    assert names == {*tables, *derived, "journal.jsonl", "run.json"}


def test_trials_are_completed_or_stopped_and_some_are_stopped(finished: Path) -> None:
    trials = pd.read_parquet(finished / "trials.parquet")
    assert trials["trial_id"].tolist() == [f"trial-{number:05d}" for number in range(6)]
    assert set(trials["status"]) == {"completed", "stopped"}
    assert (trials["epochs"] == np.where(trials["status"] == "completed", 9, trials["epochs"])).all()
    assert set(trials.loc[trials["status"] == "stopped", "epochs"]) <= {1, 3}
    assert trials["reason"].notna().all()


def test_there_is_a_row_an_epoch(finished: Path) -> None:
    trials, epochs = pd.read_parquet(finished / "trials.parquet"), pd.read_parquet(finished / "epochs.parquet")
    assert len(epochs) == trials["epochs_trained"].sum()
    assert not epochs.duplicated(["trial_id", "budget", "epoch"]).any()
    # A compressed climb: the run of the rung from its first epoch to its last, then the full one from the first.
    last = epochs.groupby(["trial_id", "budget"])["epoch"].max().reset_index()
    assert (last["epoch"] == last["budget"]).all()
    assert last.groupby("trial_id")["budget"].max().tolist() == trials["epochs"].tolist()


def test_the_files_say_how_the_winner_was_chosen(finished: Path) -> None:
    trials, rungs = pd.read_parquet(finished / "trials.parquet"), pd.read_parquet(finished / "rungs.parquet")
    assert rungs["number"].tolist() == list(range(6))
    assert set(rungs["rung"]) == {3}
    stopped = trials.loc[trials["status"] == "stopped", "trial_id"]
    assert rungs.loc[~rungs["goes_on"], "trial_id"].tolist() == stopped.tolist()
    assert (rungs["goes_on"] == (rungs["rank"] <= np.ceil(rungs["of"] / 3))).all()


def test_no_null_where_a_value_exists(finished: Path) -> None:
    trials, epochs = pd.read_parquet(finished / "trials.parquet"), pd.read_parquet(finished / "epochs.parquet")
    topological = epochs["topological_weight"] > 0
    assert epochs.loc[topological, "beta"].notna().all()
    assert epochs.drop(columns=["beta", "diverged", "train_extra"]).notna().all(axis=None)
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


@pytest.mark.parametrize("name", ["trials", "epochs", "best", "rungs", "fidelity", "placements"])
def test_polars_and_duckdb_read_the_tables_alike_with_numeric_types(finished: Path, name: str) -> None:
    path = finished / f"{name}.parquet"
    frame = polars.read_parquet(path)
    columns = duckdb.sql(f"describe select * from '{path}'").fetchall()
    assert frame.height == duckdb.sql(f"select count(*) from '{path}'").fetchall()[0][0] == len(pd.read_parquet(path))
    duckdb_types = {column[0]: column[1] for column in columns}
    text = {"trial_id", "status", "reason", "diverged", "best.diverged", "last.diverged"}
    text |= {"host", "measure.nc1.reason", "measure.mean_norm.reason"}
    text |= {f"config.{name}" for name in setting_names() if setting_type(name) is str}
    numbers = {(polars.Float64, "DOUBLE"), (polars.Int64, "BIGINT")}
    for column, kind in frame.schema.items():
        allowed = {(polars.String, "VARCHAR")} if column in text else numbers
        switches = {f"config.{name}" for name in setting_names() if setting_type(name) is bool}
        if column in switches | {"control", "goes_on", "promoted", "tied"}:
            allowed = {(polars.Boolean, "BOOLEAN")}
        assert (kind, duckdb_types[column]) in allowed, column


def test_every_trial_has_its_place(finished: Path) -> None:
    places = pd.read_parquet(finished / "placements.parquet")
    assert places["number"].tolist() == list(range(6))
    assert set(places["session"]) == {0}
    assert places["pid"].nunique() == 1, "one trial at a time is trained by one process after another"
    assert places["host"].notna().all()
    assert places[["from_budget", "from_epoch"]].isna().all(axis=None)


def test_measures_are_there_where_the_full_budget_was_trained_and_a_reason_where_not(finished: Path) -> None:
    trials = pd.read_parquet(finished / "trials.parquet")
    completed = trials["status"] == "completed"
    for name in ("nc1", "mean_norm"):
        value, reason = trials[f"measure.{name}"], trials[f"measure.{name}.reason"]
        assert (value.notna() == completed).all() and (reason.isna() == completed).all()
        assert (reason[~completed] == "the trial did not train its full budget").all()
        assert np.allclose(value[completed].astype(float), trials.loc[completed, f"last.{name}"].astype(float))


def test_run_json_says_what_was_run_on_what(finished: Path) -> None:
    run = json.loads((finished / "run.json").read_text())
    assert run["command"].startswith("python -m tune_lpc.run digits --trials 6")
    assert run["seeds"] == {"sampler": 5, "trials": 5, "split": 0}
    assert run["space"]["trials"] == 6
    assert run["precision"] == "float32"
    assert len(run["space_hash"]) == len(run["split_hash"]) == len(run["data"]["fingerprint"]) == 64
    data = run["data"]
    assert 0 < data["validation_images"] < data["train_images"] < data["images"] <= 1797
    assert {"torch", "ray", "optuna", "tune_lpc", "python"} <= set(run["versions"])


def test_the_same_seed_gives_the_same_trials_and_numbers_whatever_runs_them(finished: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    with trials_run_here():
        assert main([*SEARCH, "--out", str(again)]) == 0
    for name in ("trials", "epochs", "best", "rungs"):
        first, second = (without_times(pd.read_parquet(out / f"{name}.parquet")) for out in (finished, again))
        pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_the_closing_summary_names_the_best_config_and_the_files(finished: Path, printed: io.StringIO) -> None:
    told = printed.getvalue()
    best = pd.read_parquet(finished / "best.parquet").iloc[0]
    between = f"{best['score']:.4f} ({best['low']:.4f} to {best['high']:.4f})"
    assert f"named: rank 1, trial {best['number']}, validation accuracy {between}, 1 seed\n" in told
    assert "a single training, the luckiest of many: expect less of it; --seeds 3 trains the best again\n" in told
    assert "learning_rate=" in told
    assert f"files in {finished}" in told
    assert "early stopping saved" in told


def test_a_trial_that_diverges_is_ended_and_the_search_goes_on(ray_session: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    space = space_file(tmp_path, '"learning_rate": Choice([0.01, 1e30])')
    with trials_run_here():
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
    with trials_run_here():
        assert main([space_file(tmp_path, '"learning_rate": Float(1e30, 1e31)'), "--out", str(out)]) == 1
    assert "no trial reached a score" in capsys.readouterr().err
    assert len(pd.read_parquet(out / "trials.parquet")) == 2


def test_ones_own_images_with_one_flag(ray_session: str, tmp_path: Path) -> None:
    data, out = image_folder(tmp_path / "shades"), tmp_path / "run"
    with trials_run_here():
        assert main(["digits", "--data-dir", str(data), "--trials", "2", "--epochs", "3", "--out", str(out)]) == 0
    run = json.loads((out / "run.json").read_text())
    assert run["data"]["classes"] == ["dark", "light"]
    assert pd.read_parquet(out / "best.parquet")["score"].iloc[0] > 0.9


def test_an_address_joins_a_running_ray_and_leaves_it_running(ray_session: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    space = space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    command = [sys.executable, "-m", "tune_lpc.run", space, *ONE_SEED, "--address", ray_session, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(out / "trials.parquet")) == 2
    import ray

    assert ray.is_initialized()
    assert ray.cluster_resources()["CPU"] == 2


def test_an_address_where_nothing_listens_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(["digits", "--address", "127.0.0.1:1", "--out", str(tmp_path / "run")], capsys)
    assert "127.0.0.1:1" in line
    assert not (tmp_path / "run").exists()


# Methods and measures


def test_every_method_runs_on_digits_and_its_own_parameters_are_in_the_file(
    ray_session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with trials_run_here():
        small = ["--trials", "2", "--epochs", "2", *ONE_SEED]
        assert main(["digits", "--method", *METHODS, *small, "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if line.startswith("search ")]
    assert told == [
        f"search {number} of {len(METHODS)}: method {name}, results in {out / name}"
        for number, name in enumerate(METHODS, start=1)
    ]
    for name, method in METHODS.items():
        trials = pd.read_parquet(out / name / "trials.parquet")
        assert trials["status"].tolist() == ["completed", "completed"], name
        assert set(trials["config.method"]) == {name}
        for parameter in method.dimensions:
            assert trials[f"config.{parameter}"].notna().all(), (name, parameter)
        for setting, value in method.settings.items():
            assert set(trials[f"config.{setting}"]) == {value}, (name, setting)
        run = json.loads((out / name / "run.json").read_text())
        assert set(method.dimensions) <= set(run["searched"])


@pytest.mark.slow
def test_measures_that_attack_or_cluster_are_taken_at_the_full_budget(ray_session: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    names = ["entropy", "deepfool", "pgd_linf"]
    with trials_run_here():
        small = ["--trials", "1", "--epochs", "3", *ONE_SEED]
        assert main(["digits", *small, "--measure", *names, "--out", str(out)]) == 0
    (trial,) = pd.read_parquet(out / "trials.parquet").to_dict("records")
    assert trial["status"] == "completed"
    for name in names:
        assert pd.notna(trial[f"measure.{name}"]) and pd.isna(trial[f"measure.{name}.reason"]), name


def test_an_unknown_method_or_measure_is_refused_with_the_nearest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = refused(["digits", "--method", "lpc_wid", "--out", str(tmp_path / "run")], capsys)
    assert "there is no method 'lpc_wid'; did you mean 'lpc_wide'?" in line
    (line,) = refused(["digits", "--measure", "deepfol", "--out", str(tmp_path / "run")], capsys)
    assert "there is no measure 'deepfol'; did you mean 'deepfool'?" in line
    (line,) = refused(["digits", "--dry-run", "--measure", "deepfol", "--out", str(tmp_path / "run")], capsys)
    assert "there is no measure 'deepfol'" in line
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
    assert main(["cifar10", "--dry-run", "--epochs", "90", "--trials", "9", *ONE_SEED]) == 0
    printed = capsys.readouterr().out
    assert "9 of up to 90 epochs" in printed
    assert "rungs: 4, 10 and 30 epochs" in printed
    assert "learning_rate" in printed
    assert "810 if no trial is stopped early" in printed
    assert "CPU each" in printed
    assert list(tmp_path.iterdir()) == []
