"""Running parts one after another within a budget, telling each line when it is known, and the table at the end."""

from __future__ import annotations

import datetime
import platform
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch

from tune_lpc import __version__
from tune_lpc.plan.resources import cpus_here

SPARE = 5.0
"""Seconds of the budget that are kept for the table."""


class NotMeasuredError(Exception):
    """What can't be measured here, and why; no failure."""


class WrongError(Exception):
    """What was computed is not what it must be."""


class _TooLongError(BaseException):
    """The budget is spent in the middle of a part; nothing that catches every Exception, as compilers do, stops it."""


@dataclass
class Bench:
    """Where the parts run, what they found, and the time that is left.

    small: a rehearsal. seconds: of the whole budget, from now on.
    """

    device: torch.device
    small: bool
    seconds: float
    rows: list[tuple[str, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = time.monotonic()

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds of the budget that are left for parts."""
        return self.seconds - SPARE - self.passed

    def tell(self, what: str, found: str) -> None:
        """A line that is known now, and a row of the table."""
        self.rows.append((what, found))
        print(f"[{self.passed:4.0f} s] {what}: {found}", flush=True)

    def fail(self, what: str, error: Exception) -> None:
        """Something that failed, in one line."""
        self.failed.append(what)
        self.tell(what, f"FAILED: {in_one_line(error)}")

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Within it an error is told in a line, under this name, and ends nothing else."""
        try:
            yield
        except NotMeasuredError as error:
            self.tell(what, f"not measured: {error}")
        except torch.OutOfMemoryError as error:
            self.fail(what, error)
            torch.cuda.empty_cache()
        except Exception as error:  # noqa: BLE001  whatever it is, the other parts can still tell something
            self.fail(what, error)
            if not isinstance(error, WrongError):
                print("".join(traceback.format_tb(error.__traceback__)[-3:]).rstrip(), flush=True)

    def wait(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Part:
    """seconds: that it should take on a GPU; where fewer are left it is left out."""

    name: str
    title: str
    seconds: float
    run: Callable[[Bench], None]


def run_parts(bench: Bench, parts: Sequence[Part]) -> int:
    """Run the parts that fit, then print the table; 1 where something failed, else 0."""
    for part in parts:
        if not bench.small and bench.left < part.seconds:
            bench.left_out.append(part.name)
            bench.tell(part.title, f"left out: {max(0.0, bench.left):.0f} s are left, it takes about {part.seconds:g}")
            continue
        print(f"\n{part.name}: {part.title}", flush=True)
        try:
            with _broken_off_after(bench.left), bench.guarded(part.title):
                part.run(bench)
        except _TooLongError:
            bench.left_out.append(part.name)
            bench.tell(part.title, "broken off: the minutes are over")
        if bench.device.type == "cuda":
            torch.cuda.empty_cache()
    print(f"\n{table(bench)}", flush=True)
    if bench.left_out:
        print(f"\nleft out: {', '.join(bench.left_out)}; give more --minutes, or --part {' '.join(bench.left_out)}")
    if bench.failed:
        print(f"\n{len(bench.failed)} failed: {', '.join(bench.failed)}")
    return 1 if bench.failed else 0


@contextmanager
def _broken_off_after(seconds: float) -> Iterator[None]:
    """Raise _TooLongError within, once the seconds are over; a call into a library is waited for."""

    def over(_number: int, _frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(1.0, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def table(bench: Bench) -> str:
    """All rows in Markdown, under the machine that they were seen on."""
    head = "rehearsed, so no number means anything" if bench.small else "seen"
    lines = [f"{head} on {described_machine(bench.device)}:", "", "| what | found |", "|---|---|"]
    return "\n".join(lines + [f"| {cell(what)} | {cell(found)} |" for what, found in bench.rows])


def cell(text: str) -> str:
    """A text as it may stand in a table of Markdown."""
    return text.replace("|", "\\|")


def in_one_line(error: BaseException) -> str:
    """Kind and first line of an error."""
    told = (str(error).strip() or "no message").splitlines()[0]
    return told if isinstance(error, WrongError) else f"{type(error).__name__}: {told}"


def described_machine(device: torch.device) -> str:
    """Device, versions, commit and day in a line."""
    where = f"{cpus_here()} CPUs"
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        where = f"{torch.cuda.get_device_name(device)} ({memory:.0f} GiB), {where}"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}, tune_lpc {__version__}{_commit()}"
    return f"{where}, {versions}, {datetime.date.today()}"


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""  # a copy without its history
    return f" at {found.stdout.strip()}"
