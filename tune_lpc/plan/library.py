"""Finding search spaces: those shipped in `search_spaces/`, and a user's own file."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from pathlib import Path

from tune_lpc.plan.errors import UserError, nearest
from tune_lpc.plan.space import Space
from tune_lpc.plan.space_file import run_space_file

SHIPPED = Path(__file__).resolve().parents[2] / "search_spaces"
"""Beside the package, in a checkout as in an installation. Not by its import name, under which a folder of the working
folder would be found first."""


def shipped_names() -> list[str]:
    """The names of the spaces that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.py") if not path.stem.startswith("_"))


def load_space(name_or_file: str) -> Space:
    """The checked space of that name, or the one in a Python file that sets SPACE.

    Raises UserError when the name is unknown (naming the nearest), the file can't be run, or the space is wrong.
    """
    if name_or_file.endswith(".py"):
        space = _run_file(Path(name_or_file))
    elif name_or_file in shipped_names():
        space = _run_file(SHIPPED / f"{name_or_file}.py")
    else:
        raise UserError(
            f"there is no search space {name_or_file!r}{nearest(name_or_file, shipped_names())} "
            f"(known: {', '.join(shipped_names())}; or give a file that ends in .py)"
        )
    if not isinstance(space, Space):
        raise UserError(f"{name_or_file} sets no SPACE; write SPACE = Space(...)")
    folder = Path(name_or_file).absolute().parent if name_or_file.endswith(".py") else SHIPPED
    return dataclasses.replace(space, folder=folder).checked()


def _run_file(path: Path) -> object:
    """What the file sets SPACE to; whatever it prints or warns of is dropped. Raises UserError when it can't be run."""
    try:
        if not path.is_file():
            raise UserError(f"there is no space file {path}; check the path, or give the name of a shipped space")
    except OSError as error:
        raise UserError(f"space file {path} can't be opened ({error.strerror}); check the path") from error
    dropped = io.StringIO()
    with contextlib.redirect_stdout(dropped), contextlib.redirect_stderr(dropped), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run_space_file(path).get("SPACE")
