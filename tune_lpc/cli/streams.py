"""Standard output and error that never end a command: a reader that goes away, a full disk, a poor encoding, none."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class UnfailingStream:
    """A text stream that drops what can't be written, and replaces characters that its encoding lacks.

    stream: None where a process was started without it.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        """That of the stream; UTF-8 where it has none."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write what can be written of it."""
        if self._stream is not None:
            try:
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except (OSError, ValueError):  # ValueError: it was closed
                self._drop()
        return len(text)

    def flush(self) -> None:
        """Hand over what was written, or drop it."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._drop()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """Its number. Raises io.UnsupportedOperation where it has none."""
        if self._stream is None:
            raise io.UnsupportedOperation("there is no such stream")
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:
        """Whatever else it has."""
        return getattr(self._stream, name)

    def _drop(self) -> None:
        """Forget what is kept back: Python would try again at its very end, and leave with a status of its own."""
        try:
            number = self.fileno()
            kept = os.dup(number)
        except (OSError, ValueError, AttributeError):
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, number)
            cast(TextIO, self._stream).flush()
        except (OSError, ValueError):
            return
        finally:
            os.dup2(kept, number)  # a disk may have space again
            os.close(kept)
            os.close(nowhere)


def _open_the_closed() -> None:
    """Where a process was started without a standard stream, let nothing else have its number: what some library
    prints there would else get into a file of ours.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


@contextmanager
def unfailing_streams() -> Iterator[None]:
    """Within, nothing that is printed ends the command, whoever prints it."""
    _open_the_closed()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, UnfailingStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
