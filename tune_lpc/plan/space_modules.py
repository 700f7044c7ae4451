"""The files that a space file is made of: itself, and the modules beside it that it imports."""

from __future__ import annotations

import ast
from pathlib import Path

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.space_file import NEVER_BESIDE


def modules_of(path: Path) -> list[Path]:
    """A space file, the modules beside it that it imports, and those that these import; of packages all modules.

    Raises UserError for a file that can't be read, or is no Python.
    """
    folder, found, to_read = path.parent, dict.fromkeys([path]), [path]
    while to_read:
        for name in sorted(_imported(to_read.pop())):
            package = folder / name
            if name in NEVER_BESIDE:
                continue
            if (package / "__init__.py").is_file():
                beside = sorted(package.rglob("*.py"))
            else:
                beside = [each for each in [folder / f"{name}.py"] if each.is_file()]
            to_read += [each for each in beside if each not in found]
            found |= dict.fromkeys(beside)
    return list(found)


def _imported(path: Path) -> set[str]:
    """The first names of what a file imports."""
    try:
        tree = ast.parse(path.read_bytes(), path.name)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} if node.module else {alias.name for alias in node.names}
    return {name.partition(".")[0] for name in names}
