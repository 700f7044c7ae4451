"""The floors of the house, read from the imports: a file reaches neither up nor across, and nothing goes in circles."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SPEC, TRAINING, RESULTS, SEARCH = "tune_lpc.plan", "tune_lpc.training", "tune_lpc.results", "tune_lpc.search"
COMMANDS = "tune_lpc"
"""The modules right in tune_lpc/: floor 4, and `__init__`, which holds the version for all."""
SPACES = "search_spaces"
ROOMS = (SPEC, TRAINING, RESULTS, SEARCH, SPACES, COMMANDS)
"""Each before the room that holds it, so that the first match is the right one."""


@dataclass(frozen=True)
class Rule:
    """What a room may import besides the standard library: other rooms of ours, and libraries."""

    rooms: frozenset[str]
    libraries: frozenset[str]
    standard_library: bool = True


def rule(rooms: str = "", libraries: str = "", *, standard_library: bool = True) -> Rule:
    """A rule from names parted by blanks."""
    return Rule(frozenset(rooms.split()), frozenset(libraries.split()), standard_library)


RULES = {
    SPACES: rule(SPEC, standard_library=False),
    SPEC: rule(),
    TRAINING: rule(SPEC, "torch torchvision faiss numba triton sklearn numpy scipy PIL filelock"),
    RESULTS: rule(SPEC, "pyarrow pandas numpy matplotlib"),
    SEARCH: rule(f"{SPEC} {TRAINING} {RESULTS}", "ray optuna rich"),
    COMMANDS: rule(f"{SPEC} {TRAINING} {RESULTS} {SEARCH}", "rich"),
}

ALSO = {
    "tune_lpc.engine.token": rule(libraries="filelock"),
    "tune_lpc.plan.library": rule(SPACES),
    "tune_lpc.training.data": rule(libraries="pyarrow"),
}
"""What a module, or all modules of a package, may import besides."""


# The checker


@dataclass(frozen=True)
class Module:
    """A Python file of ours: its dotted name, and the names that it imports, each with its line."""

    name: str
    imports: tuple[tuple[str, int], ...]

    @property
    def room(self) -> str:
        return room_of(self.name)


def room_of(name: str) -> str:
    """The room that a module of ours belongs to."""
    return next(room for room in ROOMS if is_in(name, room))


def is_in(name: str, package: str) -> bool:
    """Whether `name` is the package, or lies in it."""
    return name == package or name.startswith(package + ".")


def python_files(root: Path) -> Iterator[tuple[str, Path]]:
    """The dotted name and path of each Python file in tune_lpc/ and search_spaces/."""
    for package in ("tune_lpc", "search_spaces"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def read_modules(root: Path) -> list[Module]:
    """Every module of the tree, with the imports anywhere in it, inside functions too."""
    files = dict(python_files(root))
    return [Module(name, tuple(imports_of(name, path, set(files)))) for name, path in files.items()]


IMPORTING_CALLS = ("importlib.import_module", "import_module", "__import__")


def imports_of(name: str, path: Path, ours: set[str]) -> Iterator[tuple[str, int]]:
    """The full names of the modules that a file imports, and the line of each."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from tune_lpc.plan import space` takes a module, `from tune_lpc.plan import Space` what one holds
                full = f"{source}.{alias.name}"
                yield (full if full in ours else source), node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in IMPORTING_CALLS:
            yield from ((str(given.value), node.lineno) for given in node.args if isinstance(given, ast.Constant))


def floor_problems(root: Path) -> list[str]:
    """Every import that reaches up or across, one line each."""
    found = []
    for module in read_modules(root):
        for imported, line in module.imports:
            if not may_import(module, imported):
                found.append(f"{module.name}, line {line}: {module.room} must not import {imported}")
    return found


