"""`tune_lpc.run_search`: a search from Python, in the first thread, in another, in a notebook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

import tune_lpc
from tests.commands import space_file
from tests.local_engine import trials_run_here
from tune_lpc.plan import Float, Space
from tune_lpc.run import main

SMALL: dict[str, Any] = {"trials": 2, "epochs": 1, "seeds": 1}


@pytest.fixture(autouse=True)
def _here(ray_session: str) -> Any:
    with trials_run_here():
        yield


def test_importing_the_package_loads_nothing_that_is_slow() -> None:
    script = (
        "import sys, tune_lpc; print([n for n in ('torch', 'ray', 'optuna', 'pandas', 'rich') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_search_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tune_lpc.run_search("digits", out=tmp_path / "out", settings={"penultimate_width": 32}, **SMALL)
    assert (result.outcome, result.message, result.folder) == ("finished", "", tmp_path / "out")
    assert len(result.best) == 2 and set(result.best["config.penultimate_width"]) == {32}
    told = json.loads((tmp_path / "out" / "run.json").read_text())["command"]
    out = str(tmp_path / "out")
    settings = "settings={'penultimate_width': 32}, trials=2, epochs=1, seeds=1"
    assert told == f"tune_lpc.run_search('digits', out={out!r}, {settings})"
    assert "best configs" in capsys.readouterr().out
    assert ray.is_initialized()  # it was ours


def test_the_same_files_as_of_the_command(tmp_path: Path) -> None:
    assert main(["digits", "--trials", "2", "--epochs", "1", "--seeds", "1", "--out", str(tmp_path / "a")]) == 0
    tune_lpc.run_search("digits", out=tmp_path / "b", quiet=True, **SMALL)
    names = [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in "ab"]
    assert names[0] == names[1]
    spaces = [json.loads((tmp_path / folder / "run.json").read_text())["space"] for folder in "ab"]
    assert spaces[0] == spaces[1]


def test_a_file_and_a_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)'))
    assert tune_lpc.run_search(file, out=tmp_path / "a", quiet=True, seeds=1).outcome == "finished"
    settings = {"dataset": "digits", "network": "mlp", "optimizer": "sgd", "nesterov": True, "epochs": 1}
    space = Space("mine", "of the test", {"learning_rate": Float(1e-3, 1e-2, log=True)}, settings, trials=2)
    result = tune_lpc.run_search(space, out=tmp_path / "b", quiet=True, seeds=1)
    assert len(result.best) == 2
    assert capsys.readouterr().out == ""


def test_all_that_is_wrong_comes_together_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(tune_lpc.UserError) as caught:
        tune_lpc.run_search("digits", out=tmp_path / "out", trials=0, seeds=1.5, sampler="luck")  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3
    assert not (tmp_path / "out").exists()
    with pytest.raises(tune_lpc.UserError, match="did you mean 'digits'"):
        tune_lpc.run_search("digit")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ({"settings": [1]}, "settings is [1], but must be a dict"),
        ({"measure": 5}, "measure is 5, but must be a list"),
        ({"resume": "no"}, "resume is 'no', but must be True or False"),
        ({"method": ["lpc", "vanilla"]}, "call run_search once for each"),
    ],
)
def test_an_argument_of_another_kind_is_told(argument: dict[str, Any], words: str) -> None:
    with pytest.raises(tune_lpc.UserError) as caught:
        tune_lpc.run_search("digits", **argument)
    assert words in " ".join(caught.value.problems)


def test_how_it_was_asked_for_is_told_truly(tmp_path: Path) -> None:
    settings = {"dataset": "digits", "network": "mlp", "optimizer": "sgd", "nesterov": True, "epochs": 1}
    space = Space("mine", "of the test", {"learning_rate": Float(1e-3, 1e-2, log=True)}, settings, trials=1)
    tune_lpc.run_search(space, out=tmp_path / "a", quiet=True, seeds=1, seed=0, max_failures=0)
    told = json.loads((tmp_path / "a" / "run.json").read_text())["command"]
    assert told.startswith("tune_lpc.run_search(<Space 'mine'>, ") and "seed=0" in told and "max_failures=0" in told


def test_a_dry_run_in_another_thread_leaves_torch_as_it_was() -> None:
    before, ended = torch.get_num_threads(), list[int]()
    torch.set_num_threads(2)
    try:
        thread = threading.Thread(target=lambda: ended.append(main(["digits", "--dry-run"])))
        thread.start()
        thread.join()
        assert (ended, torch.get_num_threads()) == ([0], 2)
        assert main(["digits", "--dry-run"]) == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_it_goes_on(tmp_path: Path) -> None:
    tune_lpc.run_search("digits", out=tmp_path / "out", quiet=True, **SMALL)
    result = tune_lpc.run_search("digits", out=tmp_path / "out", quiet=True, resume=True, **{**SMALL, "trials": 3})
    assert len(result.best) == 3


@pytest.mark.parametrize("how", ["run_search", "main"])
def test_in_another_thread(how: str, tmp_path: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    ended: list[object] = []

    def search() -> None:
        if how == "main":
            options = ["--trials", "2", "--epochs", "1", "--seeds", "1", "--out", str(tmp_path / "out")]
            ended.append(main(["digits", *options]))
        else:
            ended.append(tune_lpc.run_search("digits", out=tmp_path / "out", quiet=True, **SMALL).outcome)

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert ended == ([0] if how == "main" else ["finished"])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == handlers


@pytest.mark.parametrize("command", ["confirm", "compare", "report", "check", "train"])
def test_other_commands_in_another_thread(command: str, tmp_path: Path) -> None:
    from importlib import import_module

    ended: list[object] = []
    arguments = [str(tmp_path / "nowhere")]
    thread = threading.Thread(target=lambda: ended.append(import_module(f"tune_lpc.{command}").main(arguments)))
    thread.start()
    thread.join()
    assert ended == [2]


CELLS = (
    """
import tune_lpc, tune_lpc.run
print(tune_lpc.run.main(["digits", "--dry-run"]))
result = tune_lpc.run_search("digits", trials=1, epochs=1, seeds=1, out={out!r})
print(result.outcome, len(result.best))
""",
    """
import os, pathlib, signal, threading, time

def interrupt():  # as a notebook interrupts its kernel, once an epoch is through
    journal = pathlib.Path({out!r} + "-2", "journal.jsonl")
    while not (journal.is_file() and b'"kind":"epoch"' in journal.read_bytes()):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
result = tune_lpc.run_search("digits", trials=10**5, epochs=20, seeds=1, out={out!r} + "-2")
print(result.outcome)
""",
    "import ray; print(ray.is_initialized(), result.best['score'].notna().all())",
)


@pytest.mark.slow
def test_in_a_real_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    cells = [nbformat.v4.new_code_cell(cell.format(out=str(tmp_path / "out"))) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    told = [["".join(output.get("text", "")) for output in cell.outputs] for cell in notebook.cells]
    assert all(output.output_type == "stream" for cell in notebook.cells for output in cell.outputs)
    assert "".join(told[0]).splitlines()[-1] == "finished 1"
    assert "".join(told[1]).splitlines()[-1] == "interrupted"
    assert "resume=True)" in "".join(told[1])
    assert "\x1b" not in "".join(told[0] + told[1])  # no table that is drawn anew, in a place that keeps all
    assert "".join(told[2]).strip() == "False True"
