"""The command `compare`, from its options to its files and its exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.results.confirmations import confirmed, networks, read, three
from tune_lpc.compare import main
from tune_lpc.pages.writing import COMPARISON_FILE
from tune_lpc.results.comparison_files import FILES

ROOT = Path(__file__).resolve().parents[1]


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines with which it refuses; it must end with status 2, and print nothing else."""
    try:
        status = main(arguments)
    except SystemExit as exit_of_argparse:
        status = int(exit_of_argparse.code or 0)
    told = capsys.readouterr()
    assert (status, told.out) == (2, "")
    return told.err.splitlines()


def test_one_command_compares_what_run_wrote_for_several_methods(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three(tmp_path)
    assert main([str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    assert lines[0] == "Test data (360 images), the named config of each method"
    assert max(map(len, lines[:-3])) <= 80
    assert "lpc against vanilla: test accuracy +1.86 points [+1.50, +2.21], p <0.001" in told.out
    written = [*FILES, COMPARISON_FILE]
    assert lines[-1] == f"files in {tmp_path}: {', '.join(written)}"
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == set(written)


def test_folders_may_be_given_one_by_one_and_the_files_go_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three(tmp_path / "three")
    out = tmp_path / "out"
    folders = [str(tmp_path / "three" / name) for name in ("sliding", "lpc")]
    assert main([*folders, "--against", "all", "--out", str(out)]) == 0
    assert "lpc against sliding" in capsys.readouterr().out
    assert read(out / "comparison.parquet")["label"].unique().tolist() == ["sliding", "lpc"]
    assert {path.name for path in (tmp_path / "three").iterdir()} == {"vanilla", "lpc", "sliding"}


def test_many_measures_of_many_methods_stay_within_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three(tmp_path)
    for name in ("supcon", "arcface", "linear_penultimate"):
        confirmed(tmp_path / name, networks([0.9, 0.91, 0.925], [0.1, 0.2, 0.4], method=name))
    assert main([str(tmp_path), "--against", "all"]) == 0
    table = capsys.readouterr().out.split("Budget of each search")[0]
    assert max(map(len, table.splitlines())) <= 80
    for line in ("94.87 ± 0.27", "[94.53, 95.20]"):
        assert line in table, "no figure is broken"


def test_what_was_left_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(confirmed(tmp_path / "a", networks([0.9, None, 0.95])))]) == 0
    assert "vanilla: 1 of 3 networks left out of its figures: split 1, seed 1001 diverged" in capsys.readouterr().out


def test_when_no_network_has_an_accuracy_the_status_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(confirmed(tmp_path / "a", networks([None, None])))]) == 1
    assert "2 of 2 networks left out" in capsys.readouterr().out


def test_a_folders_name_is_no_markup_of_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("[red]a", "[b]"):
        confirmed(tmp_path / name, networks([0.9, 0.95]))
    assert main([str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "vanilla ([red]a)" in told and "vanilla ([b])" in told


def test_all_problems_at_once_and_nothing_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three(tmp_path)
    (tmp_path / "lpc" / "confirm.parquet").unlink()
    (tmp_path / "sliding" / "run.json").write_text("{")
    lines = refusal([str(tmp_path), str(tmp_path / "nowhere")], capsys)
    assert len(lines) == 3 and all(line.startswith("error: ") for line in lines)
    assert "lpc is not confirmed" in lines[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lpc", "sliding", "vanilla"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the following arguments are required: DIR"),
        (["", "--out", "x"], "a folder is empty, but must have a name"),
        (["x", "--out", " "], "a folder is empty, but must have a name"),
        (["x", "--ot=y"], "unrecognized arguments: --ot=y; did you mean '--out'?"),
        (["nowhere"], "nowhere holds no run: there is no such folder; check the path"),
    ],
)
def test_bad_options_are_one_line(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (line,) = refusal(arguments, capsys)
    assert told in line
    assert list(tmp_path.iterdir()) == []


def test_it_works_where_torch_ray_and_optuna_are_not(tmp_path: Path) -> None:
    three(tmp_path)
    # Not by None in sys.modules: SciPy takes that for a torch that somebody has imported.
    script = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] in 'torch torchvision ray optuna sklearn safetensors psutil'.split():\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from tune_lpc.compare import main\n"
        f"sys.exit(main([{str(tmp_path)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Paired tests" in done.stdout
