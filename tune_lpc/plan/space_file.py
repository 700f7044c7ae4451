"""Running a user's space file together with the modules beside it, without a trace in this process.

The modules beside a file are found by its own imports and by theirs, and by nobody else's: they stand in a package that
has a name of its own for as long as the file runs. So neither `sys.path` nor what others import is touched, a module
of the same name that is installed or loaded already neither hides one beside the file nor is hidden by it, and each
file has its own.
"""

from __future__ import annotations

import builtins
import importlib
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, cast

from tune_lpc.plan.errors import UserError, nearest

NEVER_BESIDE = frozenset({"tune_lpc", *sys.stdlib_module_names})
"""Names that mean the same in every file, whatever lies beside it."""
_numbers = itertools.count()


def run_space_file(path: Path) -> Mapping[str, Any]:
    """The names that a file sets, and what to.

    Raises UserError, naming the file or the one beside it, for whatever ends it but a KeyboardInterrupt.
    """
    package = f"_space_file_{next(_numbers)}"
    try:
        with _package_of(path.parent, package) as beside:
            return vars(beside.run(path))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit in the file, say, would end the command without a word
        raise UserError(f"space file {path} can't be run: {told_of(error, package, path)}") from error


@contextmanager
def _package_of(folder: Path, package: str) -> Iterator[_Beside]:
    """While it lasts, the modules in a folder can be imported by those in it."""
    beside = _Beside(folder.absolute(), package)
    root = ModuleType(package)
    root.__path__ = [str(folder.absolute())]
    sys.modules[package] = root
    sys.meta_path.insert(0, beside)
    try:
        yield beside
    finally:
        sys.meta_path.remove(beside)
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]


class _Beside:
    """Finds the modules in a folder, as parts of a package of that name; on `sys.meta_path`."""

    def __init__(self, folder: Path, package: str) -> None:
        self._folder, self._package = folder, package
        self._builtins = {**vars(builtins), "__import__": self._import}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module of the package is; None for those of others."""
        if name.partition(".")[0] != self._package or path is None:
            return None
        # Whatever makes a loader would do, though its type asks for a class.
        finders = (FileFinder(folder, (cast(type[Loader], self._loader), [".py"])) for folder in path)
        return next((spec for finder in finders if (spec := finder.find_spec(name)) is not None), None)

    def run(self, path: Path) -> ModuleType:
        """The module of a file in the folder."""
        name = f"{self._package}.{path.stem}"
        spec = spec_from_file_location(name, path, loader=self._loader(name, str(path)))
        assert spec is not None and spec.loader is not None  # it was given one
        sys.modules[name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def _loader(self, name: str, path: str) -> SourceFileLoader:
        return _Loader(name, path, self._builtins)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What `import` means in the modules of the package."""
        top = name.partition(".")[0]
        if level or not self._has(top):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = importlib.import_module(f"{self._package}.{name}")
        if fromlist:
            return importlib.__import__(found.__name__, globals, locals, fromlist)
        return sys.modules[f"{self._package}.{top}"]

    def _has(self, name: str) -> bool:
        files = (self._folder / f"{name}.py", self._folder / name / "__init__.py")
        return name not in NEVER_BESIDE and any(file.is_file() for file in files)


class Sources(_Beside):
    """Modules whose text is in memory, each imported by the others by its own name; they stay while the process lives.

    folder: in which they stand, "." for the uppermost. files: their text by their paths, those in `folder` and others.
    """

    def __init__(self, folder: str, files: Mapping[str, bytes]) -> None:
        super().__init__(Path(folder), f"_own_code_{next(_numbers)}")
        self._files = files
        root = ModuleType(self._package)
        root.__path__ = [folder]
        sys.modules[self._package] = root
        sys.meta_path.insert(0, self)

    @property
    def name(self) -> str:
        """Of the package in which the modules stand."""
        return self._package

    def run(self, name: str) -> Mapping[str, Any]:  # type: ignore[override]
        """The names that the module in the file of that name sets, and what to."""
        stem = Path(name).stem
        return vars(importlib.import_module(f"{self._package}.{stem}"))

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module of the package is; None for those of others."""
        package, _, rest = name.partition(".")
        if package != self._package or not rest:
            return None
        base = self._folder / rest.replace(".", "/")
        for file, is_package in ((base.with_name(f"{base.name}.py"), False), (base / "__init__.py", True)):
            if file.as_posix() in self._files:
                loader = _MemoryLoader(name, file.as_posix(), self._builtins, self._files)
                return spec_from_file_location(
                    name, file, loader=loader, submodule_search_locations=[str(base)] if is_package else None
                )
        return None

    def _has(self, top: str) -> bool:
        files = (self._folder / f"{top}.py", self._folder / top / "__init__.py")
        return top not in NEVER_BESIDE and any(file.as_posix() in self._files for file in files)


class _Loader(SourceFileLoader):
    """Runs a module with other builtins."""

    def __init__(self, name: str, path: str, with_builtins: Mapping[str, Any]) -> None:
        super().__init__(name, path)
        self._builtins = with_builtins

    def get_code(self, fullname: str) -> CodeType:
        """Of the source itself: nothing is written beside it, nor read that may be older."""
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        """Run it."""
        module.__dict__["__builtins__"] = dict(self._builtins)
        super().exec_module(module)


class _MemoryLoader(_Loader):
    """Runs a module whose text is in memory."""

    def __init__(self, name: str, path: str, with_builtins: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        super().__init__(name, path, with_builtins)
        self._files = files

    def get_data(self, path: str) -> bytes:
        """The text of a file."""
        return self._files[path]


# What went wrong


def told_of(error: BaseException, package: str, path: Path) -> str:
    """Where, what, and how to mend it, in a line. package: in which the module ran. path: its file."""
    file, line = _place(error, package)
    text = error.msg if isinstance(error, SyntaxError) and file is not None else str(error)
    told = (text.replace(f"{package}.", "").strip() or "no message").splitlines()[0]
    told = f"{type(error).__name__}: {told}{_mend(error, path, package)}"
    if file is None or file == path.absolute():
        return told if file is None or not isinstance(error, SyntaxError) else f"{told} (line {line})"
    folder = path.parent.absolute()
    shown_file = path.parent / file.relative_to(folder) if file.is_relative_to(folder) else file
    return f"{shown_file}, line {line}: {told}"


def _place(error: BaseException, package: str) -> tuple[Path | None, int | None]:
    """The file and the line of the innermost step within the package; None where there is none."""
    file, line = None, None
    step: TracebackType | None = error.__traceback__
    while step is not None:
        if str(step.tb_frame.f_globals.get("__name__")).partition(".")[0] == package:
            file, line = step.tb_frame.f_code.co_filename, step.tb_lineno
        step = step.tb_next
    if isinstance(error, SyntaxError) and error.filename is not None and Path(error.filename).is_file():
        file, line = error.filename, error.lineno
    return (None if file is None else Path(file).absolute()), line


def _mend(error: BaseException, path: Path, package: str) -> str:
    """What may be done about a module that is not there, or is another than meant; empty for other errors."""
    if not isinstance(error, ImportError) or not error.name:
        return ""
    name = error.name.removeprefix(f"{package}.").partition(".")[0]
    own = path.parent / f"{name}.py"
    if name in NEVER_BESIDE and own.is_file():
        return f"; {name} is a module of {'Python' if name != 'tune_lpc' else 'this package'}: give {own} another name"
    if isinstance(error, ModuleNotFoundError) and not own.exists():
        hint = nearest(name, (file.stem for file in path.parent.glob("*.py") if file != path))
        return f"{hint}; put {own.name} beside the space, or install it"
    return ""
