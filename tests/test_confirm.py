"""The command `python -m tune_lpc.confirm`, on real digits and the real Ray."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import tune_lpc
from tests.commands import ONE_SEED, image_folder
from tune_lpc.confirm import main
from tune_lpc.results import load_run
from tune_lpc.run import main as run

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def search(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small search, confirmed with two networks."""
    out = tmp_path_factory.mktemp("search") / "run"
    options = ["--trials", "2", "--epochs", "3", "--fidelity", "full", *ONE_SEED, "--address", ray_session]
    assert run(["digits", *options, "--out", str(out)]) == 0
    confirm = [str(out), "--top", "1", "--seeds", "2", "--measure", "nc1", "--address", ray_session]
    assert main(confirm) == 0
    return out


@pytest.fixture
def copied(search: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(search, tmp_path / "run"))


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(arguments) == 2
    return capsys.readouterr().err.splitlines()


def test_a_row_a_network_each_opened_once(search: Path) -> None:
    table = pd.read_parquet(search / "confirm.parquet")
    best = pd.read_parquet(search / "best.parquet").iloc[0]
    assert table["index"].tolist() == [0, 1]
    assert set(table["status"]) == {"completed"}
    assert table["openings"].tolist() == [1, 1]
    assert set(table["test_images"]) == {360}
    assert (table["test_accuracy"] > 0.5).all() and (table["test.nc1"] > 0).all()
    assert set(table["trial_id"]) == {best["trial_id"]} and set(table["announced"]) == {best["score"]}
    assert set(table["config.learning_rate"]) == {best["config.learning_rate"]}


def test_the_seeds_are_fresh_and_the_splits_others(search: Path) -> None:
    table, trials = pd.read_parquet(search / "confirm.parquet"), pd.read_parquet(search / "trials.parquet")
    assert not set(table["seed"]) & set(trials["config.seed"])
    assert table["seed"].is_unique and not set(table["split"]) & set(trials["config.split"])


def test_every_opening_is_counted_in_run_json(search: Path) -> None:
    (opened,) = load_run(search)["test_openings"]
    assert (opened["folder"], opened["networks"], opened["openings"]) == ("confirm", 2, 2)
    assert opened["command"].startswith("python -m tune_lpc.confirm")


def test_nothing_of_the_search_is_changed(search: Path) -> None:
    assert len(pd.read_parquet(search / "trials.parquet")) == 2
    assert "test_accuracy" not in pd.read_parquet(search / "best.parquet")
    journal = (search / "journal.jsonl").read_text()
    assert '"kind":"tested"' not in journal
    assert '"kind":"tested"' in (search / "confirm" / "journal.jsonl").read_text()


def test_networks_are_loaded_with_their_preprocessing(search: Path) -> None:
    network = tune_lpc.load(search, rank=1, seed=1)
    assert network.classes == tuple("0123456789")
    with pytest.raises(tune_lpc.plan.UserError, match="no network of rank 2, seed 0; it has rank 1, seed 0"):
        tune_lpc.load(search, rank=2)


def test_going_on_with_what_is_done_opens_nothing(
    copied: Path, ray_session: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results = sorted((copied / "confirm" / "networks").glob("*.json"))
    before = [path.stat().st_mtime_ns for path in results]
    assert main([str(copied), "--resume", "--address", ray_session]) == 0
    assert [path.stat().st_mtime_ns for path in results] == before
    assert pd.read_parquet(copied / "confirm.parquet")["openings"].tolist() == [1, 1]


def test_a_second_confirmation_says_that_the_images_were_opened_before(
    copied: Path, ray_session: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = pd.read_parquet(copied / "confirm.parquet")
    assert main([str(copied), "--top", "1", "--seeds", "1", "--train-on", "all", "--address", ray_session]) == 0
    told = capsys.readouterr().out
    assert "test images were opened for this search before, 2 times" in told
    assert "another regime" in told
    second = pd.read_parquet(copied / "confirm.parquet")
    assert not set(first["seed"]) & set(second["seed"])
    assert (second["opened_before"].tolist(), second["train_on"].tolist()) == ([2], ["all"])
    assert second["validation_accuracy"].isna().all() and second["train_images"].tolist() == [1437]
    assert [one["openings"] for one in load_run(copied)["test_openings"]] == [2, 1]
    assert (copied / "confirm-1" / "networks").is_dir()


def test_a_search_that_goes_on_keeps_the_openings(copied: Path, ray_session: str) -> None:
    options = ["--trials", "3", "--epochs", "3", "--fidelity", "full", *ONE_SEED, "--address", ray_session]
    assert run(["digits", *options, "--out", str(copied), "--resume"]) == 0
    assert load_run(copied)["test_openings"][0]["openings"] == 2


# What a user can do wrong


def test_a_change_on_resuming_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = refusal([str(copied), "--resume", "--seeds", "3", "--train-on", "all"], capsys)
    assert len(lines) == 2 and all("can't be resumed with a change" in line for line in lines)


def test_wrong_options_are_told_together(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--seeds", "0", "--top", "x", "--train-on", "test", "--export", "pickle", "--measure", "nc9"]
    lines = refusal([str(copied), *wrong], capsys)
    assert len(lines) == 5
    assert any("nc9" in line and "nc1" in line for line in lines)


def test_a_folder_without_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refusal([str(tmp_path)], capsys)
    assert "holds no run" in line


def test_other_images_are_refused_and_nothing_is_changed(
    copied: Path, ray_session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_folder(tmp_path / "images" / "digits")
    before = sorted(path.relative_to(copied) for path in copied.rglob("*"))
    (line,) = refusal([str(copied), "--data-dir", str(tmp_path / "images"), "--address", ray_session], capsys)
    assert "the images of digits differ from those of the search" in line
    assert sorted(path.relative_to(copied) for path in copied.rglob("*")) == before


# What keeps the test a test


def test_no_path_of_a_search_can_load_the_reader_of_test_images() -> None:
    """Beside the contracts of import-linter: what the command and its workers load, loads no reader either."""
    script = (
        "import sys, json, pkgutil, importlib\n"
        "import tune_lpc.run, tune_lpc.train, tune_lpc.cli.live, tune_lpc.engine.tuner\n"
        "for room in ('plan', 'training', 'results', 'search', 'engine', 'cli', 'pages'):\n"
        "    package = importlib.import_module(f'tune_lpc.{room}')\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('tune_lpc.final')]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_search_does_not_open_test_images_and_the_confirmation_does(
    ray_session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_folder(tmp_path / "own")  # its test images are no images
    space = tmp_path / "own_space.py"
    space.write_text(
        "from tune_lpc.plan import Float, Space\n"
        "SPACE = Space(name='own', about='for tests', trials=1, seeds=1,\n"
        "    settings={'dataset': 'own', 'network': 'mlp', 'epochs': 2, 'batch_size': 8},\n"
        "    dimensions={'learning_rate': Float(1e-3, 1e-2, log=True)})\n"
    )
    out = tmp_path / "run"
    options = ["--data-dir", str(tmp_path), "--out", str(out), "--address", ray_session]
    assert run([str(space), *options]) == 0
    capsys.readouterr()
    assert main([str(out), "--seeds", "1", "--address", ray_session]) == 1
    table = pd.read_parquet(out / "confirm.parquet")
    assert table["test_accuracy"].isna().all() and table["status"].tolist() == ["failed"]
    assert "0.png" in table["reason"].iloc[0]
