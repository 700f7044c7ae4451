"""Searches with networks, an augmentation and a loss term that did not come with the package, by the real commands.

The files are those of docs/own_network.md.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch

import tune_lpc
from tests.commands import refused
from tests.conftest import SHARED_DATA
from tests.local_engine import trials_run_here
from tune_lpc.confirm import main as confirm
from tune_lpc.plan import load_space
from tune_lpc.plan.own_code import collect_own_code
from tune_lpc.results.checking import problems_of
from tune_lpc.run import main
from tune_lpc.train import main as train
from tune_lpc.training.brought.checks import Shape, ToTry, to_try

PAGE = Path(__file__).parents[1] / "docs" / "own_network.md"
OWN = ["network=my_models.py:build", "augmentation=my_augmentation.py:augment", "extra_loss=my_loss.py:term"]
SMALL = ["digits", "--trials", "1", "--epochs", "2", "--seeds", "1", "--method", "lpc", "--set", *OWN]
NETWORKS = ["my_models.py:build", "torchvision/mobilenet_v3_small", "timm/resnet10t"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the files of the page in it; nothing has run here before."""
    for name, text in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def searched(folder: Path, ray_session: str) -> Path:
    """The results of a small search with the user's own code."""
    with trials_run_here():
        assert main([*SMALL, "--out", "out"]) == 0
    return folder / "out"


