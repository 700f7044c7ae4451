"""What Ray writes to the terminal by itself, warnings and stack traces of its own, goes into a file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import Any

from ray._private import worker

LOG_FILE = "ray.log"
"""In the folder of the results; there only when Ray wrote something."""
_STANDARD_ERROR = 2


class RaysOutput:
    """What Ray writes to standard error, in a temporary file until there is a folder for it.

    Ray's own threads write there too, past Python, so the descriptor itself is turned.
    """

    def __init__(self) -> None:
        self._early = tempfile.TemporaryFile()  # noqa: SIM115  # closed by whoever turned the descriptor
        self._path: Path | None = None
        os.dup2(self._early.fileno(), _STANDARD_ERROR)

    @property
    def path(self) -> Path | None:
        """The file, once it holds something."""
        with suppress(OSError):
            return self._path if self._path is not None and self._path.stat().st_size else None
        return None

    def keep_in(self, folder: Path) -> None:
        """From now on it goes into a file of this folder, and what was written before does; where it can't, nowhere."""
        self._tidy()
        with suppress(OSError), (folder / LOG_FILE).open("ab") as file:
            self._early.seek(0)
            file.write(self._early.read())
            file.flush()
            self._early.truncate(0)
            os.dup2(file.fileno(), _STANDARD_ERROR)
            self._path = folder / LOG_FILE

    def close(self) -> None:
        """Leave no empty file behind."""
        self._tidy()
        self._early.close()

    def _tidy(self) -> None:
        if self._path is not None and self.path is None:
            with suppress(OSError):
                self._path.unlink()


@contextmanager
def rays_output() -> Iterator[RaysOutput]:
    """Within, what is written to standard error by others than Python's `sys.stderr` does not reach the terminal.

    Neither does what Ray prints of its nodes, such as the stack trace of one that lost the head.
    """
    with ExitStack() as stack:
        sys.stderr.flush()
        kept = os.dup(_STANDARD_ERROR)
        stack.callback(os.close, kept)
        if _is_standard_error():
            ours = stack.enter_context(os.fdopen(os.dup(kept), "w", buffering=1, errors="backslashreplace"))
            stack.enter_context(redirect_stderr(ours))
        output = RaysOutput()
        stack.callback(output.close)
        stack.callback(os.dup2, kept, _STANDARD_ERROR)
        stack.enter_context(_words_of_nodes_on_the_descriptor())
        yield output


@contextmanager
def _words_of_nodes_on_the_descriptor() -> Iterator[None]:
    """Within, what nodes say goes where Ray's other words go; Ray itself would print it to our standard output."""
    rays_worker: Any = worker
    show = rays_worker.print_worker_logs
    with open(_STANDARD_ERROR, "w", buffering=1, errors="backslashreplace", closefd=False) as log:

        def show_there(data: Any, _: Any, ignore_prefix: bool = False) -> None:
            with suppress(OSError):  # a full disk
                show(data, log, ignore_prefix)

        rays_worker.print_worker_logs = show_there
        try:
            yield
        finally:
            rays_worker.print_worker_logs = show


def _is_standard_error() -> bool:
    """Whether `sys.stderr` writes to the descriptor; in a notebook, and in tests, it is something else."""
    try:
        return sys.stderr.fileno() == _STANDARD_ERROR
    except (OSError, ValueError, AttributeError):
        return False
