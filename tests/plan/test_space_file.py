"""A space file and the modules beside it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import tune_lpc
from tune_lpc.plan import Space, UserError, load_space
from tune_lpc.plan.choosers import RandomChooser

SPACE = """
from tune_lpc.plan import Choice, Space
{imports}

SPACE = Space("mine", "of my own", {{"batch_size": Choice({options})}}, {{"epochs": 5}})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spaces").mkdir()
    return tmp_path / "spaces"


def write(folder: Path, imports: str, options: str = "WIDTHS", **modules: str) -> Path:
    for name, text in modules.items():
        place = folder / f"{name.replace('__in__', '/')}.py"
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    path = folder / "my_space.py"
    path.write_text(SPACE.format(imports=imports, options=options))
    return path


def options_of(path: Path | str) -> list[object]:
    before = sys.path[:], set(sys.modules), sys.meta_path[:]
    try:
        return list(load_space(str(path)).possible("batch_size"))
    finally:
        assert (sys.path, sys.meta_path) == (before[0], before[2])
        assert not {name for name in set(sys.modules) - before[1] if "space_file_" in name or "helper" in name}


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        options_of(path)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("imports", "options"),
    [
        ("from my_helpers import WIDTHS", "WIDTHS"),
        ("from my_helpers import *", "WIDTHS"),
        ("import my_helpers", "my_helpers.WIDTHS"),
        ("import my_helpers as helpers", "helpers.WIDTHS"),
        ("from . import my_helpers", "my_helpers.WIDTHS"),
        ("from .my_helpers import WIDTHS", "WIDTHS"),
    ],
)
def test_a_module_beside_a_space_is_found_however_it_is_imported(folder: Path, imports: str, options: str) -> None:
    assert options_of(write(folder, imports, options, my_helpers="WIDTHS = [8, 16]")) == [8, 16]
    assert not list(folder.glob("__pycache__")), "nothing is written there"


@pytest.mark.parametrize(
    ("imports", "options"),
    [
        ("from parts.widths import WIDTHS", "WIDTHS"),
        ("import parts.widths", "parts.widths.WIDTHS"),
        ("import parts.widths as widths", "widths.WIDTHS"),
        ("from parts import widths", "widths.WIDTHS"),
        ("from parts import ALL", "ALL"),
    ],
)
def test_a_package_beside_a_space_is_found(folder: Path, imports: str, options: str) -> None:
    modules = {
        "parts__in____init__": "from .widths import WIDTHS as ALL",
        "parts__in__widths": "from parts import base\nWIDTHS = [base.LEAST, 16]",
        "parts__in__base": "LEAST = 8",
    }
    assert options_of(write(folder, imports, options, **modules)) == [8, 16]


def test_modules_beside_it_find_each_other(folder: Path) -> None:
    modules = {"one_helper": "from two_helper import WIDTHS", "two_helper": "WIDTHS = [4]"}
    assert options_of(write(folder, "from one_helper import WIDTHS", **modules)) == [4]


def test_the_working_folder_makes_no_difference(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, "from my_helpers import WIDTHS", my_helpers="WIDTHS = [8]")
    for place, name in ((folder, path.name), (folder.parent, "spaces/my_space.py"), (folder, "../spaces/my_space.py")):
        monkeypatch.chdir(place)
        assert options_of(name) == [8]


def test_each_space_has_its_own_helpers_and_they_are_read_anew(tmp_path: Path) -> None:
    for number in (4, 8):
        (tmp_path / str(number)).mkdir()
        path = write(tmp_path / str(number), "from my_helpers import WIDTHS", my_helpers=f"WIDTHS = [{number}]")
        assert options_of(path) == [number]
    (path.parent / "my_helpers.py").write_text("WIDTHS = [9]")
    assert options_of(path) == [9]


def test_a_module_of_the_same_name_hides_none_and_is_hidden_by_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it installed, loaded already, or a library that other code imports meanwhile."""
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "my_helpers.py").write_text("WIDTHS = [2]")
    (installed / "other_library.py").write_text("from my_helpers import WIDTHS as OTHERS")
    monkeypatch.syspath_prepend(str(installed))
    path = write(folder, "from my_helpers import WIDTHS\nfrom other_library import OTHERS", "WIDTHS + OTHERS",
                 my_helpers="WIDTHS = [8]")  # fmt: skip
    for _ in range(2):
        assert list(load_space(str(path)).possible("batch_size")) == [8, 2]
        assert sys.modules["my_helpers"].__file__ == str(installed / "my_helpers.py")
    for name in ("my_helpers", "other_library"):
        monkeypatch.delitem(sys.modules, name)


def test_this_package_and_python_itself_are_never_taken_from_beside_it(folder: Path) -> None:
    path = write(folder, "import math", "[int(math.sqrt(64))]", math="raise SystemExit", tune_lpc="raise SystemExit")
    assert options_of(path) == [8]


def test_a_space_may_load_another(folder: Path) -> None:
    base = write(folder, "from my_helpers import WIDTHS", my_helpers="WIDTHS = [8, 16]")
    (folder / "other.py").write_text(
        f"import dataclasses\nfrom tune_lpc.plan import load_space\nimport my_helpers\n"
        f"SPACE = dataclasses.replace(load_space({str(base)!r}), trials=len(my_helpers.WIDTHS))\n"
    )
    assert load_space(str(folder / "other.py")).trials == 2


def test_helpers_may_hold_classes_and_what_they_give_reaches_workers(folder: Path) -> None:
    helper = """
