"""The command `python -m tune_lpc.train`: a config of a search again, alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from tune_lpc.run import main as run
from tune_lpc.train import main


@pytest.fixture(scope="module")
def search(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search") / "run"
    assert run(["digits", "--trials", "3", "--epochs", "4", "--seed", "2", "--out", str(out)]) == 0
    return out


def test_the_best_config_alone_reaches_what_it_reached_in_the_search(
    search: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    saved = tmp_path / "network.pt"
    assert main([str(search), "--rank", "1", "--save", str(saved)]) == 0
    torch.set_num_threads(threads)
    score = pd.read_parquet(search / "best.parquet")["score"].iloc[0]
    assert f"validation accuracy: {score:.4f}" in capsys.readouterr().out
    assert torch.load(saved, weights_only=True)["epochs_done"] == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--rank", "99"], "rank is 99, but must be from 1 to"),
        (["--rank", "first"], "--rank is 'first'"),
        (["--data-dir", "/nowhere"], "/nowhere"),
        (["--save", "/nowhere/network.pt"], "/nowhere/network.pt"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    search: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(search), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds no run" in line


def test_other_images_than_those_of_the_search_are_refused(
    search: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    for name in ("a", "b"):
        folder = tmp_path / "digits" / "train" / name
        folder.mkdir(parents=True)
        for i in range(4):
            Image.new("L", (8, 8), 10 * i).save(folder / f"{i}.png")
    assert main([str(search), "--data-dir", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "differ from those of the search" in line
