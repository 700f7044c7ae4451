"""What is sent to a cluster with a search: its space, the modules beside it, and the code of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from tests.commands import space_file
from tune_lpc.cli.following import send
from tune_lpc.plan.own_code import OwnCode

CODE = OwnCode({"mine.py": b"X = 1\n", "parts/one.py": b"Y = 2\n"})


class Package:
    """In place of a cluster: keeps the names of what it gets, and the arguments."""

    address = "http://head:8265"

    def submit(self, package: Path, space: str, arguments: Sequence[str], out: str) -> str:
        self.files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
        self.arguments = list(arguments)
        return "raysubmit_1"


def sent(space: str, arguments: list[str], code: OwnCode) -> Package:
    package = Package()
    send(cast(Any, package), space, arguments, "/shared/out", code)
    return package


def test_a_space_file_goes_with_what_it_needs_in_a_folder_of_its_own(tmp_path: Path) -> None:
    space = space_file(tmp_path, '"learning_rate": Float(0.1, 1.0)')
    package = sent(space, [space, "--trials", "2"], CODE)
    assert package.files == {"space/small.py", "space/mine.py", "space/parts/one.py"}
    assert package.arguments == ["space/small.py", "--trials", "2"]


@pytest.mark.parametrize(("code", "files"), [(OwnCode(), set()), (CODE, {"mine.py", "parts/one.py"})])
def test_beside_a_shipped_space_it_lies_where_the_command_runs(code: OwnCode, files: set[str]) -> None:
    package = sent("digits", ["digits"], code)
    assert package.files == {"shipped", *files} and package.arguments == ["digits"]
