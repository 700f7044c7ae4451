from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tune_lpc
from tune_lpc.plan import UserError, load_space, shipped_names
from tune_lpc.plan.library import SHIPPED

GOOD = """
from tune_lpc.plan import Choice, Float, Space

SPACE = Space(
    name="mine",
    about="a space of my own",
    settings={"dataset": "digits", "epochs": 5},
    dimensions={"learning_rate": Float(1e-4, 1e-2, log=True), "optimizer": Choice(["adamw", "sgd"])},
)
"""


@pytest.fixture
def space_file(tmp_path: Path) -> Path:
    return tmp_path / "mine.py"


def _problems(space_file: Path, text: str) -> list[str]:
    space_file.write_text(text)
    with pytest.raises(UserError) as caught:
        load_space(str(space_file))
    return caught.value.problems


def test_a_file_of_ones_own_is_a_space(space_file: Path) -> None:
    space_file.write_text(GOOD)
    space = load_space(str(space_file))
    assert space.name == "mine"
    assert list(space.dimensions) == ["learning_rate", "optimizer"]


def test_an_unknown_name_brings_the_nearest_and_all_known_ones() -> None:
    with pytest.raises(UserError) as caught:
        load_space("cifra10")
    (problem,) = caught.value.problems
    assert "'cifra10'; did you mean 'cifar10'?" in problem
    assert all(name in problem for name in shipped_names())


def test_a_missing_file_is_named(space_file: Path) -> None:
    with pytest.raises(UserError, match="no space file") as caught:
        load_space(str(space_file))
    assert str(space_file) in str(caught.value)


def test_a_syntax_error_is_named_with_its_line(space_file: Path) -> None:
    (problem,) = _problems(space_file, GOOD + "\nSPACE = (\n")
    assert "SyntaxError" in problem
    assert "line 11" in problem


def test_a_file_that_fails_is_named_with_its_error(space_file: Path) -> None:
    (problem,) = _problems(space_file, "widths = [16, 32]\nwidths[2]\n")
    assert str(space_file) in problem
    assert "IndexError" in problem


@pytest.mark.parametrize("text", ["space = 1\n", "SPACE = {'name': 'mine'}\n"])
def test_a_file_that_sets_no_space_is_told_what_to_write(space_file: Path, text: str) -> None:
    (problem,) = _problems(space_file, text)
    assert "sets no SPACE; write SPACE = Space(...)" in problem


def test_an_empty_range_names_both_ends(space_file: Path) -> None:
    (problem,) = _problems(space_file, GOOD.replace("1e-4, 1e-2", "1e-2, 1e-4"))
    assert problem == ("space mine: learning_rate has an empty range: low is 0.01, but must be below high (0.0001)")


def test_a_condition_on_a_name_that_does_not_exist_brings_the_nearest(space_file: Path) -> None:
    (problem,) = _problems(space_file, GOOD.replace("log=True", "when={'optimiser': ('sgd',)}"))
    assert "learning_rate has a condition on 'optimiser', which does not exist; did you mean 'optimizer'?" in problem


def test_every_problem_of_a_file_is_told_at_once(space_file: Path) -> None:
    text = GOOD.replace("1e-4, 1e-2", "1e-2, 1e-4").replace('"sgd"', '"lion"').replace('"epochs": 5', '"epochs": 0')
    problems = _problems(space_file, text)
    assert len(problems) == 3
    assert all(any(name in problem for problem in problems) for name in ("learning_rate", "optimizer", "epochs"))


def test_a_dimension_of_a_strange_type_is_named(space_file: Path) -> None:
    (problem,) = _problems(space_file, GOOD.replace('Choice(["adamw", "sgd"])', '["adamw", "sgd"]'))
    assert "optimizer must be a Float, Int or Choice" in problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise SystemExit", "SystemExit: no message"),
        ("raise GeneratorExit('gone')", "GeneratorExit: gone"),
        ("raise BaseException", "BaseException: no message"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
    ],
)
def test_whatever_ends_a_file_is_named_in_a_line(space_file: Path, text: str, told: str) -> None:
    assert _problems(space_file, text) == [f"space file {space_file} can't be run: {told}"]


def test_an_interruption_while_a_file_runs_goes_on(space_file: Path) -> None:
    space_file.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_space(str(space_file))


def test_what_a_file_prints_or_warns_of_is_dropped(
    space_file: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    noise = r"""
import logging, sys, warnings
print("printed")
print("printed", file=sys.stderr)
warnings.warn("warned")
logging.warning("logged")
PATTERN = "\d"
"""
    space_file.write_text(noise + GOOD)
    assert load_space(str(space_file)).name == "mine"
    print("after")
    assert capfd.readouterr() == ("after\n", "")
    assert not recwarn.list


def test_a_file_whose_name_is_too_long_is_told() -> None:
    with pytest.raises(UserError, match="can't be opened"):
        load_space("x" * 300 + ".py")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            '{"learning_rate": Float(1e-4, 1e-2, log=True), "optimizer": Choice(["adamw", "sgd"])}',
            "[1]",
            "dimensions is",
        ),
        ('{"dataset": "digits", "epochs": 5}', "None", "settings is none, but must be a dict"),
        ('"mine"', '"../../etc"', "name is '../../etc', but must be a plain word"),
        ('"a space of my own"', "None", "about is none, but must be a text"),
        ('"epochs": 5', "3: 5", "3 is not a setting"),
        ('["adamw", "sgd"]', '["sgd", "sgd"]', "optimizer has the option 'sgd' more than once"),
    ],
)
def test_a_wrong_part_of_a_space_is_a_line(space_file: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    (problem,) = _problems(space_file, GOOD.replace(old, new))
    assert told in problem


HOSTILE = """
from pathlib import Path

Path(__file__).with_name("run_by_accident").touch()
raise SystemExit("the folder of the working folder was imported")
"""


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "tune_lpc.run", "--list"],
        ["-c", "from tune_lpc.plan import load_space; print(load_space('digits').name)"],
    ],
    ids=["--list", "load_space"],
)
def test_a_folder_of_the_same_name_in_the_working_folder_is_neither_found_nor_run(
    command: list[str], tmp_path: Path
) -> None:
    hostile = tmp_path / "search_spaces"
    hostile.mkdir()
    for name in ("__init__", "digits", "evil"):
        (hostile / f"{name}.py").write_text(HOSTILE)
    package = Path(tune_lpc.__file__).parents[1]
    found = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{package}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "digits" in found.stdout
    assert "evil" not in found.stdout
    assert not (hostile / "run_by_accident").exists()


def test_the_shipped_spaces_lie_beside_the_package_as_an_installation_has_them() -> None:
    declared = tomllib.loads((Path(tune_lpc.__file__).parents[1] / "pyproject.toml").read_text())
    found = declared["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {"tune_lpc", "search_spaces"} <= set(found)
    assert SHIPPED.parent == Path(tune_lpc.__file__).parents[1]
    assert SHIPPED.name == "search_spaces"
