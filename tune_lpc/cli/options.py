"""What the commands share: one-line errors with exit status 2, and the numbers of their options."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tune_lpc.cli.streams import unfailing_streams
from tune_lpc.plan.errors import UserError, nearest, shown

USER_ERROR = 2
TRUST_CODE = "let code run that came with results, of somebody else's own networks and functions (docs/own_network.md)"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        hint = nearest(unknown[1], re.findall(r"--[a-z][a-z-]*", self.format_usage())) if unknown else ""
        self.exit(USER_ERROR, f"error: {_one_line(message)}{hint} (see {self.prog} --help)\n")


def numbers(options: argparse.Namespace, kinds: Mapping[str, type[int | float]]) -> tuple[dict[str, Any], list[str]]:
    """The numbers that the options named in `kinds` give, None where one is absent or no number, and all problems."""
    values: dict[str, Any] = dict.fromkeys(kinds)
    problems = []
    for name, kind in kinds.items():
        text = getattr(options, name)
        try:
            values[name] = None if text is None else kind(text)
        except ValueError:
            flag = "--" + name.replace("_", "-")
            problems.append(f"{flag} is {shown(text)}, but must be a {'whole ' if kind is int else ''}number")
    return values, problems


def data_dir_problems(text: str | None) -> list[str]:
    """What is wrong with the folder given by --data-dir; nothing when none is given."""
    if text is None:
        return []
    if not text.strip():
        return ["--data-dir is empty, but must name a folder"]
    try:
        found = Path(text).is_dir()
    except (OSError, ValueError):  # a name too long, or with a character that no name has
        found = False
    return [] if found else [f"--data-dir {text} is not a folder; check the path"]


def exit_status(command: Callable[[], int]) -> int:
    """Run a command; what a user can cause becomes lines on standard error and status 2,
    an interruption 128 and the signal's number."""
    with unfailing_streams():
        try:
            return command()
        except UserError as error:
            for problem in error.problems:
                print(f"error: {_one_line(problem)}", file=sys.stderr)
            return USER_ERROR
        except KeyboardInterrupt as interruption:
            print("interrupted", file=sys.stderr)
            return 128 + getattr(interruption, "signal_number", signal.SIGINT)


def _one_line(problem: str) -> str:
    # A file's name may hold line breaks. Its other spaces stay, or the name would be told wrongly.
    return " ".join(problem.splitlines())
