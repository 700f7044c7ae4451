"""The files that a space file is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune_lpc.plan import UserError
from tune_lpc.plan.space_modules import modules_of


def made(folder: Path, **texts: str) -> list[str]:
    """The files, by their names, that space.py is made of."""
    for name, text in texts.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return sorted(path.relative_to(folder).as_posix() for path in modules_of(folder / "space.py"))


def test_a_file_alone(tmp_path: Path) -> None:
    assert made(tmp_path, space="import math\nfrom tune_lpc.plan import Space", other="secret = 1") == ["space.py"]


def test_what_it_imports_and_what_that_does(tmp_path: Path) -> None:
    texts = {"space": "from a import x", "a": "def f():\n    import b.c", "b": "from . import space", "d": ""}
    assert made(tmp_path, **texts) == ["a.py", "b.py", "space.py"]


@pytest.mark.parametrize("line", ["from . import a", "from .a import x", "import a as other"])
def test_however_it_is_imported(tmp_path: Path, line: str) -> None:
    assert made(tmp_path, space=line, a="") == ["a.py", "space.py"]


def test_a_package_is_whole(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "__init__.py").write_text("")
    assert made(tmp_path, space="import p", p__inner="import q", q="") == [
        "p/__init__.py",
        "p/inner.py",
        "q.py",
        "space.py",
    ]


def test_names_of_the_standard_library_mean_that(tmp_path: Path) -> None:
    assert made(tmp_path, space="import json", json="") == ["space.py"]


def test_a_file_that_is_no_python_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.py can't be read"):
        made(tmp_path, space="import a", a="this is not")
