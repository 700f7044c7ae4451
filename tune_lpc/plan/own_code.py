"""Python files of the user's own that a search needs: networks, augmentations and loss terms, by FILE.py:FUNCTION.

Their content travels with the search, so it goes on as it began whatever becomes of the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tune_lpc.plan.errors import UserError, nearest
from tune_lpc.plan.settings import AnyForm, Form
from tune_lpc.plan.space_file import Sources, told_of
from tune_lpc.plan.space_modules import modules_of

OWN = Form("FILE.py:FUNCTION", r"(?!.*\.\.)(?:[\w .-]+/)*[\w .-]+\.py:[^\W\d]\w*")
TIMM = Form("timm/NAME", r"timm/[\w.-]+")
TORCHVISION = Form("torchvision/NAME", r"torchvision/\w+")
PUBLISHED = AnyForm((TIMM, TORCHVISION))
"""Networks for which there are weights."""
REFERRING = ("network", "augmentation", "extra_loss")
"""The settings that may name a function of the user's own."""
CODE_FOLDER = "code"
"""Of the results: what the search ran of the user's own."""


@dataclass(frozen=True)
class OwnCode:
    """The files that a search needs of the user's own, none where it needs none.

    files: their content by their names, as paths within a folder, whose modules may import each other.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.files)

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file, in hexadecimal, by its name."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files.items())}

    @property
    def digest(self) -> str:
        """One SHA-256 of all files and their names, in hexadecimal."""
        return hashlib.sha256(repr(self.digests).encode()).hexdigest()

    def describe(self) -> str:
        """One line for people."""
        return f"code that did not come with tune_lpc runs: {', '.join(self.files)}"

    def write(self, folder: Path) -> None:
        """Write the files below `folder`. Raises OSError."""
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def function(self, reference: str) -> Callable[..., Any]:
        """What FILE.py:FUNCTION names; its file is run, once in a process.

        Raises UserError where the file can't be run, or has no such function.
        """
        name, _, wanted = reference.rpartition(":")
        module = self._run(name)
        found = module.get(wanted)
        if not callable(found):
            functions = [known for known, value in module.items() if callable(value) and not known.startswith("_")]
            what = "is no function" if wanted in module else "is not there"
            raise UserError(f"{reference}: {wanted} {what} in {name}{nearest(wanted, functions)}")
        return found  # type: ignore[no-any-return]

    def _run(self, name: str) -> Mapping[str, Any]:
        key = (self.digest, name)
        if key not in _ran:
            folder = str(PurePosixPath(name).parent)
            if (self.digest, folder) not in _sources:
                _sources[self.digest, folder] = Sources(folder, self.files)
            sources = _sources[self.digest, folder]
            try:
                _ran[key] = sources.run(name)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # sys.exit in the file, say, would end the command without a word
                raise UserError(f"{name} can't be run: {told_of(error, sources.name, Path(name))}") from error
        return _ran[key]


NO_CODE = OwnCode()
_sources: dict[tuple[str, str], Sources] = {}
_ran: dict[tuple[str, str], Mapping[str, Any]] = {}


def collect_own_code(references: Iterable[str], folders: Sequence[Path]) -> OwnCode:
    """The files of `references`, FILE.py:FUNCTION each, and those beside them that they import.

    folders: where they are looked for, one after another. Raises UserError with every file that is not there, or that
    can't be read.
    """
    files: dict[str, bytes] = {}
    problems = []
    for name in sorted({reference.rpartition(":")[0] for reference in references}):
        folder = next((each for each in folders if (each / name).is_file()), None)
        if folder is None:
            places = " or ".join(str(each.absolute()) for each in dict.fromkeys(folders))
            problems.append(f"there is no file {name} in {places}; put it beside the search space")
            continue
        try:
            for path in modules_of(folder / name):
                files[path.relative_to(folder).as_posix()] = path.read_bytes()
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return OwnCode(files)


def read_own_code(results: Path, digests: Mapping[str, str]) -> OwnCode:
    """The files that the search in `results` ran. digests: of each, as run.json tells.

    Raises UserError where one is gone, or is another than then.
    """
    folder, files, problems = results / CODE_FOLDER, dict[str, bytes](), []
    for name, digest in digests.items():
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            problems.append(f"{folder / name}, which the search ran, can't be read ({error.strerror or error})")
            continue
        if hashlib.sha256(files[name]).hexdigest() != digest:
            problems.append(f"{folder / name} was changed since the search began; put the file of then in its place")
    if problems:
        raise UserError(problems)
    return OwnCode(files)