def may_import(module: Module, imported: str) -> bool:
    """Whether the rules let `module` import `imported`."""
    rules = [RULES[module.room], *(more for package, more in ALSO.items() if is_in(module.name, package))]
    top = imported.partition(".")[0]
    if top in ("tune_lpc", "search_spaces"):
        if imported == "tune_lpc":
            return module.room != SPACES  # only the version lies there
        if module.name == "tune_lpc":
            return False  # everybody imports it, so it imports nobody
        return room_of(imported) == module.room or any(room_of(imported) in each.rooms for each in rules)
    if top in sys.stdlib_module_names:
        return RULES[module.room].standard_library
    return any(top in each.libraries for each in rules)


def cycle(root: Path) -> list[str]:
    """Modules that import each other in a circle, the first one again at the end; empty when there is none."""
    modules = read_modules(root)
    names = {module.name for module in modules}
    graph = {module.name: {n for n, _ in module.imports if n in names} for module in modules}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


PLAIN = (ast.Constant, ast.Name, ast.Load, ast.Dict, ast.List, ast.Tuple, ast.UnaryOp, ast.USub, ast.Call, ast.keyword)


def data_only_problems(root: Path) -> list[str]:
    """What makes a search space more than data: statements other than assignments, and values that are computed."""
    found = []
    for name, path in python_files(root):
        if not is_in(name, SPACES):
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for position, node in enumerate(body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if position == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            if not isinstance(node, ast.Assign):
                found.append(f"{name}, line {node.lineno}: {type(node).__name__} is not data")
                continue
            for part in ast.walk(node.value):
                if not isinstance(part, PLAIN):
                    found.append(f"{name}, line {node.lineno}: {type(part).__name__} is not data")
                elif isinstance(part, ast.Call) and ast.unparse(part.func) not in ("Space", "Float", "Int", "Choice"):
                    found.append(f"{name}, line {node.lineno}: {ast.unparse(part.func)}() is not data")
        assigned = [ast.unparse(t) for node in body if isinstance(node, ast.Assign) for t in node.targets]
        if name != SPACES and "SPACE" not in assigned:
            found.append(f"{name} sets no SPACE")
    return found


# The house as it stands


def test_there_is_something_to_check() -> None:
    rooms = {module.room for module in read_modules(ROOT)}
    assert rooms == set(ROOMS)


def test_no_file_reaches_up_or_across() -> None:
    assert floor_problems(ROOT) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycle(ROOT) == []


def test_search_spaces_hold_only_data() -> None:
    assert data_only_problems(ROOT) == []


def imported_by(packages: str) -> set[str]:
    """Names of all modules that a fresh Python loads with every module of the packages, parted by blanks."""
    script = (
        "import importlib, pkgutil, sys\n"
        "before = set(sys.modules)\n"
        f"for name in {packages.split()!r}:\n"
        "    package = importlib.import_module(name)\n"
        "    for module in pkgutil.walk_packages(package.__path__, name + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "print('\\n'.join(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_spec_and_spaces_load_the_standard_library_alone() -> None:
    tops = {name.partition(".")[0] for name in imported_by(f"{SPEC} {SPACES}")}
    assert tops - set(sys.stdlib_module_names) == {"tune_lpc", "search_spaces"}


def test_training_loads_neither_ray_nor_the_rooms_beside_and_above() -> None:
    loaded = imported_by(TRAINING)
    assert TRAINING in loaded
    assert loaded.isdisjoint({"ray", "optuna", RESULTS, SEARCH})


def test_results_load_without_torch_and_ray() -> None:
    loaded = imported_by(RESULTS)
    assert RESULTS in loaded
    assert loaded.isdisjoint({"torch", "torchvision", "faiss", "ray", "optuna", TRAINING, SEARCH})


# The checker itself, on small houses made up for it


def build(folder: Path, files: dict[str, str]) -> Path:
    """A tree with those files, and an `__init__` in every folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in [folder / "tune_lpc", folder / "search_spaces", *folder.rglob("*")]:
        if path.suffix != ".py":
            path.mkdir(parents=True, exist_ok=True)
            (path / "__init__.py").touch()
    return folder


ALLOWED = {
    "tune_lpc/run.py": "import argparse\nfrom tune_lpc.engine.tuner import run\nfrom tune_lpc import __version__\n",
    "tune_lpc/search/tuner.py": "import ray\nfrom tune_lpc.training import loop\nimport tune_lpc.results.journal\n",
    "tune_lpc/training/loop.py": "import torch.nn\nfrom tune_lpc.plan.trial import TrialSpec\n",
    "tune_lpc/training/data/parquet.py": "def read():\n    import pyarrow.parquet\n",
    "tune_lpc/results/journal.py": "import json\nimport pandas\n",
    "tune_lpc/plan/trial.py": "import dataclasses\n",
    "tune_lpc/plan/library.py": "import search_spaces\n",
    "search_spaces/digits.py": '"""Digits."""\nfrom tune_lpc.plan import Float, Space\nSPACE = Space(x=Float(-1, 1))\n',
}


def test_a_house_in_order_passes(tmp_path: Path) -> None:
    root = build(tmp_path, ALLOWED)
    assert floor_problems(root) == []
    assert cycle(root) == []
    assert data_only_problems(root) == []


@pytest.mark.parametrize(
    ("file", "line", "imported"),
    [
        ("tune_lpc/plan/trial.py", "import numpy", "numpy"),
        ("tune_lpc/plan/trial.py", "import search_spaces", "search_spaces"),
        ("tune_lpc/plan/library.py", "from tune_lpc.training import loop", "tune_lpc.training.loop"),
        ("tune_lpc/training/loop.py", "def f():\n    from ray import tune", "ray"),
        ("tune_lpc/training/loop.py", "import pyarrow.parquet", "pyarrow.parquet"),
        ("tune_lpc/training/loop.py", "from tune_lpc.results import journal", "tune_lpc.results.journal"),
        ("tune_lpc/training/loop.py", "from ..results import journal", "tune_lpc.results.journal"),
        ("tune_lpc/training/__init__.py", "from ..search import tuner", "tune_lpc.engine.tuner"),
        ("tune_lpc/training/data/parquet.py", "import pandas", "pandas"),
        ("tune_lpc/results/journal.py", "import importlib\nimportlib.import_module('torch')", "torch"),
        ("tune_lpc/results/journal.py", "from tune_lpc import search", "tune_lpc.search"),
        ("tune_lpc/search/tuner.py", "import torch", "torch"),
        ("tune_lpc/search/tuner.py", "from tune_lpc import run", "tune_lpc.run"),
        ("tune_lpc/run.py", "import optuna", "optuna"),
        ("tune_lpc/__init__.py", "from tune_lpc.plan import trial", "tune_lpc.plan.trial"),
        ("search_spaces/digits.py", "import math", "math"),
        ("search_spaces/digits.py", "from search_spaces import mnist\nimport tune_lpc.run", "tune_lpc.run"),
    ],
)
def test_reaching_up_or_across_is_caught(tmp_path: Path, file: str, line: str, imported: str) -> None:
    root = build(tmp_path, {**ALLOWED, file: line + "\n"})
    found = floor_problems(root)
    assert len(found) == 1
    assert found[0].endswith(f"must not import {imported}")


def test_a_circle_is_caught(tmp_path: Path) -> None:
    circle = {
        "tune_lpc/plan/a.py": "from tune_lpc.plan.b import y\n",
        "tune_lpc/plan/b.py": "def f():\n    import tune_lpc.plan.a\n",
    }
    assert set(cycle(build(tmp_path, circle))) == {"tune_lpc.plan.a", "tune_lpc.plan.b"}


@pytest.mark.parametrize(
    "text",
    [
        "SPACE = 1\ndef f(): pass\n",
        "SPACE = 1\nif SPACE:\n    OTHER = 2\n",
        "for SPACE in (1, 2):\n    pass\n",
        "SPACE = [x for x in (1, 2)]\n",
        "SPACE = dict(a=1)\n",
        "SPACE = 1\nprint(SPACE)\n",
        "OTHER = 1\n",
    ],
)
def test_a_space_that_is_more_than_data_is_caught(tmp_path: Path, text: str) -> None:
    assert data_only_problems(build(tmp_path, {"search_spaces/digits.py": text}))
