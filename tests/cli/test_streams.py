"""Standard streams that can't be written to."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tune_lpc.cli.streams import UnfailingStream, unfailing_streams

SCRIPT = """
import sys
from tune_lpc.cli.options import exit_status

def command():
    for number in range(2000):
        print("a line …", number)
    print("an error …", file=sys.stderr)
    return 7

sys.exit(exit_status(command))
"""


def run(redirected: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = f"exec {sys.executable} -c '{SCRIPT}' {redirected}"
    env = {**os.environ, **environment}
    return subprocess.run(["bash", "-c", command], capture_output=True, env=env, cwd=Path(__file__).parents[2])


REDIRECTED = [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("redirected", [*REDIRECTED, "| head -1; exit ${PIPESTATUS[0]}"])
def test_the_command_goes_on_and_its_status_is_its_own(redirected: str) -> None:
    done = run(redirected)
    assert done.returncode == 7
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252:strict"])
def test_what_an_encoding_lacks_is_replaced(encoding: str) -> None:
    done = run("", PYTHONIOENCODING=encoding)
    assert done.returncode == 7
    assert len(done.stdout.splitlines()) == 2000 and done.stdout.startswith(b"a line ")


def test_a_disk_that_has_space_again_is_written_to() -> None:
    class Full(io.StringIO):
        is_full = True

        def write(self, text: str) -> int:
            if self.is_full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    inner = Full()
    stream = UnfailingStream(inner)
    stream.write("lost")
    inner.is_full = False
    stream.write("kept")
    stream.flush()
    assert inner.getvalue() == "kept"


def test_a_closed_stream_is_no_terminal() -> None:
    inner = io.StringIO()
    inner.close()
    assert not UnfailingStream(inner).isatty()
    assert not UnfailingStream(None).isatty()
    assert UnfailingStream(None).write("nothing") == 7
    with pytest.raises(io.UnsupportedOperation):
        UnfailingStream(None).fileno()


def test_the_streams_are_given_back() -> None:
    before = sys.stdout, sys.stderr
    with unfailing_streams():
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr) == before
