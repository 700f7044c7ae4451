"""Trying what others wrote in a process of its own: whatever it does there, the one that drives a search goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tune_lpc.plan.errors import UserError
from tune_lpc.training.brought.checks import ToTry

SECONDS = 300.0
"""For everything together, the imports included."""


def problems_of(to_try: ToTry, seconds: float = SECONDS) -> list[str]:
    """What is wrong with what is to be tried, a line each; what it prints is dropped."""
    if not to_try:
        return []
    command = [sys.executable, "-c", "from tune_lpc.training.brought.trying import child; child()"]
    try:
        done = subprocess.run(command, input=to_try.as_json().encode(), capture_output=True, timeout=seconds)
        output, ended = done.stdout, _how_ended(done.returncode)
    except subprocess.TimeoutExpired as error:
        output, ended = error.stdout or b"", f"is not through after {seconds:.0f} s of trying it"
    found, last = [], None
    for line in output.decode(errors="replace").splitlines():
        name, _, problem = line.partition("\t")
        last = name
        if problem:
            found.append(problem)
    if ended is None:
        return found
    if last is None:
        raise UserError(f"what the search needs of others can't be tried: the process {ended}")
    return [*found, f"{last} {ended}"]


def _how_ended(status: int) -> str | None:
    """None for a process that came to its end."""
    if status == 0:
        return None
    if status < 0:
        return f"ends the process by {signal.Signals(-status).name}"
    return f"ends the process with status {status}"


def child() -> None:
    """Try what is on standard input, and tell it in lines on standard output, which is nobody else's."""
    to_try = ToTry.from_json(sys.stdin.read())
    with os.fdopen(os.dup(1), "w") as told:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        for name, problem in to_try.results():
            text = f"{name}\t{' '.join((problem or '').split())}"
            told.write(text + "\n")
            told.flush()
        told.flush()
        # Threads that were left running, or what was registered for the end, are nobody's concern any more.
        os._exit(0)