from __future__ import annotations
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from tune_lpc.plan import Choice

class Width(IntEnum):
    NARROW = 8
    WIDE = 16

class Optimizer(StrEnum):
    ADAMW = "adamw"

class Head(str, Enum):
    LINEAR = "linear"

@dataclass
class Table:
    dimensions: dict[str, Choice]

TABLE = Table({"batch_size": Choice(list(Width)), "optimizer": Choice(list(Optimizer)), "head": Choice(list(Head))})
"""
    path = write(folder, "", "[8]", my_helpers=helper)
    path.write_text(
        "from my_helpers import TABLE\nfrom tune_lpc.plan import Space\nSPACE = Space('mine', '', TABLE.dimensions)\n"
    )
    space: Space = load_space(str(path))
    spec = space.trial(space.draw(RandomChooser(0)))
    assert {type(value) for value in (spec.batch_size, spec.optimizer, spec.head)} == {int, str}
    assert (spec.optimizer, spec.head) == ("adamw", "linear")
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert json.loads(space.canonical_json())["dimensions"]["head"]["options"] == ["linear"]
    assert b"my_helpers" not in pickle.dumps(spec)


# What goes wrong


@pytest.mark.parametrize(
    ("helper", "told"),
    [
        ("WIDTHS = [8]\nWIDTHS[3]\n", "line 2: IndexError: list index out of range"),
        ("WIDTHS = [\n", "line 1: SyntaxError: '[' was never closed"),
        ("\nimport sys; sys.exit(3)\n", "line 2: SystemExit: 3"),
        ("raise ValueError('one\\ntwo')", "line 1: ValueError: one"),
        ("from json import nothing", "line 1: ImportError: cannot import name 'nothing' from 'json'"),
        ("import json; json.loads('{')", "line 1: JSONDecodeError: Expecting property name"),
    ],
)
def test_an_error_in_a_helper_names_its_file_and_line(folder: Path, helper: str, told: str) -> None:
    path = write(folder, "from my_helpers import WIDTHS", my_helpers=helper)
    assert refused(path).startswith(f"space file {path} can't be run: {folder / 'my_helpers.py'}, {told}")


def test_an_error_in_the_helper_of_a_helper_names_that(folder: Path) -> None:
    path = write(folder, "import my_helpers", "[8]", my_helpers="import my_widths", my_widths="1 / 0")
    told = f"{folder / 'my_widths.py'}, line 1: ZeroDivisionError: division by zero"
    assert refused(path) == f"space file {path} can't be run: {told}"


def test_the_file_is_named_as_the_user_names_the_space(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "import my_helpers", "[8]", my_helpers="1 / 0")
    monkeypatch.chdir(folder.parent)
    assert "can't be run: spaces/my_helpers.py, line 1: Zero" in refused(Path("spaces/my_space.py"))


def test_a_name_that_a_helper_lacks_is_told_with_its_file(folder: Path) -> None:
    path = write(folder, "from my_helpers import WIDTH", my_helpers="WIDTHS = [8]")
    told = f"ImportError: cannot import name 'WIDTH' from 'my_helpers' ({folder / 'my_helpers.py'})"
    assert refused(path) == f"space file {path} can't be run: {told}"


def test_a_helper_that_is_not_there_is_told_with_the_nearest(folder: Path) -> None:
    path = write(folder, "from my_helper import WIDTHS", my_helpers="WIDTHS = [8]")
    told = "ModuleNotFoundError: No module named 'my_helper'; did you mean 'my_helpers'?"
    assert refused(path) == (
        f"space file {path} can't be run: {told}; put my_helper.py beside the space, or install it"
    )


def test_a_helper_with_a_name_of_python_s_own_is_told(folder: Path) -> None:
    path = write(folder, "from statistics import WIDTHS", statistics="WIDTHS = [8]")
    assert f"; statistics is a module of Python: give {folder / 'statistics.py'} another name" in refused(path)


def test_a_command_finds_the_helper_from_anywhere(folder: Path, tmp_path: Path) -> None:
    path = write(folder, "from my_helpers import WIDTHS", my_helpers="WIDTHS = [8, 16]")
    package = Path(tune_lpc.__file__).parents[1]
    found = subprocess.run(
        [sys.executable, "-m", "tune_lpc.run", str(path), "--dry-run", "--trials", "9", "--address", "auto"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "one of 8, 16" in found.stdout
