"""The floors of the house, as far as import-linter does not see them (its contracts stand in pyproject.toml)."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINTER = Path(sys.executable).with_name("lint-imports")

# What a fresh process loads


def run_python(script: str, *, without: str = "") -> str:
    """What a fresh Python prints; `without`, modules parted by blanks, it finds nothing under those names."""
    hidden = (
        "import sys\n"
        "class Hidden:\n"
        "    def __init__(self, finder): self.finder = finder\n"
        "    def __getattr__(self, name): return getattr(self.finder, name)\n"
        "    def find_spec(self, name, *given):\n"
        f"        hidden = name.partition('.')[0] in {without.split()!r}\n"
        "        return None if hidden else self.finder.find_spec(name, *given)\n"
        "sys.meta_path[:] = map(Hidden, sys.meta_path)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden + script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def importing(packages: str) -> str:
    """A script that imports every module of the packages, parted by blanks."""
    return (
        "import importlib, pkgutil\n"
        f"for name in {packages.split()!r}:\n"
        "    package = importlib.import_module(name)\n"
        "    for module in pkgutil.walk_packages(package.__path__, name + '.'):\n"
        "        importlib.import_module(module.name)\n"
    )


def libraries_loaded_by(script: str) -> set[str]:
    """The names of the packages beyond the standard library that a fresh Python has loaded after the script."""
    # What a start of Python loads by itself, such as an editable install's finder, is nobody's import.
    script = f"import sys\nbefore = set(sys.modules)\n{script}\nprint('\\n'.join(set(sys.modules) - before))"
    return {name.partition(".")[0] for name in run_python(script).split()} - set(sys.stdlib_module_names)


def test_the_package_itself_is_light() -> None:
    assert libraries_loaded_by("import tune_lpc") == {"tune_lpc"}


def test_plan_and_spaces_load_the_standard_library_alone() -> None:
    assert libraries_loaded_by(importing("tune_lpc.plan search_spaces")) == {"tune_lpc", "search_spaces"}


def test_scipy_is_loaded_by_the_first_spline_that_is_evaluated() -> None:
    script = "from tune_lpc.plan.gamma import GammaRamp\nramp = GammaRamp('spline', 1.0, 2.0, knots=(0.5,))\n"
    assert "scipy" not in libraries_loaded_by(f"{script}GammaRamp('exponential', 1.0, 2.0)(0.5)")
    assert "scipy" in libraries_loaded_by(f"{script}ramp(0.5)")


def test_a_page_is_made_without_torch_ray_and_optuna(tmp_path: Path) -> None:
    old = ROOT / "tests" / "journals" / "version-0.1.0" / "finished"
    folder = shutil.copytree(old, tmp_path / "run")
    script = f"from tune_lpc.report import main\nassert main([{str(folder)!r}, '--no-figures']) == 0"
    run_python(script, without="torch torchvision ray optuna sklearn numba")
    assert (folder / "report.html").stat().st_size > 500_000


def test_results_open_without_torch_ray_and_optuna() -> None:
    assert "pyarrow" in libraries_loaded_by(importing("tune_lpc.results"))
    run_python(importing("tune_lpc.results"), without="torch torchvision ray optuna rich safetensors psutil")


NOT_FOR_TRAINING = "ray optuna pandas rich psutil platformdirs safetensors tune_lpc.results tune_lpc.search"


def test_a_network_trains_without_what_only_a_search_needs() -> None:
    script = (
        "from tune_lpc.plan import TrialSpec\n"
        "from tune_lpc.training.prepare import prepare, start_training\n"
        "spec = TrialSpec.build({'dataset': 'digits', 'epochs': 1, 'train_size': 64})\n"
        "print([record.epoch for record in start_training(spec, prepare(spec)).epochs()])\n"
    )
    assert run_python(importing("tune_lpc.training") + script, without=NOT_FOR_TRAINING) == "[1]\n"


def test_a_search_decides_without_ray() -> None:
    run_python(importing("tune_lpc.search"), without="ray tune_lpc.engine tune_lpc.cli")


# The contracts of import-linter: each of them fails where it is broken


def broken_contracts(root: Path, *options: str) -> int:
    """How many contracts import-linter finds broken in the house at `root`."""
    command = [LINTER, "--no-logo", "--no-cache", *options]
    done = subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False)
    found = re.search(r"Contracts: [0-9]+ kept, ([0-9]+) broken.", done.stdout)
    assert found, done.stdout + done.stderr
    return int(found[1])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of ours, to be spoilt."""
    root = tmp_path_factory.mktemp("house")
    for name in ("tune_lpc", "search_spaces"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_all_contracts_are_kept(house: Path) -> None:
    assert broken_contracts(house) == 0


@pytest.mark.parametrize(
    ("contract", "file", "line"),
    [
        ("floors", "tune_lpc/engine/more.py", "from tune_lpc.cli import options"),
        ("floors", "tune_lpc/training/more.py", "def f():\n    from tune_lpc.results import journal"),
        ("floors", "tune_lpc/attic/__init__.py", ""),
        ("circles", "tune_lpc/plan/errors.py", "import tune_lpc.plan.space"),
        ("root", "tune_lpc/__init__.py", "from tune_lpc.plan import trial"),
        ("plan", "tune_lpc/plan/more.py", "import numpy"),
        ("plan", "tune_lpc/plan/gamma.py", "def f():\n    import scipy.interpolate"),
        ("training", "tune_lpc/training/more.py", "import pandas"),
        ("results", "tune_lpc/results/more.py", "import torch.nn"),
        ("ray", "tune_lpc/more.py", "from ray import tune"),
        ("optuna", "tune_lpc/engine/more.py", "import optuna"),
        ("pages", "tune_lpc/pages/more.py", "import torch"),
        ("readers", "tune_lpc/search/more.py", "from tune_lpc.pages import page"),
        ("test_images", "tune_lpc/engine/more.py", "def f():\n    import tune_lpc.final.test_images"),
        ("final", "tune_lpc/report.py", "from tune_lpc.final import evaluation"),
        ("fast", "tune_lpc/training/more.py", "from tune_lpc.training.fast import h0"),
        ("spaces", "search_spaces/more.py", "import tune_lpc.training.loop"),
    ],
)
def test_each_contract_breaks(contract: str, file: str, line: str, house: Path) -> None:
    path = house / file
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    try:
        path.write_text(f"{before or ''}\n{line}\n")
        assert broken_contracts(house, "--contract", contract) == 1
    finally:
        path.unlink() if before is None else path.write_text(before)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


# Private names of libraries

MAY_USE_PRIVATE_NAMES = ("tune_lpc/engine/", "tune_lpc/search/sampler.py")
LIBRARIES = ("ray", "optuna")


def private_names(text: str) -> list[str]:
    """Private names of Ray or Optuna in a Python file, each with its line.

    Whose an object is can't be seen from the text: in a file that imports one of them, every private attribute of
    anything but `self` and `cls` counts.
    """
    tree = ast.parse(text)
    imported = [name for node in ast.walk(tree) for name in _imported(node) if name.split(".")[0] in LIBRARIES]
    found = [name for name in imported if any(map(_is_private, name.split(".")))]
    for node in ast.walk(tree) if imported else ():
        if (
            isinstance(node, ast.Attribute)
            and _is_private(node.attr)
            and ast.unparse(node.value) not in ("self", "cls")
        ):
            found.append(f"{ast.unparse(node)}, line {node.lineno}")
    return found


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_private_names_of_ray_and_optuna_stay_in_their_rooms() -> None:
    found = {}
    for path in sorted((ROOT / "tune_lpc").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(MAY_USE_PRIVATE_NAMES) and (names := private_names(path.read_text(encoding="utf-8"))):
            found[name] = names
    assert found == {}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("import ray._private.utils", 1),
        ("from ray.tune import _registry", 1),
        ("def f():\n    from optuna._hypervolume import wfg", 1),
        ("import ray\nray._private.services.f()", 1),
        ("import optuna\ndef f(study): return study._storage", 1),
        ("import optuna\nclass A:\n    def f(self): return self._study", 0),
        ("import ray\nray.__version__", 0),
        ("import torch\ntorch._dynamo", 0),
    ],
)
def test_private_names_are_found(text: str, count: int) -> None:
    assert len(private_names(text)) == count