def of_somebody_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on nobody on this machine has run the code before."""
    monkeypatch.setenv("TUNE_LPC_CACHE", str(folder / "other_cache"))


def test_the_examples_of_the_page_work(folder: Path) -> None:
    space = load_space("my_space.py")
    code = collect_own_code(space.own_references, [folder])
    assert set(code.files) == {"my_models.py", "my_augmentation.py", "my_loss.py"}
    to_be_tried = to_try([space], Shape(10, 1, 8), code)
    assert [name for name, *_ in to_be_tried.networks] == NETWORKS
    assert [found for found in to_be_tried.results() if found[1] is not None] == []
    assert to_be_tried.augmentations and to_be_tried.terms and isinstance(to_be_tried, ToTry)


def test_the_code_is_kept_and_trains_again_to_the_same_numbers(
    searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = json.loads((searched / "run.json").read_text())
    assert set(run["code"]) == {path.name for path in (searched / "code").iterdir()}
    epochs = pd.read_parquet(searched / "epochs.parquet")
    assert (epochs["train_extra"] > 0).any()
    for name in run["code"]:
        Path(name).unlink()
    capsys.readouterr()
    assert train([str(searched)]) == 0
    told = capsys.readouterr().out
    assert f"validation accuracy: {epochs['validation_accuracy'].iloc[-1]:.4f}" in told
    assert "code that did not come with tune_lpc runs: my_augmentation.py, my_loss.py, my_models.py\n" in told
    assert problems_of(searched) == []


def test_it_goes_on_with_the_copy_and_with_no_other_text(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    longer = [*SMALL, "--trials", "2", "--out", "out", "--resume"]
    text = Path("my_loss.py").read_text()
    Path("my_loss.py").write_text(text + "\n# changed\n")
    told = "out can't be resumed with a change: my_loss.py is another than when the search began"
    assert f"error: {told}" in refused(longer, capsys)
    Path("my_loss.py").unlink()
    with trials_run_here():
        assert main(longer) == 0
    assert len(pd.read_parquet(searched / "trials.parquet")) == 2


def test_code_of_somebody_else_runs_only_when_trusted(
    searched: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_somebody_else(folder, monkeypatch)
    for name in ("my_models.py", "my_augmentation.py", "my_loss.py"):
        Path(name).unlink()
    capsys.readouterr()
    for command in (train, confirm):
        assert command([str(searched)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "ran code of its user's own" in line and str(searched / "code" / "my_loss.py") in line
        assert line.endswith("add --trust-code")
    (line,) = refused([*SMALL, "--trials", "2", "--out", "out", "--resume"], capsys)
    assert line.endswith("add --trust-code")
    assert train([str(searched), "--trust-code", "--save", "network.safetensors"]) == 0
    with pytest.raises(tune_lpc.UserError, match=r"which loading it would run.*trust_code=True"):
        tune_lpc.load("network.safetensors")
    network = tune_lpc.load("network.safetensors", trust_code=True)
    assert network(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_code_that_was_changed_in_the_results_is_refused(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (searched / "code" / "my_models.py").write_text("raise SystemExit('other code')\n")
    capsys.readouterr()
    assert train([str(searched), "--trust-code"]) == 2
    assert "my_models.py was changed since the search began" in capsys.readouterr().err
    (problem,) = problems_of(searched)
    assert "my_models.py was changed" in problem


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("network=gone.py:build", "there is no file gone.py in "),
        ("network=my_models.py:built", "my_models.py:built: built is not there in my_models.py; did you mean 'build'?"),
        ("network=timm/resnet", "timm has no network 'resnet'; did you mean"),
        ("augmentation=my_loss.py:term", "my_loss.py:term fails on images (4, 1, 8, 8): TypeError"),
        ("network=../my_models.py:build", "network is '../my_models.py:build', but must be one of mlp, "),
    ],
)
def test_what_does_not_work_is_refused_before_anything_begins(
    folder: Path, capsys: pytest.CaptureFixture[str], change: str, told: str
) -> None:
    for more in ([], ["--dry-run"]):
        (line,) = refused(["digits", "--set", change, "--out", "out", *more], capsys)
        assert line.startswith("error: ") and told in line
    assert not Path("out").exists()


@pytest.mark.slow
def test_a_network_that_fails_later_fails_its_trial_with_that_reason(
    folder: Path, ray_session: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("late.py").write_text(
        "from torch import nn\n"
        "class Late(nn.Module):\n"
        "    def __init__(self, n):\n        super().__init__(); self.layer = nn.Linear(n, 8)\n"
        "    def forward(self, x):\n"
        "        if len(x) > 32: raise RuntimeError('too many images')\n"
        "        return self.layer(x.flatten(1))\n"
        "def build(classes, channels, side): print('noise'); return Late(channels * side * side)\n"
    )
    options = ["--trials", "1", "--epochs", "1", "--seeds", "1", "--max-failures", "0", "--address", ray_session]
    assert main(["digits", *options, "--set", "network=late.py:build", "--out", "out"]) == 1
    assert "noise" not in "".join(capfd.readouterr())
    (trial,) = pd.read_parquet("out/trials.parquet").to_dict("records")
    assert trial["status"] == "failed"
    assert trial["reason"] == "late.py:build fails on images of 1 x 8 x 8: RuntimeError: too many images"


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED_DATA / "cifar10").is_dir(), reason="no CIFAR-10 images in ../shared/data")
def test_published_networks_and_an_own_one_are_searched_confirmed_and_loaded_on_real_images(
    folder: Path, ray_session: str
) -> None:
    """Four trials of two epochs on 1,000 images, one of each network at least; each is confirmed and loaded."""
    text = (folder / "my_space.py").read_text()
    first = ", ".join(f'{{"learning_rate": 0.003, "network": "{name}", "extra_loss": "off"}}' for name in NETWORKS)
    text = text.replace('"dataset": "digits"', '"dataset": "cifar10", "train_size": 1000, "validation_size": 200')
    (folder / "my_space.py").write_text(text.replace("    trials=4,", f"    trials=4,\n    first=[{first}],"))
    data = ["--data-dir", str(SHARED_DATA), "--address", ray_session]
    assert main(["my_space.py", "--seeds", "1", "--fidelity", "full", *data, "--out", "out"]) == 0
    trials = pd.read_parquet("out/trials.parquet")
    assert set(trials["status"]) == {"completed"} and set(trials["config.network"]) == set(NETWORKS)
    assert confirm(["out", "--top", "4", "--seeds", "1", *data]) == 0
    confirmed = pd.read_parquet("out/confirm.parquet")
    images = torch.rand(2, 3, 32, 32)
    for rank, name in zip(confirmed["rank"], confirmed["config.network"], strict=True):
        network = tune_lpc.load("out", rank=rank, trust_code=True)
        assert network.about.spec.network == name
        output = network.represent(images)
        assert output.logits.shape == (2, 10) and torch.isfinite(output.z).all()