# Search spaces

PLAIN = (ast.Constant, ast.Name, ast.Load, ast.Dict, ast.List, ast.Tuple, ast.UnaryOp, ast.USub, ast.Call, ast.keyword)


def more_than_data(text: str) -> list[str]:
    """What makes a space more than data: statements other than assignments, and values that are computed."""
    found = []
    body = ast.parse(text).body
    for position, node in enumerate(body):
        is_docstring = position == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or isinstance(node, ast.ImportFrom):
            continue
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            found.append(f"line {node.lineno}: {type(node).__name__}")
            continue
        for part in ast.walk(node.value):
            if not isinstance(part, PLAIN):
                found.append(f"line {node.lineno}: {type(part).__name__}")
            elif isinstance(part, ast.Call) and ast.unparse(part.func) not in ("Space", "Float", "Int", "Choice"):
                found.append(f"line {node.lineno}: {ast.unparse(part.func)}()")
    return found


def test_search_spaces_hold_only_data() -> None:
    spaces = sorted((ROOT / "search_spaces").glob("*.py"))
    assert len(spaces) > 5
    assert {path.name: found for path in spaces if (found := more_than_data(path.read_text()))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "def f(): pass",
        "if SPACE:\n    OTHER = 2",
        "for SPACE in (1, 2):\n    pass",
        "SPACE = [x for x in (1, 2)]",
        "SPACE = dict(a=1)",
        "print(1)",
        "import math",
    ],
)
def test_a_space_that_is_more_than_data_is_caught(text: str) -> None:
    assert more_than_data('"""Digits."""\nfrom tune_lpc.plan import Space\nSPACE = Space(x=-1)\n') == []
    assert more_than_data(text)
